"""Compiling again: what has the same view keeps its configuration, whatever else was changed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import Bug
from handsel.mesh.compiler import Compiler, shared
from handsel.mesh.service import compile_workload
from handsel.mesh.view import View
from tests.mesh.cases import parse

NAMES = ["web", "bot", "emoji", "store"]
_PORTS = "application_port: 8080, mesh_port: 15001, proxy_port: 15002"

calls = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES)), min_size=1)


def _text(graph: dict[str, set[str]], comment: str = "") -> str:
    lines = [f"{comment}services:"]
    for name, callees in sorted(graph.items()):
        lines.append(f"  {name}: {{calls: [{', '.join(sorted(callees & graph.keys() - {name}))}]}}")
    lines += ["---", "host-a:"]
    for number, name in enumerate(sorted(graph)):
        ports = ", ".join(f"{callee}: {16000 + index}" for index, callee in enumerate(NAMES))
        lines.append(f"  {name}: {{address: 10.0.0.{number + 1}, {_PORTS}, callee_ports: {{{ports}}}}}")
    return "\n".join(lines)


@given(st.lists(calls, min_size=1, max_size=5))
def test_after_any_changes_everything_is_as_if_it_were_compiled_anew(graphs):
    compiler = Compiler()
    for graph in graphs:
        mesh, places = parse(_text(graph))
        compiled = compiler.compile(mesh, places)
        assert compiled.bodies == Compiler().compile(mesh, places).bodies
        assert not compiled.broken


def test_a_place_in_a_file_is_no_change_and_is_still_told_anew():
    graph = {"web": {"emoji"}, "emoji": set()}
    compiler = Compiler()
    compiler.compile(*parse(_text(graph)))
    mesh, places = parse(_text(graph, "# a line more\n"))
    compiled = compiler.compile(mesh, places)
    assert compiled.changed == ()
    before, _ = parse(_text(graph))
    assert shared(mesh, before).services["web"].origin.line == before.services["web"].origin.line + 1


def test_what_is_as_it_was_is_the_very_same_object():
    before, _ = parse(_text({"web": {"emoji"}, "emoji": set()}))
    after, _ = parse(_text({"web": set(), "emoji": set()}))
    merged = shared(after, before)
    assert merged.services["emoji"] is before.services["emoji"]
    assert merged.services["web"] is after.services["web"]
    assert merged == after


def test_one_that_cannot_be_made_keeps_what_it_had_and_the_others_get_theirs():
    broken: set[str] = set()

    def make(view: View) -> bytes:
        if view.service.name in broken:
            raise Bug("two resources of one name")
        return compile_workload(view)

    compiler = Compiler(make)
    first = dict(compiler.compile(*parse(_text({"web": {"emoji"}, "bot": {"emoji"}, "emoji": set()}))).bodies)
    broken.add("web")
    mesh, places = parse(_text({"web": set(), "bot": set(), "emoji": set()}))
    compiled = compiler.compile(mesh, places)
    assert compiled.broken == {("host-a", "web"): "two resources of one name"}
    assert compiled.bodies["host-a", "web"] == first["host-a", "web"]
    assert compiled.bodies["host-a", "bot"] != first["host-a", "bot"]
    broken.clear()
    assert ("host-a", "web") in compiler.compile(mesh, places).changed


def test_what_a_certificate_is_changes_no_configuration():
    mesh, places = parse(_text({"web": {"emoji"}, "emoji": set()}))
    compiler = Compiler()
    compiler.compile(mesh, places)
    renewed = {"host-a": {name: replace(each, certificate_serial="2") for name, each in places["host-a"].items()}}
    assert compiler.compile(mesh, renewed).changed == ()
