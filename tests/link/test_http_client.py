"""The agent's side of the link, against a real door: whom it believes, and what it makes of answers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from handsel.door.asgi import Request, Response, Routes, Stream
from handsel.errors import (
    NotAuthorised,
    ProtocolError,
    Refused,
    StateError,
    TicketRefused,
    Unreachable,
    UsageError,
)
from handsel.link.adapters.http_client import LinkClient, fetch_pinned_roots
from handsel.link.joining import Challenge, JoinRequest
from handsel.link.messages import PREFIX, VERSION, VERSION_HEADER, Chain, Frame, RenewRequest, ping
from handsel.link.report import Report
from handsel.pki.certificate import to_pem
from handsel.pki.names import TrustDomain
from tests.e2e.mesh_process import free_port
from tests.support import TRUST_DOMAIN, TestAuthority, tls_door, write_pair

CHALLENGE = ("GET", f"{PREFIX}/challenge")
ROOTS = ("GET", f"{PREFIX}/roots")
RENEW = ("POST", f"{PREFIX}/renew")
REPORT = ("POST", f"{PREFIX}/report")
WATCH = ("GET", f"{PREFIX}/watch")


def _url(port: int) -> str:
    return f"https://127.0.0.1:{port}"


def _client(authority: TestAuthority, port: int, **changes) -> LinkClient:
    arguments = {"url": _url(port), "trust_domain": TRUST_DOMAIN, "roots": (authority.issuer.root,), **changes}
    return LinkClient(**arguments)


async def _fine(_request: Request) -> Response:
    return Response(200)


async def test_a_call_carries_the_version_and_the_client_certificate(living_authority, tmp_path):
    asked: list[Request] = []
    pair = living_authority.pair(TRUST_DOMAIN.agent("a1b2"))

    async def renew(request: Request) -> Response:
        asked.append(request)
        return Response(200, Chain(pair.chain).encode())

    async with (
        tls_door(tmp_path, living_authority, {RENEW: renew}) as (port, _),
        _client(living_authority, port, certificate=write_pair(tmp_path, "agent", pair)) as client,
    ):
        answer = await client.renew(RenewRequest(b"a request"))
    assert answer.chain == pair.chain
    assert RenewRequest.decode(asked[0].body).csr == b"a request"
    assert asked[0].headers[VERSION_HEADER] == VERSION
    assert asked[0].peer == pair.leaf.der


async def test_only_a_server_of_the_trust_domain_is_believed(living_authority, tmp_path):
    asked: list[Request] = []

    async def take(request: Request) -> Response:
        asked.append(request)
        return Response(200)

    strangers = [
        {"trust_domain": TrustDomain("other.internal")},
        {"roots": (TestAuthority.make(living_authority.now).issuer.root,)},
    ]
    async with tls_door(tmp_path, living_authority, {REPORT: take}) as (port, _):
        async with _client(living_authority, port) as client:
            await client.report(Report(()))
        for changes in strangers:
            async with _client(living_authority, port, **changes) as client:
                with pytest.raises(NotAuthorised, match="not the server of this trust domain"):
                    await client.report(Report(()))
    assert len(asked) == 1


async def test_a_workload_cannot_stand_in_for_the_server(living_authority, tmp_path):
    web = living_authority.pair(TRUST_DOMAIN.workload("default", "web"), ip_names=("127.0.0.1",))
    async with tls_door(tmp_path, living_authority, {REPORT: _fine}) as (port, tls):
        async with _client(living_authority, port) as client:
            await client.report(Report(()))
        tls.show(*write_pair(tmp_path, "web", web))
        async with _client(living_authority, port) as client:
            with pytest.raises(NotAuthorised):
                await client.report(Report(()))


async def test_the_certificate_that_is_proven_is_the_one_that_was_shown(living_authority, tmp_path):
    shown = living_authority.pair(TRUST_DOMAIN.server, dns_names=(TRUST_DOMAIN.server_dns,))

    async def challenge(_request: Request) -> Response:
        return Response(200, Challenge("once").encode())

    async with tls_door(tmp_path, living_authority, {CHALLENGE: challenge}) as (port, tls):
        tls.show(*write_pair(tmp_path, "shown", shown))
        for roots in ((living_authority.issuer.root,), None):
            async with _client(living_authority, port, roots=roots) as client:
                assert await client.challenge() == ("once", hashlib.sha256(shown.leaf.der).digest())


async def test_a_server_that_knows_no_challenge_is_older(living_authority, tmp_path):
    async with (
        tls_door(tmp_path, living_authority, {}) as (port, _),
        _client(living_authority, port) as client,
    ):
        with pytest.raises(ProtocolError, match="older than this host"):
            await client.challenge()


async def test_a_proxy_of_the_environment_is_not_asked(living_authority, tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with (
        tls_door(tmp_path, living_authority, {REPORT: _fine}) as (port, _),
        _client(living_authority, port) as client,
    ):
        await client.report(Report(()))


@pytest.mark.parametrize(
    ("raised", "arrives"),
    [
        (Refused("not yours"), Refused),
        (TicketRefused("used before"), TicketRefused),
        (NotAuthorised("who are you"), NotAuthorised),
        (ProtocolError("no sense"), ProtocolError),
        (StateError("the disk is full"), Unreachable),
        (RuntimeError("a bug"), Unreachable),
    ],
)
async def test_an_error_of_the_server_arrives_as_what_it_means(living_authority, tmp_path, raised, arrives):
    async def fail(_request: Request) -> Response:
        raise raised

    async with (
        tls_door(tmp_path, living_authority, {REPORT: fail}) as (port, _),
        _client(living_authority, port) as client,
    ):
        with pytest.raises(arrives) as caught:
            await client.report(Report(()))
    assert type(caught.value) is arrives


async def test_an_answer_that_makes_no_sense_is_a_protocol_error(living_authority, tmp_path):
    async def nonsense(_request: Request) -> Response:
        return Response(200, b"\xff\xff\xff")

    async with (
        tls_door(tmp_path, living_authority, {RENEW: nonsense}) as (port, _),
        _client(living_authority, port) as client,
    ):
        with pytest.raises(ProtocolError, match="malformed"):
            await client.renew(RenewRequest(b""))


async def test_a_server_that_is_not_there_is_unreachable(living_authority):
    async with _client(living_authority, 1) as client:
        with pytest.raises(Unreachable, match="does not answer"):
            await client.report(Report(()))
        with pytest.raises(Unreachable):
            [frame async for frame in client.watch(0)]
    with pytest.raises(Unreachable):
        await fetch_pinned_roots(_url(1), ())


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "http://127.0.0.1:1", "https://", "https://[::bad", "https://localhost:99999", "https://☃:1"],
)
async def test_an_address_that_is_none_is_told_before_anything_is_sent(living_authority, url):
    with pytest.raises(UsageError, match="no address"):
        _client(living_authority, 1, url=url)
    with pytest.raises(UsageError, match="no address"):
        await fetch_pinned_roots(url, ())


PING = ping(datetime(2026, 1, 1, tzinfo=UTC))
FRAMES = [PING, Frame(3, "bundle", "", b"x" * 70_000), Frame(4, "resources", "web", b""), PING]


@pytest.mark.parametrize("size", [1, 3, 1000, 1 << 20])
async def test_frames_arrive_whole_however_the_stream_is_cut(living_authority, tmp_path, size):
    asked: list[str] = []
    stream = b"".join(frame.encode() for frame in FRAMES)
    stream = stream if size > 100 else FRAMES[2].encode() * 3

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(stream), size):
            yield stream[start : start + size]
            await asyncio.sleep(0)

    async def watch(request: Request) -> Stream:
        asked.append(request.query["since"])
        return Stream(pieces())

    async with (
        tls_door(tmp_path, living_authority, {WATCH: watch}) as (port, _),
        _client(living_authority, port) as client,
    ):
        frames = [frame async for frame in client.watch(2)]
    assert frames == (FRAMES if size > 100 else [FRAMES[2]] * 3)
    assert asked == ["2"]


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xff", b"\0\0\0\3\xff\xff\xff"])
async def test_a_frame_that_makes_no_sense_is_a_protocol_error(living_authority, tmp_path, nonsense):
    async def pieces() -> AsyncIterator[bytes]:
        yield PING.encode() + nonsense

    async def watch(_request: Request) -> Stream:
        return Stream(pieces())

    async with (
        tls_door(tmp_path, living_authority, {WATCH: watch}) as (port, _),
        _client(living_authority, port) as client,
    ):
        with pytest.raises(ProtocolError):
            [frame async for frame in client.watch(0)]


async def test_a_watch_that_is_refused_says_why(living_authority, tmp_path):
    async def refuse(_request: Request) -> Stream:
        raise NotAuthorised("no agent that has joined here")

    async with (
        tls_door(tmp_path, living_authority, {WATCH: refuse}) as (port, _),
        _client(living_authority, port) as client,
    ):
        with pytest.raises(NotAuthorised, match="joined"):
            [frame async for frame in client.watch(0)]


async def test_the_next_server_is_asked_when_one_cannot_be_reached(living_authority, tmp_path):
    """And then stayed with; nothing that was sent is sent again."""
    asked: list[str] = []

    def routes(name: str) -> Routes:
        async def answer(_request: Request) -> Response:
            asked.append(name)
            return Response(200, Challenge(name).encode())

        async def watch(_request: Request) -> Stream:
            asked.append(name)

            async def nothing() -> AsyncIterator[bytes]:
                for each in ():
                    yield each

            return Stream(nothing())

        return {CHALLENGE: answer, REPORT: answer, WATCH: watch, ("POST", f"{PREFIX}/join"): answer}

    gone = f"https://127.0.0.1:{free_port()}"
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    async with contextlib.AsyncExitStack() as doors:
        second, _ = await doors.enter_async_context(tls_door(two, living_authority, routes("two")))
        first_door = tls_door(one, living_authority, routes("one"))
        first, _ = await first_door.__aenter__()
        async with _client(living_authority, first, url=gone, others=[_url(first), _url(second)]) as client:
            assert (await client.challenge())[0] == "one"
            await client.report(Report(()))
            await first_door.__aexit__(None, None, None)
            await client.report(Report(()))
            assert [frame async for frame in client.watch(0)] == []
            assert (await client.challenge())[0] == "two"
        assert asked == ["one", "one", "two", "two", "two"]
        async with _client(living_authority, 0, url=gone, others=[f"{gone}/"]) as client:
            with pytest.raises(Unreachable, match="does not answer"):
                await client.report(Report(()))
        # A join goes to the server whose certificate is in its proofs, or nowhere.
        async with _client(living_authority, 0, url=gone, others=[_url(second)]) as client:
            with pytest.raises(Unreachable):
                await client.join(JoinRequest("t", b"", b"", "h"))
        assert asked[5:] == []


async def test_what_was_sent_is_not_sent_again_and_a_server_that_fails_is_left(living_authority, tmp_path):
    asked: list[str] = []

    def routes(name: str, answer: Response | Exception) -> Routes:
        async def report(_request: Request) -> Response:
            asked.append(name)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return {REPORT: report}

    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    async with (
        tls_door(folders[0], living_authority, routes("one", StateError("the database is away"))) as (first, _),
        tls_door(folders[1], living_authority, routes("two", Response(200))) as (second, _),
        _client(living_authority, first, others=[_url(second)]) as client,
    ):
        with pytest.raises(Unreachable, match="the database is away"):
            await client.report(Report(()))
        assert asked == ["one"]
        await client.report(Report(()))
        assert asked == ["one", "two"]


async def test_each_server_must_prove_itself(living_authority, tmp_path):
    stranger = TestAuthority.make(living_authority.now)
    async with (
        tls_door(tmp_path, stranger, {REPORT: _fine}) as (port, _),
        _client(living_authority, 0, url=f"https://127.0.0.1:{free_port()}", others=[_url(port)]) as client,
    ):
        with pytest.raises(NotAuthorised):
            await client.report(Report(()))


async def test_roots_are_taken_only_when_their_key_is_pinned(living_authority, tmp_path):
    root, stranger = living_authority.issuer.root, TestAuthority.make().issuer.root

    async def roots(_request: Request) -> Response:
        return Response(200, to_pem((stranger, root)))

    async with tls_door(tmp_path, living_authority, {ROOTS: roots}) as (port, _):
        assert await fetch_pinned_roots(_url(port), ("00" * 32, root.pin)) == (root,)
        for pins in ((), ("00" * 32,), (root.pin[:-1],)):
            with pytest.raises(TicketRefused, match="does not fit the pin"):
                await fetch_pinned_roots(_url(port), pins)


@pytest.mark.parametrize("answer", [Response(200, b"no certificate"), Response(200, b""), Response(404, b"")])
async def test_a_server_without_roots_is_no_server_of_ours(living_authority, tmp_path, answer):
    async def roots(_request: Request) -> Response:
        return answer

    async with tls_door(tmp_path, living_authority, {ROOTS: roots}) as (port, _):
        with pytest.raises(ProtocolError, match="did not answer with"):
            await fetch_pinned_roots(_url(port), ("00" * 32,))
