"""The graph: who is a member, and who may call whom."""

from __future__ import annotations

from tests.support import read_mesh

MESH = read_mesh("""
services:
  web: {calls: [emoji, bank]}
  bot: {calls: [web, emoji]}
  emoji: {protocol: grpc}
  partner: {sidecar: false}
external:
  bank: {host: bank.example}
""")


def test_a_service_without_a_sidecar_is_no_member():
    assert list(MESH.services) == ["web", "bot", "emoji", "partner"]
    assert list(MESH.members) == ["web", "bot", "emoji"]


def test_the_callers_of_a_service_are_those_that_name_it():
    callers = {name: [each.name for each in MESH.callers_of(name)] for name in MESH.members}
    assert callers == {"web": ["bot"], "bot": [], "emoji": ["web", "bot"]}


def test_a_call_remembers_the_line_that_allowed_it():
    assert {str(origin) for origin in MESH.services["web"].calls.values()} == {"handsel.yaml:3"}


def test_only_grpc_and_http2_speak_http_2():
    mesh = read_mesh("services: {a: {}, b: {protocol: http2}, c: {protocol: grpc}, d: {protocol: tcp}}")
    assert [service.protocol.is_http2 for service in mesh.services.values()] == [False, True, True, False]
