"""The story of the mesh: what a host is told to run, and what its proxies get."""

from __future__ import annotations

from datetime import timedelta

from handsel.link.messages import Assignment, Resources
from handsel.mesh import service
from handsel.mesh.compiler import Compiler
from handsel.xds.resources import CLUSTER, LISTENER
from tests.mesh.cases import read
from tests.support import read_mesh

MESH = read_mesh("""
services:
  web: {port: 8080, calls: [emoji, bank]}
  emoji: {namespace: votes}
  partner: {sidecar: false}
external: {bank: {host: bank.example}}
authority: {leaf_lifetime: 10m, renew_after: 9m}
""")


def test_a_host_is_told_who_its_services_are_and_whom_they_call():
    web, emoji = service.assign(MESH, ["web", "emoji"]).workloads
    assert (web.service, web.identity, web.port) == ("web", MESH.services["web"].identity, 8080)
    assert web.callees == ("emoji", "bank")
    assert (emoji.port, emoji.callees) == (0, ())
    assert web.renew_before_end == timedelta(minutes=1)


def test_a_host_is_not_told_of_what_it_does_not_run_or_what_has_no_sidecar():
    assert [each.service for each in service.assign(MESH, ["emoji", "partner", "nobody"]).workloads] == ["emoji"]
    assert service.assign(MESH, []) == Assignment(())


def test_when_to_renew_is_left_to_the_agent_unless_a_person_said_so():
    (web,) = service.assign(read_mesh("services: {web: {}}"), ["web"]).workloads
    assert web.renew_before_end is None


def test_every_workload_with_a_place_gets_its_configuration_on_its_host():
    compiled = Compiler().compile(*read("grpc_layer_4"))
    assert list(compiled.bodies) == [("host-a", "emoji"), ("host-a", "web"), ("host-b", "bot"), ("host-b", "emoji")]


def test_the_same_mesh_is_the_same_bytes():
    assert Compiler().compile(*read("external_mutual")).bodies == Compiler().compile(*read("external_mutual")).bodies


def test_what_is_published_says_which_secrets_each_part_waits_for():
    (body,) = Compiler().compile(*read("external_mutual")).bodies.values()
    resources = Resources.decode(body)
    needs = {(each.type_url, each.name): each.needs for each in resources.resources}
    assert set(needs[LISTENER, "inbound"]) == {"default", "ROOTCA"}
    assert all(name.startswith("file-") for name in needs[CLUSTER, "bank"])
    assert needs[LISTENER, "proxy"] == ()
    assert {name for each in needs.values() for name in each} == set(resources.secrets)


def test_a_change_at_one_end_changes_only_what_names_it():
    mesh, places = read("grpc_layer_4")
    compiler = Compiler()
    before = dict(compiler.compile(mesh, places).bodies)
    moved = {"host-a": places["host-a"], "host-b": {"bot": places["host-b"]["bot"]}}
    compiled = compiler.compile(mesh, moved)
    assert {key for key, body in compiled.bodies.items() if body != before[key]} == {
        ("host-a", "web"),
        ("host-b", "bot"),
    }
    assert set(compiled.changed) == {("host-a", "web"), ("host-b", "bot")}
    assert compiled.gone == (("host-b", "emoji"),)
