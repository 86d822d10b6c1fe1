"""From rules and policies to a plan: how deep a proxy looks, what is for whom, and what a change touches."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from handsel.mesh.ir import Layer, WorkloadPlan
from handsel.mesh.render import workload
from handsel.mesh.translate import translate
from handsel.model.routing import ConnectionMatch, ConnectionRule, HttpRule, Routes, Target
from handsel.model.traffic import Balance
from handsel.xds.resources import LISTENER, ROUTE
from tests.mesh.cases import parse

TEXT = """
services:
  web: {{calls: [reviews, store, bank], labels: {{tier: front}}}}
  bot: {{calls: [reviews]}}
  reviews: {{}}
  next: {{}}
  store: {{protocol: tcp}}
  store-b: {{protocol: tcp}}
external: {{bank: {{host: bank.example.com, endpoints: ["10.9.0.1:443"]}}}}
{}
---
a:
  web:
    address: 10.0.0.1
    application_port: 8080
    mesh_port: 15001
    proxy_port: 15002
    callee_ports: {{reviews: 1, store: 2, bank: 3, shop: 4}}
  bot: {{address: 10.0.0.1, application_port: 8081, mesh_port: 15011, proxy_port: 15012, callee_ports: {{reviews: 5}}}}
  reviews: {{address: 10.0.0.1, application_port: 8082, mesh_port: 15021, proxy_port: 15022}}
  next: {{address: 10.0.0.1, application_port: 8083, mesh_port: 15031, proxy_port: 15032}}
  store: {{address: 10.0.0.1, application_port: 8084, mesh_port: 15041, proxy_port: 15042}}
  store-b: {{address: 10.0.0.1, application_port: 8085, mesh_port: 15051, proxy_port: 15052}}
"""


def _plans(said: str = "") -> dict[str, WorkloadPlan]:
    return {name: plan for (_, name), plan in translate(*parse(TEXT.format(said))).items()}


def _with(*routes: Routes) -> dict[str, WorkloadPlan]:
    mesh, places = parse(TEXT.format(""))
    return {name: plan for (_, name), plan in translate(replace(mesh, routes=routes), places).items()}


def _outbound(plan: WorkloadPlan, callee: str):
    (found,) = (each for each in plan.outbounds if each.callee == callee)
    return found


def _upstream(plan: WorkloadPlan, name: str):
    (found,) = (each for each in plan.upstreams if each.name == name)
    return found


@pytest.mark.parametrize(
    "said",
    [
        "routes: {reviews: [{when: {path: /old}, redirect: {path: /new}}, {to: reviews}]}",
        "routes: {reviews: [{to: reviews, fault: {abort: {status: 500}}}]}",
        "traffic: {reviews: {outliers: {}}}",
        "traffic: {reviews: {pool: {pending_requests: 1}}}",
        "traffic: {reviews: {sticky: {header: a}}}",
        "traffic: {reviews: {retry_budget: {}}}",
        "traffic: {reviews: {balance: random}}",
    ],
)
def test_what_is_about_requests_is_looked_at_by_the_caller_and_not_by_the_callee(said):
    plans = _plans(said)
    assert _outbound(plans["web"], "reviews").layer is Layer.HTTP
    assert plans["reviews"].inbounds[0].layer is Layer.TCP
    assert _outbound(_plans()["web"], "reviews").layer is Layer.TCP


@pytest.mark.parametrize(
    ("said", "callee"),
    [
        ("routes: {store: [{to: {store: 9, store-b: 1}}]}", "store"),
        ("traffic: {store: {outliers: {}, balance: random}}", "store"),
        ("traffic: {reviews: {pool: {connections: 5, connect_timeout: 1s, keep_alive: {time: 5s}}}}", "reviews"),
        ("traffic: {reviews: {sticky: {source: true}}}", "reviews"),
    ],
)
def test_what_is_about_connections_is_not(said, callee):
    assert _outbound(_plans(said)["web"], callee).layer is Layer.TCP


def test_filters_are_there_only_where_a_rule_needs_them():
    fault = (
        "routes: {reviews: [{to: reviews, fault: {abort: {status: 500}}}], bank: [{to: bank, cors: {origins: [a]}}]}"
    )
    listeners = workload.render(_plans(fault)["web"])[LISTENER]
    names = {
        name: [each["name"].rpartition(".")[2] for each in _filters(content)] for name, content in listeners.items()
    }
    assert names["outbound.reviews"] == ["fault", "router"]
    assert names["outbound.bank"] == ["cors", "router"]
    assert names["proxy"] == ["cors", "fault", "router"]
    assert _filters(workload.render(_plans()["web"])[LISTENER]["proxy"])[0]["name"].endswith("router")


def _filters(listener):
    config = listener["filterChains"][0]["filters"][-1]["typedConfig"]
    return [
        each for each in config.get("httpFilters", []) if each["name"].rpartition(".")[2] in ("cors", "fault", "router")
    ]


def test_what_a_rule_says_of_the_sender_is_decided_before():
    said = "routes: {reviews: [{when: {from: {labels: {tier: front}}}, to: next}, {when: {from: nobody}, to: next}, {to: reviews}]}"
    plans = _plans(said)
    found = {
        name: [each.to[0].upstream for each in _outbound(plans[name], "reviews").routes] for name in ("web", "bot")
    }
    assert found == {"web": ["next", "reviews"], "bot": ["reviews"]}


def test_who_may_call_a_name_is_let_in_by_all_to_whom_its_rules_lead():
    plans = _plans("routes: {reviews: [{when: {path: /a}, to: next}, {to: reviews}]}")
    allowed = {str(each).rpartition("/")[2] for each in plans["next"].inbounds[0].callers}
    assert allowed == {"web", "bot"}
    assert {each.name for each in plans["web"].upstreams} >= {"reviews", "next"}
    assert [each.callee for each in plans["web"].outbounds] == ["reviews", "store", "bank"]
    before = {str(each).rpartition("/")[2] for each in _plans()["next"].inbounds[0].callers}
    assert before == {"nobody"}


def test_a_third_party_has_not_for_ever_unless_that_was_said():
    def timeouts(rules: str) -> list[timedelta | None]:
        return [each.timeout for each in _outbound(_plans(f"routes: {{bank: [{rules}]}}")["web"], "bank").routes]

    assert timeouts("{to: bank}") == [timedelta(seconds=30)]
    assert timeouts("{to: bank, timeout: 0s}") == [timedelta(0)]
    assert timeouts("{to: bank, timeout: 3s}") == [timedelta(seconds=3)]


def test_one_target_ignores_its_weight_and_of_several_those_with_none_get_nothing():
    def reached(*weights: int) -> list[tuple[str, int]]:
        targets = tuple(Target(name, weight=weight) for name, weight in zip(("reviews", "next"), weights, strict=False))
        plans = _with(Routes("r", "default", ("reviews",), ("reviews",), http=(HttpRule(to=targets),)))
        (route,) = _outbound(plans["web"], "reviews").routes
        assert route.response is None or route.response.status == 503
        return [(each.upstream, each.weight) for each in route.to]

    assert reached(0) == [("reviews", 1)]
    assert reached(0, 3) == [("next", 3)]
    assert reached(0, 0) == []


def test_a_subset_that_nothing_declares_has_nobody():
    rule = HttpRule(to=(Target("reviews", "v9"),))
    plans = _with(Routes("r", "default", ("reviews",), ("reviews",), http=(rule,)))
    assert _upstream(plans["web"], "reviews.v9").endpoints == ()
    assert _upstream(_plans()["web"], "reviews").endpoints != ()


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        (ConnectionMatch(source_subnets=("10.0.0.0/8",)), True),
        (ConnectionMatch(source_subnets=("192.168.0.0/16",)), False),
        (ConnectionMatch(destination_subnets=("10.0.0.0/8",)), False),  # it is called by a name, not by an address
        (ConnectionMatch(port=1), False),
        (ConnectionMatch(source_labels=(("tier", "front"),)), True),
        (ConnectionMatch(gateways=("mesh",)), True),
        (ConnectionMatch(gateways=("front",)), False),
    ],
)
def test_a_rule_for_connections_is_for_whom_it_says(match, fits):
    rules = (ConnectionRule((match,), (Target("store-b"),)), ConnectionRule((), (Target("store"),)))
    plans = _with(Routes("r", "default", ("store",), ("store",), tcp=rules))
    assert [each.upstream for each in _outbound(plans["web"], "store").to] == ["store-b" if fits else "store"]


def test_a_changed_rule_touches_nothing_but_the_routes():
    """What is replaced is drained: a canary that grows must not cut connections."""

    def rendered(weight: int):
        said = f"routes: {{reviews: [{{to: {{reviews: {weight}, next: 10}}}}]}}"
        return {name: workload.render(plan) for name, plan in _plans(said).items()}

    before, after = rendered(90), rendered(10)
    changed = {
        (name, kind, resource)
        for name, kinds in after.items()
        for kind, resources in kinds.items()
        for resource, content in resources.items()
        if before[name][kind][resource] != content
    }
    assert changed == {(name, ROUTE, resource) for name in ("web", "bot") for resource in ("outbound.reviews", "proxy")}


@pytest.mark.parametrize(
    ("said", "cluster", "means"),
    [
        ("reviews: {balance: random, pool: {requests: 5}}", "reviews", (Balance.RANDOM, 5)),
        ("reviews: {balance: random, pool: {requests: 5}, ports: {80: {}}}", "reviews", (None, None)),
        ("reviews: {balance: random, pool: {requests: 5}, ports: {81: {}}}", "reviews", (Balance.RANDOM, 5)),
        (
            "reviews: {balance: random, pool: {requests: 5}, subsets: {s: {labels: {app: reviews}, balance: round_robin}}}",
            "reviews.s",
            (Balance.ROUND_ROBIN, 5),
        ),
    ],
)
def test_a_port_replaces_all_and_a_subset_only_what_it_says(said, cluster, means):
    target = f"routes: {{reviews: [{{to: {cluster}}}]}}\n" if "." in cluster else ""
    policy = _upstream(_plans(f"{target}traffic: {{{said}}}")["web"], cluster).policy
    assert (policy.balance, policy.pool.requests if policy.pool else None) == means


def test_a_third_party_is_spoken_to_in_http2_where_that_is_said():
    usual = _upstream(_plans()["web"], "bank")
    assert (usual.http2, usual.tls.application_protocols) == (False, ("http/1.1",))
    upgraded = _upstream(_plans("traffic: {bank: {pool: {http2: true}}}")["web"], "bank")
    assert (upgraded.http2, upgraded.tls.application_protocols) == (True, ("h2",))
