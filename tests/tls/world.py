"""Two sides that make their own TLS, from files that a test writes, over real sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from handsel import tls
from handsel.authority import ca
from handsel.authority.model import Approval, CheckedDraft, Issuer
from handsel.authority.service import random_serial
from handsel.model.authority import Profile
from handsel.pki.certificate import Certificate, to_pem
from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names, SpiffeId
from tests.support import TestAuthority

HOST = "orders.internal"


class World:
    """An authority, a folder with its files, and a mesh file with contexts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = TestAuthority.make(datetime.now(UTC))
        self.issued: dict[str, Certificate] = {}
        self.write("roots.pem", to_pem((self.issuer.root,)))

    @property
    def issuer(self) -> Issuer:
        return self.authority.issuer

    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def issue(
        self, name: str, *, dns: tuple[str, ...] = (HOST,), uri: tuple[str, ...] = (), key: PrivateKey | None = None,
        lifetime: timedelta = timedelta(hours=1), issuer: Issuer | None = None,
    ) -> Certificate:  # fmt: skip
        """A key and chain as `NAME.pem`."""
        key = key or PrivateKey.generate()
        names = Names(dns=dns, uri=uri)
        identity = SpiffeId.parse(uri[0]) if uri else None
        profile = Profile(name, lifetime, backdate=timedelta(minutes=1))
        approval = Approval(names, identity, key.handle.public_key(), profile, lifetime, "test")
        draft = ca.prepare(approval, issuer or self.issuer, serial=random_serial(), now=datetime.now(UTC))
        leaf = ca.sign(CheckedDraft(draft))
        self.write(f"{name}.pem", key.pem().reveal() + to_pem(leaf.chain))
        self.issued[name] = leaf.certificate
        return leaf.certificate

    def context(self, name: str, text: str) -> tls.Context:
        """A context of a mesh file that declares only it."""
        (self.folder / "handsel.yaml").write_text(f"contexts:\n  {name}: {text}\n")
        return tls.context(name, self.folder / "handsel.yaml")


@contextlib.contextmanager
def serving(context: ssl.SSLContext) -> Iterator[int]:
    """A server that tells each client its certificate's names, on a free port, until the end of the block."""
    listening = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def take() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=_answer, args=(context, connection), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=take, daemon=True)
    accepting.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join(5)
        for each in threads:
            each.join(5)


def _answer(context: ssl.SSLContext, connection: socket.socket) -> None:
    connection.settimeout(10)
    with contextlib.suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as secure:
        while line := secure.recv(100):
            secure.sendall(line)


def say(port: int, context: ssl.SSLContext, name: str = HOST) -> Certificate:
    """Open a connection, hear an answer (in TLS 1.3 a refusal comes only then); the server's certificate."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        secure.sendall(b"hello")
        if secure.recv(100) != b"hello":
            raise ConnectionResetError("the server left")
        return Certificate(secure.getpeercert(True) or b"")
