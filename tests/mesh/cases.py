"""The cases of the compiler: each a mesh file and, behind `---`, what the agents reported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from handsel.link.report import WorkloadReport
from handsel.mesh.stages import Stage, show
from handsel.model.graph import Mesh
from tests.support import read_mesh

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = {path.stem: path for path in sorted((GOLDEN / "ir" / "in").glob("*.yaml"))}

Places = Mapping[str, Mapping[str, WorkloadReport]]


def read(case: str) -> tuple[Mesh, Places]:
    return parse(CASES[case].read_text())


def parse(text: str) -> tuple[Mesh, Places]:
    mesh, _, places = text.partition("\n---\n")
    reports = {
        host: {name: _report(name, **place) for name, place in workloads.items()}
        for host, workloads in (yaml.safe_load(places) or {}).items()
    }
    return read_mesh(mesh), reports


def _report(service: str, **place: Any) -> WorkloadReport:
    place = {"callee_ports": {}, "access_log": f"/var/lib/handsel/{service}/access.log", **place}
    return WorkloadReport(service, **place)


def compiled(case: str, stage: Stage) -> dict[str, Any]:
    """A case at a stage: plans or Envoy's configuration, by `host/service`."""
    return show(*read(case), stage)
