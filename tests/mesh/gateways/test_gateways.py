"""From nouns to the fronts of a gateway: hosts, server names, who is told what, and what must never be there twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.link.report import WorkloadReport
from handsel.mesh.compiler import Compiler
from handsel.mesh.gateways import in_common
from handsel.mesh.intent import PeerAnonymous, PeerAnyone, PeerClients, PeerIds, PeerUnchecked
from handsel.mesh.translate import translate
from handsel.model.credential import Credential
from handsel.model.gateway import Gateway, GatewayPort, KeyFiles, ServerTls, ServerTlsMode
from handsel.model.graph import Mesh
from handsel.model.routing import HttpRule, RequestMatch, Routes, Target
from handsel.model.traffic import ClientTls, TlsMode, Traffic, TrafficPolicy
from tests.support import read_mesh

TEXT = """\
trust_domain: edge.internal
services: {web: {calls: [bank]}, batch: {calls: []}, cart: {}}
external: {bank: {host: bank.example, endpoints: ["10.9.0.1:443"]}}
gateways:
  front: {labels: {istio: ingressgateway}, namespace: istio-system, listen: {443: 8443}}
"""
CREDENTIAL = ServerTls(ServerTlsMode.SIMPLE, (KeyFiles(credential="shop"),))


def _places(mesh: Mesh) -> dict[str, dict[str, WorkloadReport]]:
    """Each workload on a host of its own."""
    return {
        f"host-{name}": {
            name: WorkloadReport(
                name, f"10.0.0.{number}", 8080, 15001, 15002,
                {callee: 16000 + at for at, callee in enumerate(service.calls)}, "/log",
            )
        }
        for number, (name, service) in enumerate(mesh.members.items(), 1)
    }  # fmt: skip


def _plans(mesh: Mesh):
    return {service: plan for (_, service), plan in translate(mesh, _places(mesh)).items()}


def _with(*ports: GatewayPort, routes: tuple[Routes, ...] = (), **more) -> Mesh:
    gateway = Gateway("edge", "default", (("istio", "ingressgateway"),), ports)
    return replace(read_mesh(TEXT), gateways=(gateway,), routes=routes, **more)


def _routes(*hosts: str, to: str = "web", namespace: str = "default", **match) -> Routes:
    rule = HttpRule((RequestMatch(**match),) if match else (), (Target(to),))
    return Routes("r", namespace, hosts, (), ("default/edge",), (rule,))


def _front(mesh: Mesh):
    (front,) = _plans(mesh)["front"].fronts
    return front


_label = st.sampled_from(["a", "b", "c"])
_host = st.lists(_label, min_size=1, max_size=3).map(".".join)
_pattern = st.one_of(st.just("*"), _host, _host.map(lambda host: f"*.{host}"))


def _fits(pattern: str, host: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))


@given(_pattern, _pattern, _host)
def test_what_two_patterns_have_in_common_is_what_fits_both(one, other, host):
    both = in_common(one, other)
    assert both == in_common(other, one)
    assert bool(both and _fits(both, host)) == (_fits(one, host) and _fits(other, host))


@given(st.lists(st.lists(_pattern, min_size=1, max_size=3), min_size=1, max_size=4))
def test_no_server_name_is_at_two_chains_which_envoy_would_refuse(servers):
    ports = [GatewayPort(443, "HTTPS", tuple(hosts), CREDENTIAL) for hosts in servers]
    front = _front(_with(*ports, routes=(_routes("*"),)))
    names = [name for chain in front.chains for name in chain.server_names or ("",)]
    assert len(names) == len(set(names))
    assert len({chain.name for chain in front.chains}) == len(front.chains)


def test_a_port_is_where_it_really_listens():
    front = _front(_with(GatewayPort(443, "HTTPS", ("*",), CREDENTIAL), routes=(_routes("a.example"),)))
    assert (front.name, front.port, front.address) == ("front.8443", 8443, "10.0.0.4")


@pytest.mark.parametrize(
    ("server", "namespace", "reached"),
    [
        ("a.example", "shop", True),
        ("shop/a.example", "shop", True),
        ("other/a.example", "shop", False),
        ("./a.example", "default", True),
        ("./a.example", "shop", False),
        ("*/a.example", "shop", True),
        ("*/*.example", "shop", True),
        ("b.example", "shop", False),
    ],
)
def test_a_server_takes_routes_of_the_namespaces_that_it_names(server, namespace, reached):
    port = GatewayPort(443, "HTTPS", (server,), CREDENTIAL)
    front = _front(_with(port, routes=(_routes("a.example", namespace=namespace),)))
    assert [host for site in front.chains[0].sites for host in site.hosts] == (["a.example"] if reached else [])


def test_a_rule_counts_where_it_names_the_gateway_and_its_port():
    port = GatewayPort(443, "HTTPS", ("*",), CREDENTIAL)

    def targets(**match) -> list[str]:
        front = _front(_with(port, routes=(_routes("a.example", **match),)))
        return [each.upstream for site in front.chains[0].sites for route in site.routes for each in route.to]

    assert targets() == targets(gateways=("default/edge",)) == targets(port=443) == ["web"]
    assert targets(gateways=("mesh",)) == targets(port=80) == []


def test_who_is_asked_for_what():
    def peer(mode: ServerTlsMode, **more):
        tls = ServerTls(mode, (KeyFiles(credential="shop"),), **more)
        return _front(_with(GatewayPort(443, "HTTPS", ("*",), tls), routes=(_routes("a.example"),))).chains[0].tls

    assert peer(ServerTlsMode.SIMPLE).peer == PeerAnonymous()
    assert peer(ServerTlsMode.SIMPLE).trust_secret == ""
    assert peer(ServerTlsMode.MUTUAL, names=("x",)).peer == PeerClients(("x",))
    assert peer(ServerTlsMode.OPTIONAL_MUTUAL).peer == PeerClients(required=False)
    assert peer(ServerTlsMode.MUTUAL, insecure=True).peer == PeerUnchecked()
    assert peer(ServerTlsMode.MUTUAL).trust_secret == "credential-roots:shop"
    assert peer(ServerTlsMode.MUTUAL, ca_credential="other").trust_secret == "credential-roots:other"
    assert peer(ServerTlsMode.MUTUAL, ca_certificates="/ca", crl="/crl").trust_secret == "file-root:/ca~/crl"
    mesh_tls = (
        _front(_with(GatewayPort(443, "HTTPS", ("*",), ServerTls(ServerTlsMode.MESH)), routes=(_routes("a.example"),)))
        .chains[0]
        .tls
    )
    assert (mesh_tls.peer, mesh_tls.parameters.minimum) == (PeerAnyone(read_mesh(TEXT).trust_domain), "TLSv1_3")


def test_a_revocation_drains_the_ports_that_let_workloads_in_by_their_identity():
    port = GatewayPort(443, "HTTPS", ("*",), ServerTls(ServerTlsMode.MESH))
    mesh = _with(port, routes=(_routes("a.example"),))
    guarded = read_mesh(TEXT + "  out: {role: egress, for: [bank]}\n")

    def revocation(of: str, mesh: Mesh, gateway: str) -> int:
        withdrawn = {str(mesh.members[of].identity): 7}
        plans = {name: plan for (_, name), plan in translate(mesh, _places(mesh), withdrawn).items()}
        return plans[gateway].fronts[0].chains[0].revocation

    assert revocation("batch", mesh, "front") == 7
    assert revocation("web", guarded, "out") == 7
    assert revocation("batch", guarded, "out") == 0, "it could not call before"
    simple = _with(replace(port, tls=CREDENTIAL), routes=(_routes("a.example"),))
    assert revocation("batch", simple, "front") == 0, "clients from outside are not cut off for it"


def test_two_certificates_of_two_kinds_of_key():
    tls = replace(CREDENTIAL, certificates=(KeyFiles(credential="rsa"), KeyFiles(credential="ecdsa")))
    intent = _front(_with(GatewayPort(443, "HTTPS", ("*",), tls), routes=(_routes("a.example"),))).chains[0].tls
    assert intent.secrets == ("credential:rsa", "credential:ecdsa")


def test_a_secret_of_kubernetes_is_found_in_the_namespace_of_the_proxy():
    port = GatewayPort(443, "HTTPS", ("*",), CREDENTIAL)
    routes = (_routes("a.example"),)
    here = Credential("shop", "istio-system")
    assert _front(_with(port, routes=routes, credentials=(here,))).secrets == (
        "credential:kubernetes.istio-system.shop",
    )
    assert _front(_with(port, routes=routes, credentials=(replace(here, namespace="x"),))).secrets == (
        "credential:shop",
    )


def test_any_proxy_may_show_a_credential_to_the_outside():
    """Where Istio needs a selector, and sends plaintext without one."""
    said = TrafficPolicy(tls=ClientTls(TlsMode.MUTUAL, credential="bank-client", server_name="bank.example"))
    mesh = replace(read_mesh(TEXT), traffic=(Traffic("t", "default", ("bank",), said),))
    (bank,) = _plans(mesh)["web"].upstreams
    assert bank.tls.secrets == ("credential:bank-client", "credential-roots:bank-client")
    insecure = replace(said, tls=replace(said.tls, insecure=True))
    (bank,) = _plans(replace(mesh, traffic=(Traffic("t", "default", ("bank",), insecure),)))["web"].upstreams
    assert bank.tls.peer == PeerUnchecked()


def test_only_the_guard_knows_the_way_outside_and_who_may_call_is_checked_there():
    mesh = read_mesh(TEXT + "  out: {role: egress, for: [bank]}\n")
    plans = _plans(mesh)
    where = {name: [each.endpoints for each in plan.upstreams if each.name == "bank"] for name, plan in plans.items()}
    assert where["out"] == [(("10.9.0.1", 443),)]
    assert where["web"] == [(("10.0.0.5", 15001),)]
    (chain,) = plans["out"].fronts[0].chains
    assert chain.tls.peer == PeerIds((mesh.members["web"].identity,))
    assert chain.server_names == ("bank.example",)
    assert not plans["out"].calls, "a gateway opens no way for programs of its host"


def test_a_changed_route_compiles_only_the_gateway_and_who_is_reached():
    port = GatewayPort(443, "HTTPS", ("*",), CREDENTIAL)
    compiler = Compiler()
    mesh = _with(port, routes=(_routes("a.example"),))
    compiler.compile(mesh, _places(mesh))
    moved = _with(port, routes=(_routes("a.example", to="cart"),))
    assert {name for _, name in compiler.compile(moved, _places(moved)).changed} == {"front", "web", "cart"}
    assert compiler.compile(moved, _places(moved)).changed == ()
