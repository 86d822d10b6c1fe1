"""What proxies get for modes and policies, whatever they are, and that the real Envoy takes it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from handsel.mesh.render import workload
from handsel.mesh.translate import translate
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER
from tests.mesh.cases import parse, read
from tests.mesh.validating import secrets_of, static, validate

rule = st.fixed_dictionaries(
    {},
    optional={
        "from": st.just(["web"]),
        "not_from": st.just(["bot"]),
        "ip_blocks": st.sampled_from([["10.0.0.0/8"], ["10.1.0.0/16", "192.0.2.1"]]),
        "not_ip_blocks": st.just(["10.1.2.0/24"]),
        "methods": st.just(["GET"]),
        "paths": st.just(["/a*"]),
        "when": st.just([{"key": "connection.sni", "values": ["a"]}]),
    },
)
services = st.fixed_dictionaries(
    {
        "protocol": st.sampled_from(["http", "grpc", "tcp"]),
        "mode": st.sampled_from(["strict", "permissive", "disable"]),
    },
    optional={"allow": st.lists(rule, max_size=2), "deny": st.lists(rule, max_size=2)},
)
PLACES = {
    "web": {"address": "10.0.0.1", "application_port": 8080, "mesh_port": 15001, "proxy_port": 15002,
            "callee_ports": {"emoji": 15003}},
    "emoji": {"address": "10.0.0.1", "application_port": 8081, "mesh_port": 15011, "proxy_port": 15012},
}  # fmt: skip


def plans(emoji: dict[str, object], *, requests: bool):
    mesh = {
        "services": {"web": {"calls": ["emoji"]}, "bot": {"calls": ["emoji"]}, "emoji": emoji},
        "telemetry": {"requests": requests},
    }
    found = translate(*parse(f"{yaml.safe_dump(mesh)}\n---\n{yaml.safe_dump({'host': PLACES})}"))
    return found["host", "web"], found["host", "emoji"]


@settings(max_examples=60, deadline=None)
@given(services, st.booleans())
def test_no_chain_admits_more_than_its_mode_and_no_list_of_names_is_empty(emoji, requests):
    caller, callee = (workload.render(each) for each in plans(emoji, requests=requests))
    chains = callee[LISTENER]["inbound"]["filterChains"]
    secured = [each for each in chains if "transportSocket" in each]
    plain = [each for each in chains if "transportSocket" not in each]
    assert bool(secured) is (emoji["mode"] != "disable")
    assert not plain or emoji["mode"] != "strict"
    for chain in secured:
        context = chain["transportSocket"]["typedConfig"]
        assert context["requireClientCertificate"] is True
        validation = context["commonTlsContext"]["combinedValidationContext"]["defaultValidationContext"]
        assert validation["matchTypedSubjectAltNames"]
    matches = [str(each.get("filterChainMatch")) for each in chains]
    assert len(set(matches)) == len(matches)
    if emoji["mode"] == "permissive":
        assert all("transportProtocol" in each["filterChainMatch"] for each in chains)
    # Our own callers speak TLS wherever it is taken.
    assert ("transportSocket" in caller[CLUSTER]["emoji"]) is (emoji["mode"] != "disable")
    if emoji["protocol"] == "tcp":
        kinds = {each["name"] for chain in chains for each in chain["filters"]}
        assert "envoy.filters.network.http_connection_manager" not in kinds


@pytest.fixture(scope="module")
def secrets(authority):
    return secrets_of(authority)


def test_endpoints_that_take_no_tls_stand_beside_others(secrets, tmp_path):
    mesh, places = read("http_layer_4")
    plan = next(each for each in translate(mesh, places).values() if any(u.by_eds for u in each.upstreams))
    first, *others = plan.upstreams
    mixed = replace(first, endpoints=(("10.0.0.8", 1), ("10.0.0.9", 2)), plain=(("10.0.0.9", 2),))
    proxy = workload.render(replace(plan, upstreams=(mixed, *others)))
    (locality,) = proxy[ENDPOINT][first.name]["endpoints"]
    marked = {
        each["endpoint"]["address"]["socketAddress"]["address"]: "metadata" in each for each in locality["lbEndpoints"]
    }
    assert marked == {"10.0.0.8": False, "10.0.0.9": True}
    assert proxy[CLUSTER][first.name]["transportSocketMatches"][0]["match"] == {"plain": True}
    result = validate(static(proxy, secrets, tmp_path), tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
