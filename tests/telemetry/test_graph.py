"""Edges of all hosts become one graph: what is declared, joined with what was counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handsel.agent.edges import edges
from handsel.envoy.stats import Counts, ProxyCounts
from handsel.link.report import Edge
from handsel.telemetry.declared import declared, origin_of
from handsel.telemetry.edges import PlaintextReported, Reported, total
from handsel.telemetry.graph import Declared, Encryption, build, from_json, rows, to_json
from tests.support import read_mesh

MESH = read_mesh(
    """
services:
  web: {calls: [emoji, bank, old]}
  emoji: {protocol: grpc}
  bystander: {sidecar: false}
external:
  bank:
    host: bank.example.com
    tls: {mode: mutual, client_certificate: c.pem, private_key: k.pem}
  old: {host: old.example.com, port: 80, tls: {mode: disable}}
"""
)


def _edge(caller: str, callee: str, **counted: object) -> Edge:
    return Edge(caller, callee, **{"connections": 2, "bytes": 100, **counted})


def test_what_is_declared_says_how_it_is_to_be_protected() -> None:
    assert [(each.callee, each.encryption, each.external) for each in declared(MESH)] == [
        ("emoji", Encryption.MUTUAL, False),
        ("bank", Encryption.MUTUAL, True),
        ("old", Encryption.PLAIN, True),
    ]


def test_what_a_gateway_was_told_by_rules_is_declared_too() -> None:
    mesh = read_mesh(
        """
services:
  web: {}
gateways:
  front: {port: 9444, tls: {mode: simple, certificate: c.pem, private_key: k.pem}, routes: [{host: shop.example.com, to: web}]}
"""
    )
    assert declared(mesh) == []
    (found,) = declared(mesh, [("front", "web"), ("web", "front"), ("front", "gone")])
    assert (found.caller, found.callee, found.encryption) == ("front", "web", Encryption.MUTUAL)


def test_a_refused_resource_is_traced_to_the_line_that_it_comes_from() -> None:
    line = {name: str(origin) for name, origin in MESH.services["web"].calls.items()}
    assert line["emoji"] != line["bank"] or line["emoji"] == "handsel.yaml:3"
    assert origin_of(MESH, "web", ["outbound.emoji"]) == line["emoji"]
    assert origin_of(MESH, "web", ["emoji.v2"]) == line["emoji"]
    assert origin_of(MESH, "web", ["inbound", "proxy"]) == str(MESH.services["web"].origin)
    assert origin_of(MESH, "emoji", ["default"]) == str(MESH.services["emoji"].origin)
    assert origin_of(MESH, "web", ["file-cert:/etc/shop/c.pem~/etc/shop/k.pem"]) == str(MESH.externals["bank"].origin)
    assert origin_of(MESH, "nobody", ["inbound"]) == ""


def test_a_host_speaks_only_of_the_services_that_it_may_run() -> None:
    reported = Reported()
    reported.take("a", [_edge("web", "emoji"), _edge("bank-robber", "emoji")], callers=["web"])
    reported.take("b", [_edge("web", "emoji", connections=3)], callers=["web", "emoji"])
    assert {pair: edge.connections for pair, edge in reported.total().items()} == {("web", "emoji"): 5}
    reported.take("a", [], callers=["web"])
    assert reported.total()["web", "emoji"].connections == 3
    reported.keep_only(["a"])
    assert reported.total() == {}


def test_a_host_that_says_very_much_is_not_kept_whole() -> None:
    reported = Reported()
    reported.take("a", (_edge("web", f"c{number}") for number in range(10_000)), callers=["web"])
    assert len(reported.total()) == 2000


counts = st.dictionaries(st.sampled_from(["TLSv1.2", "TLSv1.3"]), st.integers(1, 9))
some_edges = st.lists(
    st.builds(
        Edge, st.sampled_from("ab"), st.sampled_from("cd"), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9),
        st.integers(0, 9), st.integers(0, 9), counts, counts,
    )
)  # fmt: skip


@given(some_edges, some_edges)
def test_it_does_not_matter_which_host_says_what_first(one: list[Edge], other: list[Edge]) -> None:
    assert total([*one, *other]) == total([*other, *one])
    assert total([*total(one).values(), *total(other).values()]) == total([*one, *other])


def test_the_graph_says_what_was_used_and_what_was_not() -> None:
    counted = {
        ("web", "emoji"): _edge("web", "emoji", bytes=300, requests=7, errors=1, tls_versions={"TLSv1.3": 2},
                                tls_groups={"X25519": 1, "X25519MLKEM768": 4}),
        ("web", "gone"): _edge("web", "gone", tls_versions={"TLSv1.3": 1}),
        ("emoji", ""): Edge("emoji", "", failures=3),
    }  # fmt: skip
    graph = build(declared(MESH), counted, {("10.0.0.9", "emoji"): 4}, MESH.members, hosts=2, hosts_heard=1)
    by_pair = {(link.caller, link.callee): link for link in graph.links}
    emoji = by_pair["web", "emoji"]
    assert emoji.protection == "mutual TLS 1.3, X25519MLKEM768"
    assert (emoji.share, emoji.requests, emoji.errors, emoji.standing) == (0.75, 7, 1, "")
    assert by_pair["web", "bank"].standing == "never used"
    assert by_pair["web", "bank"].protection == "mutual TLS"
    assert by_pair["web", "gone"].standing == "not declared"
    assert by_pair["10.0.0.9", "emoji"].standing == "not declared"
    assert by_pair["10.0.0.9", "emoji"].protection == "plaintext"
    assert graph.refused == {"emoji": 3}
    assert sum(link.share for link in graph.links) == 1
    assert next(row[1] for row in rows(graph)) == "emoji"


def test_a_connection_that_failed_uses_no_edge() -> None:
    graph = build([Declared("web", "emoji", "http", Encryption.MUTUAL)], {
        ("web", "emoji"): _edge("web", "emoji", connections=3, failures=3, bytes=0),
    }, {}, ["web"])  # fmt: skip
    assert graph.links[0].standing == "never used"
    assert graph.links[0].failures == 3


@given(some_edges)
def test_what_a_server_answers_is_the_graph(found: list[Edge]) -> None:
    graph = build([Declared("a", "c", "grpc", Encryption.SIMPLE, external=True)], total(found), {("x", "a"): 1}, "ab")
    read = from_json(to_json(graph))
    assert [(link.caller, link.callee, link.protection, link.used, link.external) for link in read.links] == [
        (link.caller, link.callee, link.protection, link.used, link.external) for link in graph.links
    ]
    assert read.refused == graph.refused


def test_an_agent_reports_answers_and_not_what_envoy_calls_requests_on_layer_4() -> None:
    used = Counts(connections=2, requests=2, received=10, sent=5, failures=1, refused={"identity": 4})
    inbound = Counts(connections=9, refused={"no certificate": 2, "policy": 1})
    counted = {"web": ProxyCounts(inbound, {"emoji": used, "idle": Counts()}), "emoji": ProxyCounts()}
    assert edges(counted) == (
        Edge("web", "emoji", connections=2, requests=0, failures=4, bytes=15),
        Edge("web", "", failures=3),
    )


def test_plaintext_is_news_when_it_grows_and_not_when_a_server_begins() -> None:
    reported = PlaintextReported()
    assert reported.new("a", [Edge("10.0.0.9", "web", connections=3)]) == {}
    assert reported.new("a", [Edge("10.0.0.9", "web", connections=3)]) == {}
    grown = [Edge("10.0.0.9", "web", connections=5), Edge("::1", "web", connections=1)]
    assert reported.new("a", grown) == {("10.0.0.9", "web"): 2, ("::1", "web"): 1}
    assert reported.new("a", [Edge("10.0.0.9", "web", connections=1)]) == {("10.0.0.9", "web"): 1}  # it began anew
