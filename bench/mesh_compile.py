"""What compiling a mesh costs: of 100 and of 1,000 services with ten routes each, at first and after one change.

After a change only what depends on it is made anew: the time and the bytes that are sent are those of the change.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace

from report import Report, interleave, run

from handsel.link.report import WorkloadReport
from handsel.mesh.compiler import Compiler
from handsel.mesh.render import protos
from handsel.model import file as mesh_file
from handsel.model.graph import Mesh
from handsel.model.included import Included
from handsel.model.routing import Compare, HttpRule, RequestMatch, Routes, Target, Text
from handsel.wiring import collector

SIZES, ROUNDS = (100, 1000), 5
ROUTES, CALLS = 10, 5
FIRST, AGAIN = "first", "after one change"


def bench(report: Report, _options: object) -> None:
    report.conditions |= {"rounds": ROUNDS, "routes": ROUTES, "calls": CALLS, "hosts": "one a service"}
    collector.calm()  # as a server does
    meshes = {size: (_mesh(size), _places(size)) for size in SIZES}
    for number, size in interleave(SIZES, ROUNDS):  # type: ignore[arg-type]
        mesh, places = meshes[size]
        compiler = Compiler()
        protos.forget()
        first = _timed(compiler, mesh, places)
        again = _timed(compiler, _changed(_read_again(mesh), number), places)
        report.add(number, f"{size}/{FIRST}", {"ms": first[0], "ms_a_service": first[0] / size, "KiB": first[1]})
        report.add(number, f"{size}/{AGAIN}", {"ms": again[0], "KiB": again[1]})
    small, large = SIZES
    report.compare("ms_a_service", f"{large}/{FIRST}", f"{small}/{FIRST}")
    report.compare("ms", f"{large}/{AGAIN}", f"{large}/{FIRST}")
    report.compare("KiB", f"{large}/{AGAIN}", f"{small}/{AGAIN}")
    report.compare("KiB", f"{large}/{AGAIN}", f"{large}/{FIRST}")


def _timed(compiler: Compiler, mesh: Mesh, places: Mapping[str, Mapping[str, WorkloadReport]]) -> tuple[float, float]:
    """Milliseconds of processor time, and the KiB that would be sent."""
    began = time.process_time()
    compiled = compiler.compile(mesh, places)
    spent = time.process_time() - began
    return spent * 1e3, sum(len(compiled.bodies[each]) for each in compiled.changed) / 1024


def _mesh(size: int) -> Mesh:
    """Each service calls the next few, and requests to each go by ten rules."""
    names = [f"s{number}" for number in range(size)]
    services = {
        name: {"calls": [names[(number + step) % size] for step in range(1, CALLS + 1)]}
        for number, name in enumerate(names)
    }
    mesh = mesh_file.parse(
        json.dumps({"services": services}).encode(), "bench.yaml", folder="/", absolute=str,
        include=lambda _pattern: (), read_resources=lambda _documents, _around: Included(),
    )  # fmt: skip
    return replace(mesh, routes=tuple(_routes(name) for name in names))


def _routes(name: str, version: str = "") -> Routes:
    rules = tuple(
        HttpRule(
            matches=(
                RequestMatch(
                    path=Text(Compare.PREFIX, f"/v{number}{version}"),
                    headers=(("x-version", Text(Compare.EXACT, str(number))),),
                ),
            ),
            to=(Target(name),),
            name=f"v{number}",
        )
        for number in range(ROUTES)
    )
    return Routes(name, "default", (name,), (name,), http=rules)


def _places(size: int) -> dict[str, dict[str, WorkloadReport]]:
    return {
        f"h{number}": {
            f"s{number}": WorkloadReport(
                f"s{number}", f"10.{number >> 8}.{number & 255}.1", 8080, 15001, 15002,
                {f"s{(number + step) % size}": 15010 + step for step in range(1, CALLS + 1)}, "/var/log/access.log",
            )
        }
        for number in range(size)
    }  # fmt: skip


def _read_again(mesh: Mesh) -> Mesh:
    """The same mesh as new objects, as it comes from files that are read again."""
    return replace(
        mesh,
        services={name: replace(each) for name, each in mesh.services.items()},
        routes=tuple(replace(each, http=tuple(replace(rule) for rule in each.http)) for each in mesh.routes),
    )


def _changed(mesh: Mesh, number: int) -> Mesh:
    """One rule of one callee is another one."""
    first, *others = mesh.routes
    return replace(mesh, routes=(_routes(first.name, f"-{number}"), *others))


if __name__ == "__main__":
    run(Report("mesh_compile", __doc__ or ""), bench, seconds=600)
