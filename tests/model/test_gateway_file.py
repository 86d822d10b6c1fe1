"""`gateways:`, `expose:` and `upstream:` in the mesh file: what they mean, and what is refused with its place."""

from __future__ import annotations

import pytest

from handsel.errors import InvalidFile
from handsel.model.gateway import KeyFiles, Role, ServerTlsMode
from handsel.model.graph import Protocol
from handsel.model.traffic import TlsMode
from tests.support import read_mesh

SHOWN = "certificate: a.pem, private_key: a.key"


def _mesh(gateway: str, services: str = "web: {}"):
    return read_mesh(
        f"services: {{{services}}}\nexternal: {{bank: {{host: bank.example}}}}\ngateways: {{front: {gateway}}}\n"
    )


def test_a_gateway_is_a_workload_without_a_program():
    mesh = _mesh(
        f"{{port: 9444, tls: {{{SHOWN}}}, routes: [{{host: shop.example, to: web}}], labels: {{istio: edge}}}}"
    )
    front = mesh.members["front"]
    assert (front.role, front.port, front.command, front.calls) == (Role.INGRESS, 9444, (), {})
    assert str(front.identity) == "spiffe://mesh.internal/ns/default/sa/front"
    assert front.has_labels((("app", "front"), ("istio", "edge")))
    (gateway,) = mesh.gateways
    assert gateway.ports[0].tls.certificates == (KeyFiles("/etc/shop/a.pem", "/etc/shop/a.key"),)
    assert mesh.routes[0].gateways == ("default/front",)


def test_the_longest_path_comes_first():
    mesh = _mesh(
        f"{{port: 9444, tls: {{{SHOWN}}}, routes: [{{host: a.example, to: web}}, {{host: a.example, path: /x/y, to: cart}},"
        " {host: a.example, path: /x/, to: other}]}",
        "web: {}, cart: {}, other: {}",
    )
    (routes,) = mesh.routes
    assert [rule.to[0].callee for rule in routes.http] == ["cart", "other", "web"]
    assert [each.path.value for rule in routes.http for each in rule.matches] == ["/x/y", "/x"]


def test_hosts_are_asked_for_certificates_each_in_its_own_way():
    mesh = _mesh(
        f"{{port: 9444, tls: {{{SHOWN}, ca_certificates: ca.pem, names: [till.example]}}, routes: ["
        "{host: a.example, to: web}, {host: b.example, to: web, client_certificate: required},"
        " {host: c.example, to: web, client_certificate: optional}]}"
    )
    ports = {port.hosts: port.tls for port in mesh.gateways[0].ports}
    assert ports["a.example",].mode is ServerTlsMode.SIMPLE
    assert not ports["a.example",].ca_certificates
    assert (ports["b.example",].mode, ports["b.example",].names) == (ServerTlsMode.MUTUAL, ("till.example",))
    assert (ports["c.example",].mode, ports["c.example",].names) == (ServerTlsMode.OPTIONAL_MUTUAL, ())


def test_an_egress_guards_externals():
    mesh = _mesh("{role: egress, for: [bank]}")
    assert mesh.gateways[0].guards == ("bank",)
    assert mesh.members["front"].role is Role.EGRESS


def test_a_credential_is_named_instead_of_files():
    mesh = _mesh("{port: 9444, tls: {mode: mutual, credential: shop}, routes: [{host: '*', to: web}]}")
    tls = mesh.gateways[0].ports[0].tls
    assert tls.certificates == (KeyFiles(credential="shop"),)
    assert tls.ca_credential == "shop", "its roots are in it too, as in Istio"


def test_a_service_exposes_a_port_with_its_own_certificate():
    mesh = read_mesh("services: {web: {protocol: tcp, expose: {port: 9443, tls: {mode: simple, minimum: TLSv1.3}}}}")
    (port,) = mesh.members["web"].exposes
    assert (port.number, port.protocol, port.tls.certificates, port.tls.minimum) == (9443, "TLS", (), "TLSv1.3")


def test_an_adapter_stands_before_something_old():
    mesh = read_mesh(
        "services: {old: {role: adapter, upstream: {host: 10.0.0.7, port: 8443, protocol: http1.0,"
        " tls: {minimum: TLSv1.0, ca_certificates: ca.pem, server_name: old.example}}}}"
    )
    old = mesh.members["old"]
    assert (old.role, old.protocol) == (Role.ADAPTER, Protocol.HTTP)
    assert old.legacy.http10
    assert (old.legacy.tls.mode, old.legacy.tls.server_name) == (TlsMode.SIMPLE, "old.example")


@pytest.mark.parametrize(
    ("upstream", "codes"),
    [
        ("{host: 127.0.0.1, port: 80}", []),
        ("{host: old.example, port: 80}", ["HM-501"]),
        ("{host: old.example, port: 443, tls: {}}", []),
        ("{host: old.example, port: 443, tls: {minimum: TLSv1.0}}", ["HM-502"]),
        ("{host: old.example, port: 443, tls: {insecure: true}}", ["HM-503"]),
    ],
)
def test_a_weak_hop_is_said_aloud(upstream, codes):
    mesh = read_mesh(f"services: {{old: {{role: adapter, upstream: {upstream}}}}}")
    assert [each.code for each in mesh.findings] == codes
    assert len(mesh.notes) == len(codes)


@pytest.mark.parametrize(
    ("port", "codes"),
    [
        (f"tls: {{{SHOWN}}}", []),
        (f"tls: {{{SHOWN}}}, redirect_from: 9080", []),
        (f"tls: {{{SHOWN}, minimum: TLSv1.1}}", ["HM-505"]),
        ("bind: 0.0.0.0", ["HM-504"]),
    ],
)
def test_a_weak_port_is_said_aloud(port, codes):
    mesh = _mesh(f"{{port: 9444, {port}, routes: [{{host: a.example, to: web}}]}}")
    assert [each.code for each in mesh.findings] == codes


@pytest.mark.parametrize(
    ("gateway", "said"),
    [
        ("{port: 1, tls: {}, routes: [{host: a, to: web}]}", "name certificate and private_key"),
        ("{port: 1, tls: {certificate: a.pem}, routes: [{host: a, to: web}]}", "go together"),
        (f"{{port: 1, tls: {{{SHOWN}, credential: x}}, routes: [{{host: a, to: web}}]}}", "either a credential"),
        (f"{{port: 1, tls: {{mode: mutual, {SHOWN}}}, routes: [{{host: a, to: web}}]}}", "names their roots"),
        (f"{{port: 1, tls: {{mode: passthrough, {SHOWN}}}, routes: [{{host: a, to: web}}]}}", "does not end TLS"),
        (f"{{port: 1, tls: {{{SHOWN}, names: [x]}}, routes: [{{host: a, to: web}}]}}", "mode mutual"),
        (f"{{port: 1, tls: {{{SHOWN}, hashes: [zz]}}, routes: [{{host: a, to: web}}]}}", "no SHA-256 in hex"),
        (f"{{port: 1, tls: {{{SHOWN}, minimum: TLSv1.3, maximum: TLSv1.2}}, routes: [{{host: a, to: web}}]}}", "newer"),
        ("{port: 1, routes: [{host: a, to: webb}]}", 'did you mean "web"?'),
        ("{port: 1, routes: [{host: a, to: web}, {host: a, to: web}]}", "is there twice"),
        ("{port: 1, routes: [{host: A_B, to: web}]}", "no host name"),
        ("{port: 1, routes: [{host: a, path: x, to: web}]}", "no path"),
        ("{port: 1, routes: [{host: a, to: web, client_certificate: required}]}", "without tls nobody"),
        ("{port: 1, protocol: tcp, routes: [{host: a, to: web}]}", "names no host"),
        ("{port: 1}", "say with `routes`"),
        ("{routes: [{host: a, to: web}]}", "say at which `port`"),
        ("{redirect_from: 80, port: 1, routes: [{host: a, to: web}]}", "no https"),
        (f"{{redirect_from: 1, port: 1, tls: {{{SHOWN}}}, routes: [{{host: a, to: web}}]}}", "is the port"),
        ("{role: egress, port: 1, for: [bank]}", "an ingress's"),
        ("{role: egress, for: [bankk]}", 'did you mean "bank"?'),
        ("{role: egress, for: [bank, bank]}", "already"),
        ("{for: [bank]}", "an egress's"),
        ("{listen: {https: 8443}}", "a port is a number"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(gateway, said):
    with pytest.raises(InvalidFile) as refused:
        _mesh(gateway)
    (fault, *_) = refused.value.faults
    assert said in "\n".join(str(each) for each in refused.value.faults)
    assert fault.file == "handsel.yaml"


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("web: {calls: [front]}", "is a gateway"),
        ("web: {role: adapter}", "stands before"),
        ("web: {role: adapter, command: x, upstream: {host: a, port: 1}}", "no program"),
        ("web: {upstream: {host: a, port: 1}}", "role: adapter"),
        ("web: {protocol: grpc, role: adapter, upstream: {host: a, port: 1, protocol: http1.0}}", "say protocol: http"),
        ("web: {role: ambassador, expose: {port: 1}}", "exposes nothing"),
        ("web: {port: 1, expose: {port: 1}}", "the program itself"),
        ("web: {expose: {port: 1, tls: mutual}}", "names their roots"),
        ("web: {expose: {port: 1, tls: {mode: passthrough}}}", "ends TLS"),
    ],
)
def test_what_makes_no_sense_of_a_service_is_refused(service, said):
    with pytest.raises(InvalidFile) as refused:
        _mesh("{role: egress, for: [bank]}", service)
    assert said in "\n".join(str(each) for each in refused.value.faults)
