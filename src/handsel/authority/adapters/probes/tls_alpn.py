"""tls-alpn-01 (RFC 8737): a handshake, and a look at the certificate that comes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from handsel.acme.problems import Identifier, Problem
from handsel.authority.acme.proof import ALPN, Address, check_alpn_certificate, server_name
from handsel.authority.adapters.probes.names import Lookup
from handsel.model.authority import Validation

_CONNECT_SECONDS = 4.0


async def look(identifier: Identifier, expected: str, settings: Validation, lookup: Lookup) -> None:
    """Connect, and check what is shown. Raises `Problem`."""
    failure: Exception | None = None
    for address in await lookup.addresses(identifier):
        try:
            shown = await _shown(identifier, address, settings.tls_port)
        except ssl.SSLError as error:
            raise Problem("tls", f"{identifier} at {address}: {error.reason or error}") from error
        except (OSError, TimeoutError) as error:
            failure = error
            continue
        check_alpn_certificate(shown, identifier, expected)
        return
    raise Problem("connection", f"{identifier} cannot be reached on port {settings.tls_port}: {failure}")


async def _shown(identifier: Identifier, address: Address, port: int) -> bytes:
    async with asyncio.timeout(_CONNECT_SECONDS):
        _, writer = await asyncio.open_connection(
            str(address), port, ssl=_context(), server_hostname=server_name(identifier)
        )
    try:
        session = writer.get_extra_info("ssl_object")
        if session.selected_alpn_protocol() != ALPN:
            raise Problem("tls", f"{identifier} at {address} did not agree to the protocol {ALPN}")
        shown: bytes = session.getpeercert(True)
        return shown
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 0.5)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8737, section 3
    context.check_hostname = False  # the certificate is self-signed; what it must say is checked by hand
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN])
    return context
