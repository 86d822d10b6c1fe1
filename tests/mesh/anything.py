"""Resources, changed at random; what reading and compiling them brings, with a place for every workload."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from handsel.documents import yaml as documents
from handsel.link.report import WorkloadReport
from handsel.mesh.render import workload
from handsel.mesh.scope import Scope
from handsel.mesh.translate import plan
from handsel.model.graph import Mesh
from handsel.wiring.mesh_files import Sources, read_mesh

GOOD = [each for each in yaml.safe_load_all((Path(__file__).parent / "anything.yaml").read_text()) if each]
_WORDS: list[Any] = [
    "", "*", "a", "web", "reviews", "reviews.default.svc.cluster.local", "*.example.com", "v1", "STRICT", "PERMISSIVE",
    "DISABLE", "MUTUAL", "10.0.0.0/8", "::1", "/v1", "(a|b", "1s", "0s", "-1s", "100", "%2F", "é", "\x00", "~", "x" * 300,
    0, 1, -1, 80, 443, 8080, 65536, 2**40, 1.5, True, False, None, [], {}, [""], {"a": "b"}, [{}],
]  # fmt: skip


def changed(chance: random.Random) -> list[Any]:
    """Good resources with some changes in them."""
    resources: list[Any] = copy.deepcopy(GOOD)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        _change(chance, resources)
    return resources


def _change(chance: random.Random, resources: list[Any]) -> None:
    places = list(_places(resources))
    holder, key = chance.choice(places)
    act = chance.randrange(5)
    if act == 0 and isinstance(holder, dict):
        del holder[key]
    elif act == 1 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif act == 2:
        other, there = chance.choice(places)
        if isinstance(other, list) and there >= len(other):
            return
        holder[key] = copy.deepcopy(other[there])
    elif act == 3 and isinstance(holder, dict):
        holder[chance.choice(["tls", "port", "hosts", "match", "mode", "name", "http", "weight"])] = chance.choice(
            _WORDS
        )
    else:
        holder[key] = chance.choice(_WORDS)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(pairs):
        yield value, key
        yield from _places(each)


def read(resources: list[Any]) -> Mesh:
    """The mesh of these resources alone. Raises `InvalidFile`."""
    text = "\n---\n".join(json.dumps(each) for each in resources)
    found = tuple(documents.parse(text.encode(), "any.yaml"))
    return read_mesh(Sources(b"trust_domain: cluster.local\n", "(none)", Path(PurePosixPath("/mesh")), found))


def rendered(mesh: Mesh) -> dict[str, workload.Rendered]:
    """Envoy's configuration of every workload, each on one host; also as bytes, which fit Envoy's API."""
    places = {"host": {name: _report(mesh, name, 20000 + 100 * n) for n, name in enumerate(sorted(mesh.members))}}
    scope = Scope(mesh, places, {})
    made = {name: workload.render(plan(scope.view(host, name))) for host, name in scope.workloads}
    for each in made.values():
        workload.to_resources(each)
    return made


def _report(mesh: Mesh, name: str, first: int) -> WorkloadReport:
    service = mesh.members[name]
    ports = {callee: first + 10 + number for number, callee in enumerate(service.calls)}
    more = {each.number: first + 60 + number for number, each in enumerate(service.more_ports)}
    return WorkloadReport(
        name, "10.0.0.1", service.port or first, first + 1, first + 2, ports, "/var/log/access.log",
        callee_addresses={callee: f"127.80.0.{number + 1}" for number, callee in enumerate(service.calls)},
        more_ports=more,
    )  # fmt: skip
