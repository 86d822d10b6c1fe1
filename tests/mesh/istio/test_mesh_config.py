"""What the ConfigMap `istio` says of the whole mesh."""

from __future__ import annotations

import pytest

from handsel.mesh.intent import EXTERNAL_TLS, MESH_TLS
from tests.mesh.istio.resources import ENTRY, codes, deployment, found, plan_of, resource, rule, service, together


def config(text):
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |\n{text}"
    )


def test_the_root_namespace_is_that_of_the_mesh():
    spec = {"host": "bank.example.com", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}}
    everywhere = resource("DestinationRule", "bank", spec, "roots")
    included = together(config("    rootNamespace: roots\n"), ENTRY, everywhere)
    assert included.root_namespace == "roots"
    assert included.externals[0].tls.name == "SIMPLE"  # as a rule of the mesh's own namespace
    assert together(ENTRY).root_namespace == ""


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "    trustDomain: other.internal\n",
            "HM-100",
            "the trust domain is mesh.internal, as the mesh file has it, not",
        ),
        (
            "    outboundTrafficPolicy: {mode: ALLOW_ANY}\n",
            "HM-100",
            "outboundTrafficPolicy ALLOW_ANY: what nobody decl",
        ),
        ("    meshMTLS: {minProtocolVersion: TLSV1_2}\n", "HM-106", "meshMTLS: between proxies it is always TLS 1.3"),
        (
            "    meshMTLS: {ecdhCurves: [P-256]}\n",
            "HM-118",
            "meshMTLS.ecdhCurves are those of all proxies (Istio does n",
        ),
    ],
)
def test_what_the_configuration_of_the_mesh_says_and_is_done_otherwise(text, code, message):
    assert [each.startswith(message) for each in found(together(config(text)), code)] == [True]


def test_the_configuration_of_the_mesh_that_is_usual_is_silent():
    usual = "    trustDomain: mesh.internal\n    meshMTLS: {minProtocolVersion: TLSV1_3}\n    defaultConfig: {a: 1}\n"
    assert codes(together(config(usual))) == []


WEB = (service("web", {"app": "web"}), deployment("web-v1", {"app": "web"}), ENTRY, rule({"mode": "SIMPLE"}))


def parameters(text=""):
    """Of the TLS of a workload: inbound, towards the mesh, towards the outside."""
    plan = plan_of(together(*WEB, *([config(text)] if text else [])), "web-v1")
    upstreams = {each.name: each.tls.parameters for each in plan.upstreams}
    return plan.inbounds[0].tls.parameters, upstreams["web"], upstreams["bank"]


def test_without_a_word_tls_is_as_it_is_usual():
    assert parameters() == (MESH_TLS, MESH_TLS, EXTERNAL_TLS)


def test_curves_between_proxies_are_honoured():
    inbound, mesh, outside = parameters("    meshMTLS: {ecdhCurves: [P-256, X25519]}\n")
    assert inbound == mesh
    assert (mesh.groups, mesh.minimum) == (("P-256", "X25519"), "TLSv1_3")
    assert outside == EXTERNAL_TLS


def test_the_defaults_are_for_every_other_tls():
    said = "{minProtocolVersion: TLSV1_3, ecdhCurves: [P-384], cipherSuites: [ECDHE-RSA-AES256-GCM-SHA384]}"
    inbound, mesh, outside = parameters(f"    tlsDefaults: {said}\n")
    assert inbound == mesh == MESH_TLS
    assert (outside.minimum, outside.groups) == ("TLSv1_3", ("P-384",))
    assert outside.ciphers == ("ECDHE-RSA-AES256-GCM-SHA384",)
