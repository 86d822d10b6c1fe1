"""What `mesh authorize` says of calls that no proxy would ever see, and of what cannot be said."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from handsel.cli.mesh.authorize import command
from handsel.errors import UsageError
from handsel.mesh.authorize import Call, authorize
from tests.support import read_mesh

MESH = """
trust_domain: shop.internal
services:
  web: {calls: [emoji, emoji-admin]}
  bot: {}
  lone: {role: ambassador}
  emoji:
    port: 8081
    ports: {admin: {port: 8099, protocol: tcp}}
    allow:
      - {from: [web], ports: [8081]}
      - {ip_blocks: [10.0.0.0/8], ports: [8099]}
  old: {port: 8082, mode: permissive}
"""


def verdict(caller: str, callee: str, **call: object):
    return authorize(read_mesh(MESH), Call(caller, callee, **call))  # type: ignore[arg-type]


def test_a_rule_is_named_with_its_place():
    found = verdict("web", "emoji")
    assert (found.allowed, found.rule, str(found.origin)) == (True, "default/emoji-allow#0", "handsel.yaml:11")


def test_who_has_no_way_there_is_told_so():
    found = verdict("bot", "emoji")
    assert (found.allowed, found.rule, str(found.origin)) == (False, "calls", "handsel.yaml:5")


def test_a_name_leads_to_its_port_and_an_address_may_be_needed():
    assert verdict("web", "emoji-admin", address="10.1.1.1").rule == "default/emoji-allow#1"
    assert not verdict("web", "emoji", port=8099, address="192.0.2.1").allowed
    with pytest.raises(UsageError, match="address"):
        verdict("web", "emoji-admin")


def test_a_program_outside_the_mesh_is_let_in_only_where_plaintext_is_taken():
    assert not verdict("", "emoji").allowed
    assert verdict("", "old").allowed


@pytest.mark.parametrize(
    ("caller", "callee", "port", "said"),
    [
        ("wep", "emoji", 0, "no service"), ("web", "emojj", 0, "no service"), ("web", "emoji", 1, "no port 1"),
        ("web", "lone", 0, "ambassador"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_said(caller, callee, port, said):
    with pytest.raises(UsageError, match=said):
        verdict(caller, callee, port=port)


@pytest.mark.parametrize(
    ("options", "code", "allowed"),
    [(["--from", "web"], 0, True), (["--from", "web", "--path", "/x", "--claim", "sub=a"], 0, True), ([], 1, False)],
)
def test_the_command_answers_with_its_exit_code(tmp_path, options, code, allowed):
    path = tmp_path / "handsel.yaml"
    path.write_text(MESH)
    done = CliRunner().invoke(command, ["-f", str(path), "--to", "emoji", *options, "-o", "json"])
    assert done.exit_code == code
    assert json.loads(done.stdout)["allowed"] is allowed
