"""The kubelet's probes, carried out by the sidecar: what is read, what is asked, and what real servers answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from handsel.agent.adapters.probing import Prober
from handsel.agent.probes import Grpc, HttpGet, Probe, TcpSocket, handed_on, next_url, read
from handsel.errors import UsageError
from tests.e2e.mesh_process import free_port
from tests.support import TestAuthority, write_pair

_AUTHORITY = TestAuthority.make()
PATH = "/app-health/app/readyz"


def _read(**action: object) -> Probe:
    return read(json.dumps({PATH: action}))[PATH]


def test_probes_are_read_as_kubernetes_has_them():
    get = {"path": "/r?a=b c", "port": 8080, "scheme": "HTTPS"}
    assert _read(httpGet=get, timeoutSeconds=3) == Probe(HttpGet(8080, "/r?a=b%20c", https=True), 3)
    assert _read(httpGet={"path": "live", "port": 80}) == Probe(HttpGet(80, "/live"), 1)
    assert _read(tcpSocket={"port": 5}, timeoutSeconds=1) == Probe(TcpSocket(5), 1)
    assert _read(grpc={"port": 5, "service": "emoji"}) == Probe(Grpc(5, "emoji"), 1)
    hook = read('{"/app-lifecycle/app/prestopz": {"httpGet": {"port": 1}}}')
    assert hook["/app-lifecycle/app/prestopz"].seconds > 60, "a hook has the pod's grace period"
    assert read("") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "no JSON"),
        ("[" * 100_000, "no JSON|more than"),
        ("[]", "must be an object"),
        ('{"/other": {}}', "no path of a probe"),
        ('{"/app-health/../readyz": {}}', "no path of a probe"),
        (f'{{"{PATH}": 7}}', "a probe must be an object"),
        (f'{{"{PATH}": {{}}}}', "must have one of"),
        (f'{{"{PATH}": {{"tcpSocket": {{}}}}}}', "port is a number from 1 to 65535, not None"),
        (f'{{"{PATH}": {{"tcpSocket": {{"port": true}}}}}}', "not True"),
        (f'{{"{PATH}": {{"tcpSocket": {{"port": 65536}}}}}}', "not 65536"),
        (f'{{"{PATH}": {{"tcpSocket": {{"port": 1}}, "timeoutSeconds": 1e9}}}}', "timeoutSeconds is a number"),
        (f'{{"{PATH}": {{"httpGet": {{"port": 1, "path": "/\\n"}}}}}}', "path must be text"),
        (f'{{"{PATH}": {{"httpGet": {{"port": 1, "scheme": "FTP"}}}}}}', "scheme must be HTTP or HTTPS"),
        ('{"/app-lifecycle/app/prestopz": {"tcpSocket": {"port": 1}}}', "a hook is httpGet"),
        (" " * (256 << 10) + "{}", "more than 262144 bytes"),
    ],
    ids=range(15),
)
def test_what_is_wrong_is_said(text: str, message: str):
    with pytest.raises(UsageError, match=message):
        read(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.sampled_from(["port", "path", "httpGet"]), below),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([PATH, "/x"]), JSON) | JSON)
def test_any_json_is_read_or_refused(value: object):
    with contextlib.suppress(UsageError):
        for probe in read(json.dumps(value)).values():
            assert 1 <= probe.action.port <= 65535


def test_headers_are_handed_on_but_for_those_of_the_connection():
    came = {"host": "10.0.0.7:15020", "user-agent": "kube-probe/1.30", "x-a": "b", "connection": "close", "te": "x"}
    sent = handed_on(came, 8080, 15020)
    assert sent == {
        "host": "10.0.0.7:8080", "user-agent": "kube-probe/1.30", "x-a": "b", "connection": "close",
        "accept-encoding": "identity",
    }  # fmt: skip
    assert handed_on({"host": "web.example"}, 8080, 15020)["host"] == "web.example"


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/b", "http://127.0.0.1:8080/b"),
        ("b?c=d#e", "http://127.0.0.1:8080/b?c=d"),
        ("https://127.0.0.1:8443/", "https://127.0.0.1:8443/"),
        ("https://10.0.0.7/x", "https://127.0.0.1:443/x"),
        ("http://10.0.0.8:8080/", None),
        ("//evil.example/", None),
        ("http://10.0.0.7:99999/", None),
        ("http://[", None),
        ("ftp://127.0.0.1/", None),
    ],
)
def test_a_redirect_is_followed_within_the_pod(location: str, leads_to: str | None):
    assert next_url("http://127.0.0.1:8080/a", "10.0.0.7:8080", location) == leads_to


@given(st.text(max_size=30), st.text(max_size=10))
def test_no_redirect_leads_out_of_the_pod(location: str, host: str):
    target = next_url("http://127.0.0.1:8080/a", host, location)
    assert target is None or target.startswith(("http://127.0.0.1:", "https://127.0.0.1:"))


@pytest.mark.parametrize("length", [0, 1, 127, 128, 300])
def test_the_health_request_is_what_protobuf_writes(length: int):
    name = "n" * length
    """`StringValue` also is one field of text with number 1."""
    assert Grpc(1, name).request() == StringValue(value=name).SerializeToString()


# Real servers

Answer = Callable[[bytes], Awaitable[bytes]]


@contextlib.asynccontextmanager
async def _server(answer: Answer, context=None) -> AsyncIterator[int]:
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                writer.write(await answer(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)


async def _ask(probe: Probe, **headers: str) -> tuple[int, bytes]:
    prober = Prober()
    try:
        answer = await prober.ask(probe, {"host": "10.0.0.7:15020", **headers})
    finally:
        await prober.close()
    return answer.status, answer.body


def _said(status: str, body: bytes = b"", *more: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", *more])
    return head.encode() + b"\r\n\r\n" + body


async def test_a_program_is_asked_over_http_with_the_kubelets_headers():
    seen: list[bytes] = []

    async def answer(head: bytes) -> bytes:
        seen.append(head)
        return _said("418 I'm a teapot", b"x" * 20_000)

    async with _server(answer) as port:
        status, body = await _ask(Probe(HttpGet(port, "/r?a=b"), 5), **{"x-probe": "yes"})
    assert (status, len(body)) == (418, 10 << 10)
    assert seen[0].startswith(b"GET /r?a=b HTTP/1.1\r\n")
    assert b"x-probe: yes" in seen[0].lower()
    assert f"host: 10.0.0.7:{port}\r\n".encode() in seen[0].lower()


async def test_a_certificate_is_not_verified(tmp_path):
    async def answer(_: bytes) -> bytes:
        return _said("200 OK", b"well")

    chain, key = write_pair(tmp_path, "program", _AUTHORITY.pair(_AUTHORITY.trust_domain.server))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    async with _server(answer, context) as port:
        assert await _ask(Probe(HttpGet(port, https=True), 5)) == (200, b"well")
        assert (await _ask(Probe(HttpGet(port), 5)))[0] == 500


async def test_redirects_end():
    async def answer(head: bytes) -> bytes:
        match head.split()[1]:
            case b"/once":
                return _said("302 Found", b"", "location: /well")
            case b"/away":
                return _said("302 Found", b"gone", "location: http://192.0.2.1/")
            case b"/round":
                return _said("302 Found", b"", "location: /round")
        return _said("200 OK", b"well")

    async with _server(answer) as port:
        assert await _ask(Probe(HttpGet(port, "/once"), 5)) == (200, b"well")
        assert await _ask(Probe(HttpGet(port, "/away"), 5)) == (302, b"gone")
        assert await _ask(Probe(HttpGet(port, "/round"), 5)) == (500, b"the program redirects more than 10 times\n")


async def test_a_silent_program_is_not_waited_for():
    async def answer(_: bytes) -> bytes:
        await asyncio.sleep(30)
        return b""

    async with _server(answer) as port:
        assert await _ask(Probe(HttpGet(port), 0.1)) == (500, b"the program did not answer within 0.1 s\n")
        assert (await _ask(Probe(TcpSocket(port), 5)))[0] == 200


@pytest.mark.parametrize("action", [HttpGet, TcpSocket, Grpc])
async def test_nobody_there_is_a_failure(action):
    status, body = await _ask(Probe(action(free_port()), 5))
    assert status == 500
    assert body.startswith(b"the program")


@pytest.mark.parametrize(("service", "status"), [("emoji", 200), ("", 200), ("ill", 500), ("other", 500)])
async def test_health_is_asked_by_grpc(service: str, status: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    well = {b"": b"\x08\x01", Grpc(1, "emoji").request(): b"\x08\x01", Grpc(1, "ill").request(): b"\x08\x02"}

    async def check(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        if request not in well:
            await context.abort(grpc.StatusCode.NOT_FOUND, "nobody")
        return well[request]

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        assert (await _ask(Probe(Grpc(port, service), 5)))[0] == status
    finally:
        await server.stop(None)
