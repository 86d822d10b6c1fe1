"""The certificate of the server's own door: made at the start, and anew at half of its life."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from handsel.authority import service as authority
from handsel.authority.adapters.issuing import Issuing
from handsel.authority.adapters.signers import read_certificate
from handsel.authority.model import Domain, Leaf
from handsel.door.adapters.uvicorn_tls import DoorTls
from handsel.errors import HandselError
from handsel.model.graph import is_address
from handsel.pki import csr
from handsel.pki.certificate import Certificate, to_pem
from handsel.pki.keys import PrivateKey
from handsel.pki.names import dns_name
from handsel.store.adapters.files import write_file

_log = structlog.get_logger("handsel.server")
_AGAIN_SECONDS = 30.0
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # compared with, not listened on


class OwnCertificate:
    """Key and chain in two files, shown by the door. The chain leads to older roots too, for hosts that were away.

    `shown` are the SHA-256 of the last two, so that agents that still saw the old one may finish joining.
    """

    def __init__(
        self, issuing: Issuing, domain: Callable[[], Domain], host: str, tls: DoorTls, chain: Path, key: Path
    ) -> None:
        self._issuing = issuing
        self._domain = domain
        self._host = host
        self._tls = tls
        self._chain, self._key = chain, key
        self._leaf: Leaf
        self.shown: tuple[bytes, ...] = ()

    @property
    def certificate(self) -> Certificate:
        return self._leaf.certificate

    def find(self) -> None:
        """Take the one that an earlier start made: for a server that only reads."""
        self._leaf = Leaf(read_certificate(self._chain), self._issuing.issuers().mesh)
        self._tls.show(self._chain, self._key)

    async def make(self) -> None:
        """A new key and certificate, shown from now on."""
        key = PrivateKey.generate()
        names, addresses = own_names(self._host)
        domain = self._domain()
        intent = authority.certify_server(
            csr.build(key, domain.trust_domain.server), names, addresses, domain=domain,
            issuers=self._issuing.issuers(), now=_now(),
        )  # fmt: skip
        (self._leaf,) = await self._issuing.issue(intent)
        write_file(self._key, key.pem().reveal())
        write_file(self._chain, to_pem((self.certificate, *self._leaf.issuer.linked_chain)))
        self._tls.show(self._chain, self._key)
        self.shown = (hashlib.sha256(self.certificate.der).digest(), *self.shown[:1])

    async def keep(self) -> None:
        """For ever: make it anew at half of its life."""
        while True:
            leaf = self.certificate
            half = leaf.not_before + (leaf.not_after - leaf.not_before) / 2
            await asyncio.sleep(max(1.0, (half - _now()).total_seconds()))
            try:
                await self.make()
            except HandselError as error:
                _log.error("the server's certificate was not renewed", problem=str(error))
                await asyncio.sleep(_AGAIN_SECONDS)


def own_names(host: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The DNS names and addresses at which clients find a server: where it listens, and this host's own name."""
    names, addresses = ["localhost"], ["127.0.0.1"]
    if not is_address(host):
        names.append(host.lower())
    elif host not in EVERYWHERE:
        addresses.append(host)
    for name in (socket.gethostname().lower(), socket.getfqdn().lower()):
        with contextlib.suppress(ValueError):  # a host may be called anything
            names.append(dns_name(name))
    return tuple(names), tuple(addresses)


def own_name() -> str:
    """The name by which others may find this host, as far as it can be known here."""
    names = (socket.getfqdn(), socket.gethostname())
    return next((name for name in names if not name.startswith("localhost")), "localhost").lower()


def _now() -> datetime:
    return datetime.now(UTC)
