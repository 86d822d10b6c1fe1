"""Modes, `allow`, `deny` and `tokens` in the mesh file: what they mean, and every fault with its place."""

from __future__ import annotations

import pytest

from handsel.errors import InvalidFile
from handsel.model.access import Action, Condition, Mode, Operation, PeerMode, Source
from tests.support import read_mesh

MESH = """
trust_domain: shop.internal
mode: permissive
modes: {legacy: disable}
services:
  web: {namespace: legacy}
  emoji:
    port: 8081
    mode: strict
    ports: {admin: {port: 8099, mode: disable}}
    deny: [{not_from: [web, "*/sa/root"], claims: {org.unit: r}, headers: {x-a: [b, "c*"]}}]
    allow: [{methods: [GET], ip_blocks: [10.0.0.1]}, {from: ["*"]}]
"""


def test_all_of_it_is_in_the_graph():
    mesh = read_mesh(MESH)
    assert mesh.mode is Mode.PERMISSIVE
    assert mesh.modes == (
        PeerMode("modes-legacy", "legacy", (), Mode.DISABLE),
        PeerMode("emoji", "default", (), Mode.STRICT, ((8099, Mode.DISABLE),), services=("emoji",)),
    )
    deny, allow = mesh.policies
    assert (deny.action, deny.services, str(deny.rules[0].origin)) == (Action.DENY, ("emoji",), "handsel.yaml:11")
    assert deny.rules[0].sources == (Source(not_principals=("shop.internal/ns/legacy/sa/web", "*/sa/root")),)
    assert deny.rules[0].conditions == (
        Condition("request.auth.claims[org][unit]", ("r",)),
        Condition("request.headers[x-a]", ("b", "c*")),
    )
    assert allow.rules[0].sources == (Source(ip_blocks=("10.0.0.1/32",), callers=True),)
    assert allow.rules[0].operations == (Operation(methods=("GET",)),)
    assert allow.rules[1].sources == (Source(principals=("*",)),)


@pytest.mark.parametrize(
    ("said", "path", "message"),
    [
        ("mode: loose", "services.emoji.mode", "must be"),
        ("allow: [{from: [wep]}]", "services.emoji.allow[0].from[0]", 'did you mean "web"?'),
        ("allow: [{paths: [/a*b]}]", "services.emoji.allow[0].paths[0]", "a * stands for"),
        ("allow: [{paths: ['']}]", "services.emoji.allow[0].paths[0]", "empty text"),
        ("deny: [{ip_blocks: [10.0.0.0/33]}]", "services.emoji.deny[0].ip_blocks[0]", "no IP address"),
        ("deny: [{when: [{key: request.header, values: [a]}]}]", "services.emoji.deny[0].when[0]", "no attribute"),
        ("deny: [{when: [{key: source.ip, values: [a]}]}]", "services.emoji.deny[0].when[0]", "no IP address"),
        ("deny: [{headers: {'x y': a}}]", "services.emoji.deny[0].headers", "no name of a header"),
        ("deny: [{ports: [0]}]", "services.emoji.deny[0].ports[0]", "a port is"),
        ("deny: [{pathes: [/a]}]", "services.emoji.deny[0].pathes", 'did you mean "paths"?'),
        ("tokens: [{issuer: i}]", "services.emoji.tokens[0]", "either jwks or jwks_uri"),
        ("tokens: [{issuer: i, jwks: '{}'}]", "services.emoji.tokens[0].jwks", "JSON Web Key Set"),
        ("tokens: [{issuer: i, jwks: '{\"keys\": [{\"kty\": \"EC\", \"d\": \"x\"}]}'}]", "services.emoji.tokens[0].jwks",
         "private keys"),
        ("tokens: [{issuer: i, jwks_uri: 'ftp://x/'}]", "services.emoji.tokens[0].jwks_uri", "no https URI"),
        ("sidecar: false, mode: strict", "services.emoji.mode", "no proxy"),
        ("role: ambassador, deny: [{from: [web]}]", "services.emoji.deny", "no proxy"),
    ],
)  # fmt: skip
def test_a_fault_has_its_place(said, path, message):
    with pytest.raises(InvalidFile) as caught:
        read_mesh(f"services: {{web: {{}}, emoji: {{{said}}}}}")
    faults = {each.path: each.message for each in caught.value.faults}
    found = [each for each in faults if each.startswith(path)]
    assert found, faults
    assert message in faults[found[0]]


def test_a_namespace_that_no_service_has_is_a_fault():
    with pytest.raises(InvalidFile) as caught:
        read_mesh("modes: {legasy: disable}\nservices: {web: {namespace: legacy}}")
    (fault,) = caught.value.faults
    assert (fault.path, fault.message) == ("modes.legasy", 'no service is of this namespace, did you mean "legacy"?')
