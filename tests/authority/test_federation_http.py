"""Fetching a bundle over real TLS: only from who it must be, no further than there, and not more than it may be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handsel.authority.adapters import bundle_http, federation_http
from handsel.authority.adapters.federation_http import fetch, first_authorities
from handsel.authority.federation import BundleKept
from handsel.authority.spiffe_bundle import LARGEST, SpiffeBundle, read, write
from handsel.door.asgi import Request, Response, Routes, Stream
from handsel.errors import NotAuthorised, Refused, StateError, Unreachable
from handsel.model.federation import EndpointProfile, Federated
from handsel.pki.certificate import to_pem
from handsel.pki.names import TrustDomain
from tests.support import TRUST_DOMAIN, TestAuthority, tls_door

WEB, SPIFFE = EndpointProfile.WEB, EndpointProfile.SPIFFE
NOTHING = SpiffeBundle(TRUST_DOMAIN, (), (), 1)
both = pytest.mark.parametrize("profile", [WEB, SPIFFE], ids=str)


class Door:
    """A server of bundles, and how it is reached."""

    def __init__(self, port: int, folder: Path, authority: TestAuthority) -> None:
        self.port = port
        self.folder = folder
        self.authority = authority

    def seen(self, profile: EndpointProfile, path: str = bundle_http.PATH, **changes: object) -> Federated:
        roots = self.folder / "roots.pem"
        roots.write_bytes(to_pem((self.authority.issuer.root,)))
        host = "127.0.0.1" if profile is WEB else "localhost"  # a name that the SVID need not have
        found = Federated(TRUST_DOMAIN, f"https://{host}:{self.port}{path}", profile)
        if profile is WEB:
            return replace(found, **{"roots": str(roots), **changes})
        return replace(found, **{"endpoint_id": TRUST_DOMAIN.server, "bundle": str(roots), **changes})

    async def fetch(self, federated: Federated) -> bytes:
        return await fetch(federated, first_authorities(federated) if federated.bundle else ())


async def _elsewhere(_request: Request) -> Response:
    return Response(307, headers=(("location", bundle_http.PATH),))


async def _missing(_request: Request) -> Response:
    return Response(404, b"nothing")


async def _squeezed(_request: Request) -> Response:
    return Response(200, b"\x1f\x8b", headers=(("content-encoding", "gzip"),))


async def _endless(_request: Request) -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536
            await asyncio.sleep(0)

    return Stream(pieces())


async def _slow(_request: Request) -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    return Stream(pieces())


ROUTES: Routes = {
    **bundle_http.routes(lambda: BundleKept(NOTHING, datetime.now(UTC))),
    ("GET", "/elsewhere"): _elsewhere,
    ("GET", "/missing"): _missing,
    ("GET", "/squeezed"): _squeezed,
    ("GET", "/endless"): _endless,
    ("GET", "/slow"): _slow,
}


@contextlib.asynccontextmanager
async def door(folder: Path, authority: TestAuthority) -> AsyncIterator[Door]:
    async with tls_door(folder, authority, ROUTES) as (port, _):
        yield Door(port, folder, authority)


@both
async def test_the_door_of_a_bundle_is_asked_by_anybody(tmp_path, living_authority, profile):
    async with door(tmp_path, living_authority) as there:
        assert read(await there.fetch(there.seen(profile)), TRUST_DOMAIN) == NOTHING
        assert await there.fetch(there.seen(profile)) == write(NOTHING)


@both
@pytest.mark.parametrize(
    ("path", "why"),
    [("/elsewhere", "redirects"), ("/missing", "404"), ("/squeezed", "encoding"), ("/endless", str(LARGEST))],
    ids=lambda value: value.strip("/") if value.startswith("/") else "",
)
async def test_what_is_shown_otherwise_is_refused(tmp_path, living_authority, profile, path, why):
    async with door(tmp_path, living_authority) as there:
        with pytest.raises(Refused, match=why):
            await there.fetch(there.seen(profile, path))


@both
async def test_somebody_slow_does_not_hold_us_up(tmp_path, living_authority, profile, monkeypatch):
    monkeypatch.setattr(federation_http, "_SECONDS", 0.5)
    async with door(tmp_path, living_authority) as there:
        with pytest.raises(Unreachable, match="does not answer"):
            await there.fetch(there.seen(profile, "/slow"))


@both
async def test_another_ca_is_not_believed(tmp_path, living_authority, profile):
    async with door(tmp_path, living_authority) as there:
        federated = there.seen(profile)
        (tmp_path / "roots.pem").write_bytes(to_pem((TestAuthority.make(datetime.now(UTC)).issuer.root,)))
        with pytest.raises(NotAuthorised, match="not the server"):
            await there.fetch(federated)
        assert await there.fetch(there.seen(profile))  # the control


async def test_https_spiffe_wants_the_one_who_was_named(tmp_path, living_authority):
    async with door(tmp_path, living_authority) as there:
        for other in (TRUST_DOMAIN.workload("default", "web"), TrustDomain("other.internal").server):
            with pytest.raises(Refused, match="the server is"):
                await there.fetch(there.seen(SPIFFE, endpoint_id=other))
        with pytest.raises(Refused, match="has no CA"):
            await fetch(there.seen(SPIFFE), ())


async def test_https_web_wants_the_host_of_the_address(tmp_path, living_authority):
    """The door's certificate names 127.0.0.1 and its reserved name."""
    async with door(tmp_path, living_authority) as there:
        with pytest.raises(NotAuthorised, match="not the server"):
            await there.fetch(there.seen(WEB, url=f"https://localhost:{there.port}{bundle_http.PATH}"))
        # Without a file the system's roots count, and ours is none of them.
        with pytest.raises(NotAuthorised, match="not the server"):
            await there.fetch(there.seen(WEB, roots=""))


@both
async def test_proxies_of_the_environment_are_not_used(tmp_path, living_authority, profile, monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with door(tmp_path, living_authority) as there:
        assert await there.fetch(there.seen(profile))


@both
async def test_nobody_there_is_said_so(tmp_path, living_authority, profile):
    async with door(tmp_path, living_authority) as there:
        federated = there.seen(profile)
    with pytest.raises(Unreachable, match="does not answer"):
        await there.fetch(federated)


@pytest.mark.parametrize("content", [None, b"neither", b"x" * (LARGEST + 1)], ids=["missing", "neither", "large"])
@both
async def test_a_file_that_cannot_be_read_is_said_so(tmp_path, living_authority, profile, content):
    async with door(tmp_path, living_authority) as there:
        federated = there.seen(profile)
        (tmp_path / "roots.pem").unlink()
        if content is not None:
            (tmp_path / "roots.pem").write_bytes(content)
        with pytest.raises(StateError, match="cannot be read"):
            await there.fetch(federated)
