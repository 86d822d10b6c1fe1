"""What is promised of every proxy, read off the rendered configuration of any mesh."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from handsel.mesh.intent import PeerIds
from handsel.mesh.render import workload
from handsel.mesh.translate import translate
from handsel.xds.resources import CLUSTER, LISTENER, ROUTE
from tests.mesh.cases import parse

NAMES = ["web", "bot", "emoji", "store"]
protocols = st.sampled_from(["http", "http2", "grpc", "tcp"])
calls = st.sets(st.sampled_from([*NAMES, "bank"]))
graphs = st.dictionaries(st.sampled_from(NAMES), st.tuples(protocols, calls), min_size=1)


@dataclass(frozen=True)
class Compiled:
    """A mesh, said in the words of this test, and what its proxies get."""

    graph: dict[str, tuple[str, set[str]]]
    proxies: dict[str, dict[str, dict[str, Any]]]
    needs: dict[str, dict[tuple[str, str], tuple[str, ...]]]

    def callers_of(self, callee: str) -> list[str]:
        return sorted(_identity(name) for name, (_, calls) in self.graph.items() if callee in calls)


def _identity(name: str) -> str:
    return f"spiffe://test.internal/ns/default/sa/{name}"


NOBODY = "spiffe://test.internal/handsel/nobody"


@st.composite
def meshes(draw: st.DrawFn) -> Compiled:
    drawn = draw(graphs)
    graph = {name: (kind, (calls & {*drawn, "bank"}) - {name}) for name, (kind, calls) in drawn.items()}
    mode = draw(st.sampled_from(["simple", "disable", "mutual"]))
    keys = {"client_certificate": "/c", "private_key": "/k"} if mode == "mutual" else {}
    mesh = {
        "trust_domain": "test.internal",
        "services": {name: {"protocol": kind, "calls": sorted(calls)} for name, (kind, calls) in graph.items()},
        "external": {"bank": {"host": "bank.example", "tls": {"mode": mode, **keys}}},
        "telemetry": {"requests": draw(st.booleans())},
    }
    places = {
        name: {
            "address": f"10.0.0.{number}", "application_port": 8080, "mesh_port": 15001, "proxy_port": 15002,
            "callee_ports": {callee: 15010 + index for index, callee in enumerate(sorted(calls))},
        }
        for number, (name, (_, calls)) in enumerate(graph.items(), 1)
    }  # fmt: skip
    plans = translate(*parse(f"{yaml.safe_dump(mesh)}\n---\n{yaml.safe_dump({'host-a': places})}"))
    return Compiled(
        graph,
        {name: workload.render(plan) for (_, name), plan in plans.items()},
        {name: workload.needs(plan) for (_, name), plan in plans.items()},
    )


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping inside a value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _walk(each)


def _names(context: dict[str, Any]) -> list[tuple[str, str]]:
    validation = context["commonTlsContext"]["combinedValidationContext"]["defaultValidationContext"]
    return [(each["sanType"], each["matcher"]["exact"]) for each in validation["matchTypedSubjectAltNames"]]


def _inbound(proxy: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The TLS context and the filters of the mesh port, which has no other way in."""
    (chain,) = proxy[LISTENER]["inbound"]["filterChains"]
    assert "defaultFilterChain" not in proxy[LISTENER]["inbound"]
    return chain["transportSocket"]["typedConfig"], chain["filters"]


@given(meshes())
def test_every_context_of_the_mesh_is_tls_1_3_and_post_quantum_first(mesh):
    for name, proxy in mesh.proxies.items():
        contexts = [_inbound(proxy)[0]]
        contexts += [
            proxy[CLUSTER][callee]["transportSocket"]["typedConfig"] for callee in mesh.graph[name][1] - {"bank"}
        ]
        for context in contexts:
            assert context["commonTlsContext"]["tlsParams"] == {
                "tlsMinimumProtocolVersion": "TLSv1_3",
                "tlsMaximumProtocolVersion": "TLSv1_3",
                "ecdhCurves": ["X25519MLKEM768", "X25519"],
            }


@given(meshes())
def test_no_context_is_left_to_a_default_and_none_resumes_a_session(mesh):
    for proxy in mesh.proxies.values():
        for context in (each for each in _walk(proxy) if str(each.get("@type", "")).endswith("TlsContext")):
            parameters = context["commonTlsContext"]["tlsParams"]
            assert parameters["tlsMinimumProtocolVersion"] in ("TLSv1_2", "TLSv1_3")
            assert parameters["tlsMaximumProtocolVersion"] == "TLSv1_3"
            assert parameters["ecdhCurves"][0] == "X25519MLKEM768"
            if context["@type"].endswith("DownstreamTlsContext"):
                assert context["disableStatelessSessionResumption"] is True
                assert context["disableStatefulSessionResumption"] is True
            else:
                assert context["maxSessionKeys"] == 0


@given(meshes())
def test_the_mesh_port_demands_a_certificate_of_exactly_the_callers_or_of_nobody(mesh):
    for name, proxy in mesh.proxies.items():
        context, _ = _inbound(proxy)
        assert context["requireClientCertificate"] is True
        expected = mesh.callers_of(name) or [NOBODY]
        assert _names(context) == [("URI", identity) for identity in expected]


@given(meshes())
def test_the_policy_behind_the_handshake_names_the_same_callers(mesh):
    for name, proxy in mesh.proxies.items():
        (rules,) = (each for each in _walk(_inbound(proxy)[1]) if "policies" in each)
        assert rules["action"] == "ALLOW"
        expected = mesh.callers_of(name) or [NOBODY]
        principals = [
            principal["authenticated"]["principalName"]["exact"]
            for policy in rules["policies"].values()
            for principal in policy["principals"]
        ]
        assert sorted(principals) == expected


def test_a_list_of_nobody_at_all_cannot_be_written():
    with pytest.raises(ValueError, match="nobody"):
        PeerIds(())


@given(meshes())
def test_a_caller_believes_nobody_but_its_callee(mesh):
    for name, proxy in mesh.proxies.items():
        for callee in mesh.graph[name][1] - {"bank"}:
            assert _names(proxy[CLUSTER][callee]["transportSocket"]["typedConfig"]) == [("URI", _identity(callee))]


@given(meshes())
def test_the_program_is_reached_only_after_the_handshake(mesh):
    for proxy in mesh.proxies.values():
        for filter_ in _inbound(proxy)[1]:
            if filter_["name"].endswith("tcp_proxy"):
                assert filter_["typedConfig"]["upstreamConnectMode"] == "ON_DOWNSTREAM_TLS_HANDSHAKE"


@given(meshes())
def test_nothing_listens_for_others_but_the_mesh_port_and_no_port_is_shared(mesh):
    for proxy in mesh.proxies.values():
        for name, listener in proxy[LISTENER].items():
            address = ipaddress.ip_address(listener["address"]["socketAddress"]["address"])
            assert address.is_loopback == (name != "inbound")
            assert listener["enableReusePort"] is False


@given(meshes())
def test_nothing_leaves_in_plain_text_but_to_the_program_itself_and_where_a_person_said_so(mesh):
    for proxy in mesh.proxies.values():
        plain = {name for name, cluster in proxy[CLUSTER].items() if "transportSocket" not in cluster}
        assert plain <= {"_application", "bank"}
        (endpoint,) = (each for each in _walk(proxy[CLUSTER]["_application"]) if "socketAddress" in each)
        assert endpoint["socketAddress"]["address"] == "127.0.0.1"


@given(meshes())
def test_a_proxy_reaches_what_its_service_calls_and_nothing_else(mesh):
    for name, proxy in mesh.proxies.items():
        calls = mesh.graph[name][1]
        assert proxy[CLUSTER].keys() == calls | {"_application"}
        assert proxy[LISTENER].keys() == {f"outbound.{callee}" for callee in calls} | {"inbound", "proxy"}
        *hosts, last = proxy[ROUTE]["proxy"]["virtualHosts"]
        assert {host["name"] for host in hosts} <= calls
        assert not any("*" in domain for host in hosts for domain in host["domains"])
        assert (last["domains"], last["routes"][0]["directResponse"]["status"]) == (["*"], 403)


@settings(max_examples=50)
@given(meshes())
def test_what_names_a_secret_needs_it_and_nothing_else_does(mesh):
    """What is sent before its secret would wait in Envoy for ever."""
    for name, proxy in mesh.proxies.items():
        for kind in (CLUSTER, LISTENER):
            for resource, content in proxy[kind].items():
                named = {each["name"] for each in _walk(content) if "sdsConfig" in each}
                assert named == set(mesh.needs[name].get((kind, resource), ()))


EXTERNAL = """
trust_domain: test.internal
services: {{web: {{calls: [bank]}}}}
external: {{bank: {{host: bank.example, tls: {}}}}}
---
a:
  web:
    {{address: 10.0.0.1, application_port: 8080, mesh_port: 15001, proxy_port: 15002, callee_ports: {{bank: 15003}}}}
"""


def _bank(tls: str) -> dict[str, Any]:
    ((_, plan),) = translate(*parse(EXTERNAL.format(tls))).items()
    return workload.render(plan)[CLUSTER]["bank"]["transportSocket"]["typedConfig"]


def test_a_third_party_is_believed_by_its_name_and_its_root_only():
    context = _bank("{ca_certificates: /ca.pem, server_name: edge.example}")
    assert context["sni"] == "edge.example"
    assert _names(context) == [("DNS", "edge.example")]
    validation = context["commonTlsContext"]["combinedValidationContext"]["validationContextSdsSecretConfig"]
    assert validation["name"] == "file-root:/ca.pem"


def test_a_third_party_sees_our_certificate_only_when_that_was_said():
    key = "tlsCertificateSdsSecretConfigs"
    assert key not in _bank("{}")["commonTlsContext"]
    mutual = _bank("{mode: mutual, client_certificate: /c.pem, private_key: /k.pem}")["commonTlsContext"]
    assert [each["name"] for each in mutual[key]] == ["file-cert:/c.pem~/k.pem"]
