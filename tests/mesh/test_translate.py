"""From the graph and the places to plans: what moves, what is missing, what is where."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from handsel.mesh.ir import Layer
from handsel.mesh.translate import translate
from tests.mesh.cases import parse, read


def _plans(case: str):
    return {service: plan for (_, service), plan in translate(*read(case)).items()}


def _outbound(plan, callee: str):
    (found,) = (each for each in plan.outbounds if each.callee == callee)
    return found


def _upstream(plan, callee: str):
    (found,) = (each for each in plan.upstreams if each.name == callee)
    return found


def test_a_service_without_a_place_has_no_plan_and_is_no_endpoint():
    mesh, places = read("http_layer_4")
    without = {"host-a": {"web": places["host-a"]["web"]}}
    plans = translate(mesh, without)
    assert [service for _, service in plans] == ["web"]
    assert _upstream(plans["host-a", "web"], "emoji").endpoints == ()


def test_a_callee_is_reached_wherever_it_runs():
    emoji = _upstream(_plans("grpc_layer_4")["web"], "emoji")
    assert emoji.endpoints == (("10.0.0.1", 15011), ("10.0.0.2", 15011))


def test_a_place_of_a_service_that_the_mesh_does_not_know_is_left_out():
    mesh, places = read("http_layer_4")
    stranger = replace(places["host-a"]["web"], service="stranger")
    more = {**places, "host-b": {"stranger": stranger}}
    assert translate(mesh, more) == translate(mesh, places)


def test_a_callee_without_a_port_of_its_own_waits_for_the_next_report():
    mesh, places = read("http_layer_4")
    bare = {"host-a": {**places["host-a"], "web": replace(places["host-a"]["web"], callee_ports={})}}
    assert _plans("http_layer_4")["web"].outbounds
    assert translate(mesh, bare)["host-a", "web"].outbounds == ()


def test_the_order_of_hosts_and_services_changes_nothing():
    mesh, places = read("grpc_layer_4")
    turned = {host: dict(reversed(workloads.items())) for host, workloads in reversed(places.items())}
    assert list(translate(mesh, turned).items()) == list(translate(mesh, places).items())


@pytest.mark.parametrize(
    ("case", "service", "layer", "to_program_http2", "alpn"),
    [
        ("http_layer_4", "emoji", Layer.TCP, False, ()),
        ("grpc_layer_4", "emoji", Layer.TCP, True, ()),
        ("requests_layer_7", "page", Layer.HTTP, False, ("h2",)),
        ("requests_layer_7", "emoji", Layer.HTTP, True, ("h2",)),
        ("requests_layer_7", "store", Layer.TCP, False, ()),
    ],
)
def test_the_callees_port_decides_how_deep_the_hop_is_looked_into(case, service, layer, to_program_http2, alpn):
    plans = _plans(case)
    (inbound,), outbound = plans[service].inbounds, _outbound(plans["web"], service)
    upstream = _upstream(plans["web"], service)
    assert (inbound.layer, outbound.layer) == (layer, layer)
    assert inbound.application_http2 == to_program_http2
    assert inbound.tls.application_protocols == upstream.tls.application_protocols == alpn


@pytest.mark.parametrize(
    ("case", "callee", "http2"),
    [
        ("http_layer_4", "emoji", False),  # the program's own bytes inside TLS
        ("grpc_layer_4", "emoji", True),
        ("requests_layer_7", "page", True),
        ("external_others", "api", False),
        ("external_others", "rpc", True),
    ],
)
def test_what_the_proxy_listener_sends_is_what_the_callee_expects(case, callee, http2):
    assert _upstream(_plans(case)["web"], callee).http2 is http2


def test_a_tcp_service_has_no_name_at_the_proxy_port():
    outbounds = _plans("requests_layer_7")["web"].outbounds
    assert {each.callee: each.via_proxy for each in outbounds} == {"page": True, "emoji": True, "store": False}


def test_a_third_party_is_found_by_dns_unless_its_addresses_are_written_down():
    bank = _upstream(_plans("external_mutual")["web"], "bank")
    api = _upstream(_plans("external_others")["web"], "api")
    assert (bank.dns, bank.endpoints) == (False, (("10.9.0.1", 8443), ("10.9.0.2", 8443)))
    assert (api.dns, api.endpoints) == (True, (("api.example.com", 443),))


def test_a_third_party_may_have_no_more_than_tls_1_2():
    bank = _upstream(_plans("external_mutual")["web"], "bank")
    assert (bank.tls.parameters.minimum, bank.tls.parameters.maximum) == ("TLSv1_2", "TLSv1_3")
    assert _upstream(_plans("external_others")["web"], "plain").tls is None


def test_a_call_to_a_third_party_has_a_limit_in_time_and_one_within_the_mesh_has_none():
    assert _outbound(_plans("external_mutual")["web"], "bank").routes[0].timeout > timedelta(0)
    assert _outbound(_plans("http_layer_4")["web"], "emoji").routes[0].timeout is None


def test_the_secrets_of_a_plan_are_those_of_its_connections():
    assert _plans("http_layer_4")["web"].secrets == ("ROOTCA", "default")
    assert set(_plans("external_mutual")["web"].secrets) == {
        "ROOTCA", "default", "file-root:/etc/shop/certs/ca.pem",
        "file-cert:/etc/shop/certs/client.pem~/etc/shop/certs/client.key",
    }  # fmt: skip


def test_a_service_without_a_sidecar_is_no_part_of_the_mesh():
    text = "services: {{web: {{}}, partner: {{sidecar: {}}}}}\n---\na: {{partner: {{address: 10.0.0.1, {}}}}}"
    ports = "application_port: 1, mesh_port: 2, proxy_port: 3"
    assert list(translate(*parse(text.format("true", ports)))) == [("a", "partner")]
    assert translate(*parse(text.format("false", ports))) == {}


def test_a_revocation_marks_what_leads_to_the_peer_and_nothing_else():
    """The callee's port to which it may go, and at its callers what leads to it: only a change drains."""
    mesh, places = read("http_layer_4")
    usual = translate(mesh, places)
    emoji = str(mesh.services["emoji"].identity)
    marked = translate(mesh, places, {emoji: 7})
    assert {name for name in usual if usual[name] != marked[name]} == {
        name for name in usual if any(each.callee == "emoji" for each in usual[name].outbounds)
    }
    for plan in marked.values():
        assert plan.inbounds[0].revocation == 0
        assert all(each.revocation == (7 if each.name == "emoji" else 0) for each in plan.upstreams)
    web = str(mesh.services["web"].identity)
    by_caller = translate(mesh, places, {web: 9})
    called = {
        service.name for service in mesh.services.values() if "web" in {c.name for c in mesh.callers_of(service.name)}
    }
    assert {service for (_, service), plan in by_caller.items() if plan.inbounds[0].revocation == 9} == called != set()


def test_a_name_leads_to_a_callee_where_a_host_has_an_address_for_it():
    mesh, places = read("http_layer_4")
    assert all(each.named == () for plan in translate(mesh, places).values() for each in plan.outbounds)
    (host,) = [host for host, workloads in places.items() if "web" in workloads]
    report = replace(places[host]["web"], callee_addresses={"emoji": "127.80.1.1"})
    web = translate(mesh, {**places, host: {**places[host], "web": report}})[host, "web"]
    written = mesh.services["emoji"].port
    expected = tuple(("127.80.1.1", port) for port in dict.fromkeys((80, written)) if port)
    assert _outbound(web, "emoji").named == expected
