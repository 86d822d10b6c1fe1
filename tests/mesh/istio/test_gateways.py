"""Gateways as the graph has them, and the Sidecars of workloads."""

from __future__ import annotations

import pytest

from handsel.model.gateway import KeyFiles, Role, ServerTlsMode
from tests.mesh.istio.resources import GATEWAY, changed, codes, deployment, found, resource, service, together

FRONT = deployment("front", {"istio": "ingressgateway"})
WEB = (service("web", {"app": "web"}), deployment("web-v1", {"app": "web"}))
BANK = resource(
    "ServiceEntry",
    "bank",
    {
        "hosts": ["bank.example.com"],
        "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
        "resolution": "DNS",
        "exportTo": ["."],
    },
    "shop",
)


def tls(**said):
    (made,) = together(changed(GATEWAY, "spec.servers.0.tls", said), FRONT).gateways
    return made.ports[0].tls


def test_a_gateway_and_its_workload():
    included = together(GATEWAY, FRONT, *WEB)
    (made,) = included.gateways
    assert (made.name, made.selector) == ("front", (("istio", "ingressgateway"),))
    (port,) = made.ports
    assert (port.number, port.protocol, port.hosts, port.https_redirect) == (443, "HTTPS", ("shop.example.com",), False)
    roles = {each.name: each.role for each in included.services}
    assert roles == {"front": Role.INGRESS, "web-v1": Role.SIDECAR}


def test_a_gateway_for_leaving_the_mesh():
    gateway = changed(GATEWAY, "spec.selector", {"istio": "egressgateway"})
    included = together(gateway, deployment("out", {"istio": "egressgateway"}))
    assert included.services[0].role is Role.EGRESS


def test_certificates_are_files_or_names():
    files = {"serverCertificate": "a.pem", "privateKey": "/k.pem", "caCertificates": "ca.pem"}
    made = tls(mode="MUTUAL", **files)
    assert made.certificates == (KeyFiles("/mesh/a.pem", "/k.pem"),)
    assert (made.ca_certificates, made.ca_credential) == ("/mesh/ca.pem", "")
    both = [
        {"serverCertificate": "rsa.pem", "privateKey": "rsa.key"},
        {"serverCertificate": "ec.pem", "privateKey": "ec.key"},
    ]
    assert [each.certificate for each in tls(mode="SIMPLE", tlsCertificates=both).certificates] == [
        "/mesh/rsa.pem",
        "/mesh/ec.pem",
    ]
    assert tls(mode="SIMPLE", credentialNames=["rsa", "ec"]).certificates == (
        KeyFiles(credential="rsa"),
        KeyFiles(credential="ec"),
    )


def test_the_roots_for_clients_are_in_the_secret_of_the_certificate_or_in_another():
    assert tls(mode="MUTUAL", credentialName="shop").ca_credential == "shop"
    assert tls(mode="OPTIONAL_MUTUAL", credentialName="shop", caCertCredentialName="roots").ca_credential == "roots"
    assert tls(mode="SIMPLE", credentialName="shop").ca_credential == ""


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("PASSTHROUGH", ServerTlsMode.PASSTHROUGH),
        ("AUTO_PASSTHROUGH", ServerTlsMode.AUTO_PASSTHROUGH),
        ("ISTIO_MUTUAL", ServerTlsMode.MESH),
    ],
)
def test_modes_without_a_certificate_of_the_gateway_s_own(mode, expected):
    assert tls(mode=mode).mode is expected


def test_what_is_asked_of_clients_and_of_tls():
    made = tls(
        mode="MUTUAL",
        credentialName="shop",
        caCrl="a.crl",
        subjectAltNames=["client.example.com"],
        verifyCertificateSpki=["NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A="],
        verifyCertificateHash=[":".join(["AB"] * 32)],
        minProtocolVersion="TLSV1_2",
        maxProtocolVersion="TLSV1_3",
        cipherSuites=["ECDHE-RSA-AES256-GCM-SHA384"],
    )
    assert (made.crl, made.names) == ("/mesh/a.crl", ("client.example.com",))
    assert (made.spki, made.hashes) == (("NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=",), ("ab" * 32,))
    assert (made.minimum, made.maximum, made.ciphers) == ("TLSv1.2", "TLSv1.3", ("ECDHE-RSA-AES256-GCM-SHA384",))


def test_a_plain_port_that_leads_to_https():
    server = {
        "port": {"number": 80, "protocol": "HTTP", "name": "http"},
        "hosts": ["*"],
        "tls": {"httpsRedirect": True},
    }
    (made,) = together(changed(GATEWAY, "spec.servers", [server]), FRONT).gateways
    assert (made.ports[0].https_redirect, made.ports[0].tls) == (True, None)


def test_two_for_one_port_and_host():
    second = changed(GATEWAY, "metadata.name", "again")
    included = together(GATEWAY, second, FRONT)
    assert [each.name for each in included.gateways] == ["front"]
    (finding,) = (each for each in included.findings if each.code == "HM-124")
    assert (finding.istio, finding.subject) == ("IST0145", "Gateway default/again")


def test_a_gateway_that_nobody_is():
    assert found(together(GATEWAY), "HM-133") == ["no workload has the labels {'istio': 'ingressgateway'}"]


@pytest.mark.parametrize(
    ("listed", "namespace", "taken"),
    [
        ("shop.example.com", "default", True),
        ("*/shop.example.com", "other", True),
        ("./shop.example.com", "default", True),
        ("./shop.example.com", "other", False),
        ("other/shop.example.com", "other", True),
        ("other/shop.example.com", "default", False),
        ("*.example.com", "default", True),
        ("*", "default", True),
        ("example.com", "default", False),
    ],
)
def test_which_virtual_services_a_gateway_takes(listed, namespace, taken):
    gateway = changed(GATEWAY, "spec.servers.0.hosts", [listed])
    spec = {
        "hosts": ["shop.example.com"],
        "gateways": ["default/front"],
        "http": [{"route": [{"destination": {"host": "web.default.svc.cluster.local"}}]}],
    }
    included = together(gateway, FRONT, *WEB, resource("VirtualService", "shop", spec, namespace))
    assert [each.gateways for each in included.routes] == ([("default/front",)] if taken else [])
    assert ("HM-132" in codes(included)) is not taken


# Sidecars


def calls(*sidecars, labels=None, namespace="default"):
    caller = deployment("caller", labels or {"app": "caller"}, namespace=namespace)
    included = together(*WEB, BANK, caller, *sidecars)
    (made,) = (each for each in included.services if each.name.startswith("caller"))
    return set(made.calls)


def sidecar(hosts, name="default", selector=None, namespace="default", **egress):
    spec = {"egress": [{"hosts": hosts, **egress}]}
    if selector:
        spec["workloadSelector"] = {"labels": selector}
    return resource("Sidecar", name, spec, namespace)


def test_without_a_sidecar_everything_that_is_visible_may_be_called():
    assert calls() == {"web"}
    assert calls(namespace="shop") == {"web", "bank-shop"}  # the entry is its namespace's own


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["./*"], {"bank-shop"}),
        (["*/*"], {"web", "bank-shop"}),
        (["~/*"], set()),
        (["default/*"], {"web"}),
        (["*/*.svc.cluster.local"], {"web"}),
        (["default/web.default.svc.cluster.local", "./bank.example.com"], {"web", "bank-shop"}),
    ],
)
def test_a_sidecar_narrows_what_may_be_called(hosts, expected):
    assert calls(sidecar(hosts, namespace="shop"), namespace="shop") == expected


def test_the_port_of_a_listener_narrows_too():
    assert calls(sidecar(["*/*"], port={"number": 443}, namespace="shop"), namespace="shop") == {"bank-shop"}


def test_the_most_specific_sidecar_holds():
    mesh = sidecar(["~/*"], namespace="istio-system")
    of_namespace = sidecar(["default/*"], namespace="shop")
    of_workload = sidecar(["./*"], "mine", {"app": "caller"}, "shop")
    assert calls(mesh, namespace="shop") == set()
    assert calls(mesh, of_namespace, namespace="shop") == {"web"}
    assert calls(mesh, of_namespace, of_workload, namespace="shop") == {"bank-shop"}


def test_two_sidecars_for_one():
    included = together(*WEB, sidecar(["./*"], "a"), sidecar(["./*"], "b"))
    assert found(included, "HM-123") == ["Sidecar default/a (a.yaml:31) is for the whole namespace already"]


def test_that_what_nobody_declares_stays_out_of_reach_is_said():
    spec = {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}
    assert found(together(resource("Sidecar", "a", spec)), "HM-100") == [
        "ALLOW_ANY: what nobody declares stays out of reach"
    ]
