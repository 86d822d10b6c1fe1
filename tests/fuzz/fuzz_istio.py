"""Istio's resources: any text is refused, or compiled to what fits Envoy's API."""

from __future__ import annotations

from pathlib import Path

from handsel.documents import yaml
from handsel.errors import InvalidFile
from handsel.wiring.mesh_files import Sources, read_mesh
from tests.mesh.anything import rendered


def fuzz(data: bytes) -> None:
    said: tuple[object, ...]
    try:
        found = tuple(yaml.parse(data, "f"))
        mesh = read_mesh(Sources(b"trust_domain: cluster.local\n", "(none)", Path("/mesh"), found))
    except InvalidFile as error:
        said = error.faults
    else:
        said = mesh.findings
        rendered(mesh)
    assert all(len(str(each).splitlines()) == 1 for each in said)
