"""What tests share as plain functions and values. `conftest` has the fixtures."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from hypothesis import strategies as st

from handsel.agent.model import KeyPair
from handsel.authority import ca
from handsel.authority.model import Approval, CheckedDraft, Issuer, Issuers
from handsel.authority.service import random_serial
from handsel.documents.yaml import Document
from handsel.door.adapters.uvicorn_tls import DoorServer, DoorTls, listen_tcp
from handsel.door.asgi import Door, Routes
from handsel.model import file
from handsel.model.authority import Profile
from handsel.model.graph import Mesh
from handsel.model.included import Included, ReadResources
from handsel.pki.certificate import to_pem
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.names import Names, SpiffeId, TrustDomain
from handsel.store.adapters.files import write_file
from tests.ca_keys import ca_key

TRUST_DOMAIN = TrustDomain("test.internal")
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
NOBODY = 65534


@dataclass(frozen=True)
class TestAuthority:
    """An authority without a registration authority: it signs whatever a test wants."""

    __test__ = False
    trust_domain: TrustDomain
    issuer: Issuer
    now: datetime

    @classmethod
    def make(cls, now: datetime = NOW, trust_domain: TrustDomain = TRUST_DOMAIN) -> TestAuthority:
        root_key, key = ca_key(), ca_key()
        root = ca.make_root(trust_domain, root_key, serial=random_serial(), now=now)
        issuing = ca.make_issuing(trust_domain, key, root, root_key, serial=random_serial(), now=now)
        return cls(trust_domain, Issuer(key, issuing, root), now)

    @property
    def issuers(self) -> Issuers:
        """Its one CA, as the stories take it."""
        return Issuers.only(self.issuer)

    def pair(
        self,
        identity: SpiffeId,
        *,
        lifetime: timedelta = timedelta(hours=1),
        now: datetime | None = None,
        key: PrivateKey | None = None,
        dns_names: tuple[str, ...] = (),
        ip_names: tuple[str, ...] = (),
    ) -> KeyPair:
        """A key and its chain. `not_before` is exactly `now`."""
        key = key or PrivateKey.generate()
        names = Names(dns=dns_names, ip=ip_names, uri=(str(identity),))
        profile = Profile("test", lifetime, backdate=timedelta())
        approval = Approval(names, identity, key.handle.public_key(), profile, lifetime, "test")
        draft = ca.prepare(approval, self.issuer, serial=random_serial(), now=now or self.now)
        return KeyPair(key, ca.sign(CheckedDraft(draft)).chain)


@functools.cache
def key_of(kind: KeyType) -> PrivateKey:
    """A key of this kind, made once: a large RSA key takes its time."""
    return PrivateKey.generate(kind)


def read_mesh(
    text: str,
    *,
    include: Callable[[str], Sequence[Document]] = lambda _pattern: (),
    read_resources: ReadResources = lambda _documents, _around: Included(),
) -> Mesh:
    """The graph of a mesh file that lies in `/etc/shop`."""
    return file.parse(
        text.encode(),
        "handsel.yaml",
        folder="/etc/shop",
        absolute=lambda path: str(PurePosixPath("/etc/shop") / path),
        include=include,
        read_resources=read_resources,
    )


def mutations(original: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that are nearly `original`: some changed, cut out, put in, or cut off at the end."""
    length = len(original)

    def change(edits: list[tuple[int, int, bytes]]) -> bytes:
        changed = bytearray(original)
        for position, cut, put in edits:
            changed[position : position + cut] = put
        return bytes(changed)

    edit = st.tuples(st.integers(0, length), st.integers(0, 3), st.binary(max_size=3))
    edited = st.lists(edit, min_size=1, max_size=4).map(change)
    return st.one_of(edited, st.integers(0, length).map(lambda end: original[:end]))


@contextlib.contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder that an ordinary user owns, while this process has that user's rights: root is stopped by no mode."""
    with tempfile.TemporaryDirectory(prefix="hs") as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder
            return
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(0)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def write_pair(folder: Path, name: str, pair: KeyPair) -> tuple[Path, Path]:
    """The files of a pair: chain and key."""
    chain, key = folder / f"{name}.crt", folder / f"{name}.key"
    write_file(chain, to_pem(pair.chain))
    write_file(key, pair.key.pem().reveal())
    return chain, key


def client_context(authority: TestAuthority, files: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """A client that trusts the authority and checks the server's reserved name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=to_pem((authority.issuer.root,)).decode())
    if files is not None:
        context.load_cert_chain(*files)
    return context


@contextlib.asynccontextmanager
async def tls_door(
    folder: Path, authority: TestAuthority, routes: Routes, on_bug: Callable[[Exception], None] = lambda _error: None
) -> AsyncIterator[tuple[int, DoorTls]]:
    """A door over real TLS on a free port of loopback, with its TLS."""
    listening = listen_tcp("127.0.0.1", 0)
    domain = authority.trust_domain
    pair = authority.pair(domain.server, dns_names=(domain.server_dns,), ip_names=("127.0.0.1",))
    tls = DoorTls((authority.issuer.root,))
    tls.show(*write_pair(folder, "door", pair))
    door = DoorServer(Door(routes, on_bug=on_bug), listening, tls.context)
    await door.start()
    try:
        yield listening.getsockname()[1], tls
    finally:
        await door.stop()


async def ask(port: int, context: ssl.SSLContext, request: bytes) -> bytes:
    """All that the server at this port answers to these bytes, on a connection of their own."""
    server_name = TRUST_DOMAIN.server_dns
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=server_name)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()
