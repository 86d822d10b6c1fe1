"""Fetches the bundle of another trust domain: from who it must be, in time, no larger than it may be."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import httpx2

from handsel.authority import federation
from handsel.authority.spiffe_bundle import LARGEST
from handsel.errors import HandselError, NotAuthorised, Refused, StateError, Unreachable
from handsel.model.federation import EndpointProfile, Federated
from handsel.pki.certificate import Certificate, parse_pem, to_pem

_TIMEOUT = httpx2.Timeout(5.0)
_SECONDS = 20.0
"""All of it together: somebody who sends a byte every now and then is no server."""


async def fetch(federated: Federated, authorities: Sequence[Certificate]) -> bytes:
    """What its endpoint shows. `authorities`: for `https_spiffe`, the CAs of the bundle that is known already.

    Redirects are not followed, and proxies of the environment not used. Raises `Refused`, `NotAuthorised`,
    `Unreachable`, `StateError`.
    """
    context = _context(federated, authorities)
    try:
        async with (
            asyncio.timeout(_SECONDS),
            httpx2.AsyncClient(verify=context, timeout=_TIMEOUT, trust_env=False) as client,
            client.stream("GET", federated.url, headers={"accept-encoding": "identity"}) as response,
        ):
            if federated.profile is EndpointProfile.SPIFFE:  # before a byte of it is believed
                connection = response.extensions["network_stream"].get_extra_info("ssl_object")
                federation.check_server(Certificate(connection.getpeercert(True)), federated.endpoint_id)
            return await _read(response, federated.url)
    except TimeoutError as error:
        raise Unreachable(f"{federated.url} does not answer in {_SECONDS:.0f} s") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        raise _problem(federated, error) from error


def first_authorities(federated: Federated) -> tuple[Certificate, ...]:
    """The CAs for the first contact. Raises `StateError`."""
    try:
        return federation.first_contact(_file(federated.bundle), federated.trust_domain)
    except (OSError, ValueError) as error:
        raise StateError(f"the bundle in {federated.bundle} cannot be read: {error}") from error


async def _read(response: httpx2.Response, url: str) -> bytes:
    if response.is_redirect:
        where = response.headers.get("location", "")[:200]
        raise Refused(f"{url} leads on to {where!r}, and redirects are not followed", next_step="write that address")
    if response.status_code != httpx2.codes.OK:
        raise Refused(f"{url} answers {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise Refused(f"{url} answers in an encoding that was not asked for")
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > LARGEST:
            raise Refused(f"{url} answers with more than {LARGEST} bytes")
    return bytes(content)


def _context(federated: Federated, authorities: Sequence[Certificate]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if federated.profile is EndpointProfile.SPIFFE:
            if not authorities:
                raise Refused(
                    f"the last bundle of {federated.trust_domain} has no CA: nobody there can prove who they are",
                    next_step=f"write its new bundle to {federated.bundle}, then: "
                    f"handsel ca federation refresh {federated.trust_domain} --anew",
                )
            context.check_hostname = False  # who it is, its SPIFFE ID says, which is checked instead
            context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # a CA of a bundle need be no root
            context.load_verify_locations(cadata=to_pem(tuple(authorities)).decode())
        elif federated.roots:
            context.load_verify_locations(cadata=to_pem(parse_pem(_file(federated.roots))).decode())
        else:
            context.load_default_certs()
    except (OSError, ValueError) as error:
        raise StateError(f"the roots in {federated.roots} cannot be read: {error}") from error
    return context


def _file(path: str) -> bytes:
    with Path(path).open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it has more than {LARGEST} bytes")
    return content


def _problem(federated: Federated, error: Exception) -> HandselError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return NotAuthorised(
            f"{federated.url} is not the server that it should be: {error}",
            next_step="is the address right? if it got other CAs meanwhile, begin anew with its new bundle",
        )
    return Unreachable(f"{federated.url} does not answer: {error or type(error).__name__}")
