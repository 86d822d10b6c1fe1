"""Random rules and policies through the real Envoy: it takes them all, and routes as the reference router says."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from handsel.envoy.adapters import binary
from handsel.envoy.bootstrap import RUNTIME
from handsel.mesh.ir import Layer, Outbound, Route, Upstream, Weighted
from handsel.mesh.render import cluster, http, protos, route
from handsel.mesh.router import Request
from handsel.mesh.router import route as decide
from handsel.model.routing import Response
from handsel.model.traffic import NOTHING_SAID
from handsel.xds.resources import CLUSTER, LISTENER
from tests.e2e.mesh_process import free_port, wait_for
from tests.mesh.traffic import drawing
from tests.mesh.validating import validate

pytestmark = pytest.mark.e2e
T = TypeVar("T")


def _drawn(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """So many examples at once: a start of Envoy is what takes time."""
    found: list[T] = []

    @settings(max_examples=count, phases=[Phase.generate], database=None)
    @given(strategy)
    def gather(value: T) -> None:
        found.append(value)

    gather()
    return found


def _outbound(routes: tuple[Route, ...]) -> Outbound:
    return Outbound("callee", 1, Layer.HTTP, False, True, ("callee",), 80, routes, (Weighted("one"),))


def _configuration(routes: dict[str, tuple[Route, ...]], upstreams: list[Upstream], port: int) -> dict[str, Any]:
    """A listener with a virtual host for each list of routes, rendered as for a callee."""
    hosts = []
    for name, each in routes.items():
        (host,) = route.outbound(_outbound(each))["virtualHosts"]
        hosts.append({**host, "name": name, "domains": [name]})
    everything = tuple(each for some in routes.values() for each in some)
    manager = http.outbound_manager(_outbound(everything), [])
    del manager["typedConfig"]["rds"]
    limit = {key: value for key, value in route.outbound(_outbound(everything)).items() if key.startswith("max")}
    manager["typedConfig"]["routeConfig"] = {"name": "all", "virtualHosts": hosts, "validateClusters": True, **limit}
    address = {"socketAddress": {"address": "127.0.0.1", "portValue": port}}
    listener = {"name": "all", "address": address, "filterChains": [{"filters": [manager]}]}
    clusters = [cluster.upstream(each) for each in upstreams]
    return {"layered_runtime": RUNTIME, "static_resources": {"listeners": [listener], "clusters": clusters}}


def _upstream(name: str, policy: Any, *, http2: bool) -> Upstream:
    endpoints, weights = (("10.0.0.1", 80), ("10.0.0.2", 80)), (1, 3)
    return Upstream(name, None, http2, endpoints, False, timedelta(seconds=1), weights=weights, policy=policy)


def test_envoy_takes_whatever_can_be_said(tmp_path):
    routes = {f"host-{index}": (each,) for index, each in enumerate(_drawn(drawing.routes, 150))}
    policies = _drawn(st.tuples(drawing.policies, st.booleans()), 80)
    usual = [_upstream(name, NOTHING_SAID, http2=False) for name in drawing.UPSTREAMS]
    more = [_upstream(f"more-{index}", said, http2=http2) for index, (said, http2) in enumerate(policies)]
    made = _configuration(routes, [*usual, *more], 1)
    for type_url, kind in ((CLUSTER, "clusters"), (LISTENER, "listeners")):
        for each in made["static_resources"][kind]:
            protos.serialise(type_url, each)
    result = validate(made, tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]


@contextlib.contextmanager
def _envoy(configuration: dict[str, Any], folder: Path, port: int) -> Iterator[None]:
    file = folder / "envoy.json"
    file.write_text(json.dumps(configuration))
    command = [binary.find(None), "--config-path", file, "--log-level", "error", "--use-dynamic-base-id"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(word) for word in [*command, "--concurrency", "1"]], stdout=log, stderr=log)
    try:
        wait_for(lambda: process.poll() is not None or _listens(port), what="Envoy listens")
        assert process.poll() is None, (folder / "log").read_text()
        yield
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _ask(connection: socket.socket, host: str, request: Request) -> tuple[int, str]:
    """Status and body, by hand: a library would change the path."""
    lines = [f"{request.method} {request.path} HTTP/1.1", f"host: {host}", "content-length: 0"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    while len(body) < int(fields.get("content-length", "0")):
        body += connection.recv(65536)
    return int(head.split(b" ")[1]), body.decode()


def test_envoy_routes_as_the_reference_router_says(tmp_path):
    rules, requests = _drawn(drawing.rules, 100), _drawn(drawing.requests, 50)
    routes = {
        f"host-{number}": tuple(
            Route(matches=matches, response=Response(200, str(index))) for index, matches in enumerate(some)
        )
        for number, some in enumerate(rules)
    }
    port, taken = free_port(), 0
    with (
        _envoy(_configuration(routes, [], port), tmp_path, port),
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        for host, some in routes.items():
            for request in requests:
                expected = decide(some, request)
                status, body = _ask(connection, host, request)
                got = int(body) if status == 200 else None
                assert (status, got) == (200 if expected.rule is not None else 404, expected.rule), (some, request)
                taken += got is not None
    assert taken > len(routes)
