"""What a change would do to what runs."""

from __future__ import annotations

from handsel.mesh.preview import Loss, Lost, preview
from tests.mesh.cases import parse, read

CHANGED = """
services:
  web: {{calls: [{web}]}}
  bot: {{calls: [emoji]}}
  emoji: {{protocol: {protocol}}}
---
host-a:
  web:
    {{address: 10.0.0.1, application_port: 1, mesh_port: 2, proxy_port: 3, callee_ports: {{emoji: 4}}}}
  bot:
    {{address: 10.0.0.1, application_port: 5, mesh_port: 6, proxy_port: 7, callee_ports: {{emoji: 8}}}}
  emoji: {{address: 10.0.0.1, application_port: 9, mesh_port: 10, proxy_port: 11}}
"""


def _mesh(web: str = "emoji", protocol: str = "tcp"):
    return parse(CHANGED.format(web=web, protocol=protocol))


def test_a_mesh_that_stays_changes_nothing():
    mesh, places = read("grpc_layer_4")
    seen = preview(mesh, mesh, places)
    assert (seen.proxies, seen.lost) == ((), ())


def test_a_call_that_is_taken_away_is_refused_and_its_neighbour_s_begins_anew():
    before, places = _mesh()
    after, _ = _mesh(web="")
    seen = preview(before, after, places)
    assert seen.lost == (Lost("bot", "emoji", Loss.DRAINED), Lost("web", "emoji", Loss.REFUSED))
    (web,) = (each for each in seen.proxies if each.service == "web")
    assert "listener outbound.emoji" in web.removed
    assert "cluster emoji" in web.removed
    (emoji,) = (each for each in seen.proxies if each.service == "emoji")
    assert (emoji.added, emoji.changed, emoji.removed) == ((), ("listener inbound",), ())


def test_a_call_that_comes_takes_nothing_away():
    before, places = _mesh(web="")
    after, _ = _mesh()
    assert all(each.how is Loss.DRAINED for each in preview(before, after, places).lost)


def test_a_service_that_goes_away_loses_its_calls():
    before, places = _mesh()
    after, _ = parse("services: {bot: {calls: [emoji]}, emoji: {protocol: tcp}}\n---\n{}")
    assert Lost("web", "emoji", Loss.REFUSED) in preview(before, after, places).lost
