"""The router in Python and the real Envoy give the same verdict on drawn rules and drawn URLs."""

from __future__ import annotations

import http.client
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handsel.mesh.balancer.mapping import decide, rules
from handsel.mesh.balancer.normal import normal
from handsel.model.balancer import Balancer
from tests.e2e.mesh_process import free_port
from tests.mesh.balancer.certificates import make
from tests.mesh.balancer.running import read, running
from tests.mesh.balancer.workers import Worker

APPS = ("a", "b", "a-b", "ab")
INPUTS = (
    "/", "/a", "/a/", "/a/b", "/ab", "/{x}", "/{x}/", "/{x}/{y}", "/a/{x}/b", "/{x}-{y}", "/a-{x}/", "/{x}/a", "/%7Bx",
)  # fmt: skip
SEGMENTS = (
    "a", "b", "ab", "a-b", "b-a", "a-a-b", "", ".", "..", "%61", "%2e%2E", "%2F", "%5c", "\\", "%zz", "%", "~", "%7e", "{x",
    "%7Bx", "|", "'", "!", "[", "%20", "%2b", "A", "^", "%25",
)  # fmt: skip
HOSTS = ("a.x.test", "b.x.test:8443", "A-B.X.test", "c.x.test", "a.b.x.test", "y.test", "x.test", "a.y.test")
DRAWN = 6


@pytest.fixture(scope="module")
def workers() -> dict[str, Worker]:
    return {name: Worker(name) for name in APPS}


def _mapping(draw: random.Random) -> str:
    path = draw.choice(INPUTS)
    names = ["a", "b", *(["{x}", "{x}-b", "a-{x}"] if "{x}" in path else []), "{subdomain}", "{subdomain}-b"]
    if "{y}" in path:
        names += ["{x}-{y}", "{y}"]
    app, uri = draw.choice(names), draw.choice(["/", "/p", "/p/"])
    return f'{{input_uri: "{path}", app_name: "{app}", app_uri: {uri}, strict: {draw.choice(["true", "false"])}}}'


def _text(draw: random.Random, port: int, workers: dict[str, Worker]) -> str:
    lines = {each.partition(", app_name")[0]: each for each in (_mapping(draw) for _ in range(draw.randint(1, 6)))}
    apps = "".join(
        f"      {name}: {{workers: ['127.0.0.1:{each.port}'], check_health: false}}\n" for name, each in workers.items()
    )
    return (
        f"balancers:\n  front:\n    bind: 127.0.0.1\n    http_mode: 'on'\n    http_port: {port}\n    https_port: 1\n"
        f"    keep_url_encoding: {draw.choice(['true', 'false'])}\n"
        "    ssl_endpoints: [{public_key: x.pem, private_key: x.key}]\n    mappings:\n"
        + "".join(f"      - {each}\n" for each in lines.values())
        + f"    applications:\n{apps}"
    )


@pytest.fixture(scope="module", params=range(DRAWN))
def drawn(request: pytest.FixtureRequest, workers: dict[str, Worker]) -> Iterator[tuple[Balancer, int]]:
    with tempfile.TemporaryDirectory(prefix="hs-") as name:
        folder, port = Path(name), free_port()
        make("x.test", ["*.x.test", "a.y.test"]).write(folder, "x")
        text = _text(random.Random(request.param), port, workers).replace("https_port: 1", f"https_port: {free_port()}")
        with running(text, folder, port):
            yield read(text, folder).balancers[0], port


paths = st.lists(st.sampled_from(SEGMENTS), max_size=5).map(lambda parts: "/" + "/".join(parts))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=paths, host=st.sampled_from(HOSTS), query=st.sampled_from(["", "?", "?q=/a/../b"]))
def test_both_say_the_same(drawn: tuple[Balancer, int], path: str, host: str, query: str):
    balancer, port = drawn
    plain = balancer.plain
    among = rules(plain.mappings, balancer.applications, plain.names)
    expected = decide(among, host, normal(path + query, keep_url_encoding=balancer.keep_url_encoding))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("GET", path + query, skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if expected.app:
        assert answer.status == 200, (body, expected)
        told = json.loads(body)
        assert (told["worker"], told["path"]) == (expected.app, expected.path)
    else:
        assert answer.status == 404, (body, expected)
