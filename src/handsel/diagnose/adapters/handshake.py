"""Handshakes of our own with the outside: why it refuses, and whether it insists on a certificate."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from handsel.diagnose.adapters.probe import PairFiles
from handsel.diagnose.call import TIMED_OUT, Handshake, Seen
from handsel.diagnose.foreign import impostor
from handsel.diagnose.verdict import answered_upstream
from handsel.model.graph import External, ExternalTls, Protocol
from handsel.pki.certificate import Certificate, parse_pem, to_pem

_HANDSHAKE_SECONDS = 3.0
_SETTLE_SECONDS = 1.0

Address = tuple[str, int]


async def with_handshakes(external: External, seen: Seen) -> Seen:
    """What the caller's log leaves open: why it was refused, and whether the other side insists on a certificate."""
    address = external.endpoints[0] if external.endpoints else (external.host, external.port)
    answered = seen.answered and any(answered_upstream(line) for line in seen.outbound)

    async def handshake(pair: PairFiles | None, host: str = "") -> Handshake:
        client = _Client(external.server_name, external.protocol, host)
        return await asyncio.to_thread(client.handshake, address, pair)

    if external.tls is ExternalTls.MUTUAL and answered:
        return replace(seen, without_certificate=await handshake(None, external.host))
    if answered and not (external.tls is ExternalTls.DISABLE and _may_be_tls(external, seen)):
        return seen
    seen = replace(seen, handshake=await handshake(_pair_of(external)))
    if external.tls is ExternalTls.SIMPLE and _says_handshake_failure(seen):
        with tempfile.TemporaryDirectory() as folder:
            return replace(seen, with_foreign_certificate=await handshake(_foreign_pair(Path(folder))))
    return seen


def _may_be_tls(external: External, seen: Seen) -> bool:
    """Whether a plain answer leaves it open: on TCP nothing was said yet, and a TLS port may answer with a page."""
    if external.protocol is Protocol.TCP:
        return True
    return not any(str(line.get("status") or "").startswith(("2", "3")) for line in seen.outbound)


def _says_handshake_failure(seen: Seen) -> bool:
    texts = [str(line.get("tls_failure")) for line in seen.outbound]
    return any("ALERT_HANDSHAKE_FAILURE" in text for text in [*texts, seen.handshake.error if seen.handshake else ""])


def own_certificate(external: External | None) -> Certificate | None:
    """The client certificate that the mesh file names for an external, if it can be read."""
    if external is None or not external.client_certificate:
        return None
    try:
        return parse_pem(Path(external.client_certificate).read_bytes())[0]
    except (OSError, ValueError):
        return None


def _pair_of(external: External) -> PairFiles | None:
    if external.tls is not ExternalTls.MUTUAL:
        return None
    return PairFiles(Path(external.client_certificate), Path(external.private_key))


def _foreign_pair(folder: Path) -> PairFiles:
    foreign = impostor("spiffe://nobody.invalid/explain", datetime.now(UTC))
    files = PairFiles(folder / "chain.pem", folder / "key.pem")
    files.chain.write_bytes(to_pem(foreign.chain))
    files.key.write_bytes(foreign.key.pem().reveal())
    return files


@dataclass(frozen=True)
class _Client:
    """Makes a handshake as the sidecar would. With `host` a GET follows, where HTTP/1.1 is spoken inside.

    The other side's certificate is looked at, not judged: the sidecar has done that.
    """

    server_name: str
    protocol: Protocol
    host: str = ""

    def handshake(self, address: Address, pair: PairFiles | None) -> Handshake:
        """What came of it. A refusal under TLS 1.3 comes after the handshake, so it is waited for."""
        seen = Handshake()
        try:
            context = self._context(pair)
            with (
                socket.create_connection(address, timeout=_HANDSHAKE_SECONDS) as connection,
                context.wrap_socket(connection, server_hostname=self.server_name) as wrapped,
            ):
                seen = Handshake(version=wrapped.version() or "", leaf=_leaf(wrapped))
                if _closed(wrapped):
                    return replace(seen, error="the connection was closed after the handshake")
                return replace(seen, status=self._status(wrapped))
        except TimeoutError:
            return replace(seen, error=TIMED_OUT)
        except (OSError, ValueError) as error:
            return replace(seen, error=str(error))

    def _context(self, pair: PairFiles | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.protocol is not Protocol.TCP:
            context.set_alpn_protocols(["h2" if self.protocol.is_http2 else "http/1.1"])
        if pair is not None:
            context.load_cert_chain(pair.chain, pair.key)
        return context

    def _status(self, connection: ssl.SSLSocket) -> int:
        if not self.host or self.protocol is not Protocol.HTTP:
            return 0
        connection.settimeout(_HANDSHAKE_SECONDS)
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n".encode())
        head = connection.recv(64).split(b" ", 2)
        return int(head[1]) if len(head) > 1 and head[1].isdigit() else 0


def _closed(connection: ssl.SSLSocket) -> bool:
    """Whether the other side ends the connection by itself, within a moment. Raises the alert that it sends."""
    connection.settimeout(_SETTLE_SECONDS)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False


def _leaf(connection: ssl.SSLSocket) -> Certificate | None:
    der = connection.getpeercert(binary_form=True)
    try:
        return Certificate(der) if der else None
    except ValueError:
        return None
