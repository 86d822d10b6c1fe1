"""What the mesh file may say of routes and traffic, at its edges: the real Envoy takes what is made of all of it."""

from __future__ import annotations

import itertools

import pytest
import yaml

from handsel.mesh.render import workload
from handsel.mesh.translate import translate
from tests.mesh.cases import parse
from tests.mesh.validating import secrets_of, static, validate

pytestmark = pytest.mark.e2e

WHEN = [
    {"path": "/"},
    {"path": "/a b%20/"},
    {"path": {"exact": "/", "ignore_case": True}},
    {"path": {"prefix": "//"}},
    {"path": {"regex": r"/[a-z0-9]{1,63}/\pL+\Q.*\E[[:alpha:]]"}},
    {"method": ["GET", "M-SEARCH"], "scheme": "https", "port": 80},
    {"headers": {"X-A": "", "x_b": {"prefix": "%"}, "x-c": {"regex": "(?i)a|b"}}, "without_headers": ["x-d"]},
    {"without_headers": {"x-a": {"regex": ".*"}}, "query": ["a", "ä"]},
    {"authority": {"present": True}, "query": {"a": {"exact": ""}}},
    {"from": "web"},
]
DONE = [
    {"response": {"status": 599, "body": "ä" * 4096}},
    {"redirect": {"path": "/%41", "authority": "a.example:81", "scheme": "http", "port": 65535, "code": 303}},
    {"redirect": {"prefix": "/", "code": 307}},
    {"to": "one", "timeout": "0s", "retries": 0, "rewrite": {"path": "/"}},
    {"to": "one", "timeout": "1d", "retries": {"attempts": 100, "on": ["5xx", 409, "internal"], "backoff": "1ms"}},
    {"to": {"one": 1_000_000, "two.v": {"weight": 1, "headers": {"request": {"add": {"a": "%"}}}}}},
    {"to": "bank", "rewrite": {"authority": "%", "regex": {"pattern": r"^/(.)(.*)\.", "substitution": r"/\2\\"}}},
    {"to": "one", "headers": {"request": {"set": {"a": "%REQ(x)%"}, "remove": ["b"]}, "response": {"set": {"c": ""}}}},
    {"to": "one", "rewrite": {"path": "/a\\1"}, "fault": {"delay": {"for": "1ms", "percent": 0.0001}}},
    {"to": "two", "fault": {"abort": {"grpc": "UNAUTHENTICATED"}}, "mirror": {"one": 0.0001, "bank": 100}},
    {"to": "two", "cors": {"origins": ["*", {"regex": ".*"}], "max_age": "0s", "expose": ["a"]}, "name": "a b%"},
]
TRAFFIC = [
    {"sticky": {"header": "a", "ring": 8 << 20}},
    {"sticky": {"cookie": "a", "ttl": "1ms", "path": "/"}},
    {"sticky": {"query": "a", "table": 5_000_011}},
    {"pool": {"connections": 0x7FFFFFFF, "requests_per_connection": 1, "maximum_age": "1ms", "idle_timeout": "1d"}},
    {"pool": {"streams": 0x7FFFFFFF, "ping": "1ms", "ping_timeout": "1ms", "keep_alive": {"probes": 1, "time": "1s"}}},
    {"outliers": {"errors": 1_000_000, "interval": "1ms", "ejection_time": "1ms", "most_ejected": 0, "healthy": 100}},
    {"outliers": {"errors": 0, "gateway_errors": 1, "local_failures": 1, "codes": [200, 599]}},
    {"retry_budget": {"percent": 0.0001, "minimum": 0}, "balance": "random"},
]


def _mesh() -> str:
    callees = [f"c{number}" for number in range(len(TRAFFIC))]
    rules = [{"when": when, **done} for when, done in itertools.product(WHEN, DONE)]
    said = {
        "services": {
            "web": {"calls": ["all", *callees]},
            "one": {},
            "two": {"labels": {"v": "v"}},
            **{name: {"protocol": "grpc"} for name in callees},
        },
        "external": {"bank": {"host": "bank.example.com"}},
        "routes": {"all": rules},
        "traffic": {"two": {"subsets": {"v": {"v": "v"}}}, **dict(zip(callees, TRAFFIC, strict=True))},
    }
    place = {"address": "10.0.0.1", "application_port": 1, "mesh_port": 2, "proxy_port": 3}
    ports = {name: 10 + number for number, name in enumerate(["all", *callees])}
    places = {"a": {"web": {**place, "callee_ports": ports}, **dict.fromkeys(("one", "two", *callees), place)}}
    return f"{yaml.safe_dump(said)}\n---\n{yaml.safe_dump(places)}"


def test_envoy_takes_it(authority, tmp_path):
    plan = translate(*parse(_mesh()))["a", "web"]
    assert len(plan.outbounds[0].routes) == len(WHEN) * len(DONE)
    workload.to_resources(workload.render(plan))  # it fits the API
    result = validate(static(workload.render(plan), secrets_of(authority), tmp_path), tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
