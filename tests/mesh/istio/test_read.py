"""Istio's resources as they are: every field that is read becomes the graph."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from handsel.model.graph import ExternalTls, Protocol
from tests.mesh.istio.resources import (
    VIRTUAL_SERVICE,
    changed,
    entry,
    loaded,
    notes_of,
    read_files,
    read_text,
    rule,
)


def external(*texts):
    (only,) = read_text(*texts).externals
    return only


def timeout(included):
    ((rule,),) = (each.http for each in included.routes)
    return rule.timeout


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_a_service_entry_of_any_version_is_an_external(version):
    found = external(entry(apiVersion=f"networking.istio.io/{version}"))
    assert (found.name, found.host) == ("bank", "bank.example.com")
    assert (found.plain_port, found.port, found.protocol) == (80, 443, Protocol.HTTP)
    assert str(found.origin) == "a.yaml:4"


def test_many_documents_a_file_and_empty_ones_between_them():
    text = f"---\n# nothing\n---\n{entry()}---\n{rule()}---\n{VIRTUAL_SERVICE}---\n"
    included = read_text(text)
    (found,) = included.externals
    assert (found.tls, timeout(included)) == (ExternalTls.SIMPLE, timedelta(seconds=5))


def test_a_rule_may_stand_in_another_file_than_its_entry():
    included = read_files({"a.yaml": rule(), "b.yaml": VIRTUAL_SERVICE, "c.yaml": entry()})
    (found,) = included.externals
    assert (found.tls, found.origin.file) == (ExternalTls.SIMPLE, "c.yaml")
    assert timeout(included) == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("written", "protocol"),
    [
        ("HTTP", Protocol.HTTP),
        ("HTTP2", Protocol.HTTP2),
        ("GRPC", Protocol.GRPC),
        ("TCP", Protocol.TCP),
        ("grpc", Protocol.GRPC),
    ],
)
def test_protocols(written, protocol):
    assert external(changed(entry(), "spec.ports.0.protocol", written)).protocol is protocol


def test_without_a_target_port_tls_goes_to_the_port_itself():
    found = external(changed(entry(), "spec.ports.0", {"number": 8080, "name": "http", "protocol": "HTTP"}))
    assert (found.plain_port, found.port) == (8080, 8080)


def test_dns_needs_no_endpoints():
    found = external(entry())
    assert (found.endpoints, found.port) == ((), 443)


@pytest.mark.parametrize("resolution", ["STATIC", "DNS"])
def test_endpoints_have_the_target_port_or_their_own(resolution):
    spec = loaded(entry())["spec"]
    spec |= {
        "resolution": resolution,
        "endpoints": [{"address": "10.0.0.7"}, {"address": "::1", "ports": {"http": 8443}}],
    }
    assert external(entry(spec=spec)).endpoints == (("10.0.0.7", 443), ("::1", 8443))


def test_with_dns_endpoints_may_be_names():
    found = external(changed(entry(), "spec.endpoints", [{"address": "eu.bank.example.com"}]))
    assert found.endpoints == (("eu.bank.example.com", 443),)


def test_without_a_target_port_the_endpoints_say_where_tls_goes():
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    spec = {**loaded(entry())["spec"], "ports": ports}
    spec["endpoints"] = [{"address": "10.0.0.7", "ports": {"http": 8443}}]
    assert external(entry(spec=spec)).port == 8443


def test_mutual_tls_has_a_certificate_a_key_and_roots_from_files():
    tls = {
        "mode": "MUTUAL",
        "clientCertificate": "certs/cert.pem",
        "privateKey": "/keys/key.pem",
        "caCertificates": "certs/ca.pem",
    }
    found = external(entry(), rule(tls))
    assert found.tls is ExternalTls.MUTUAL
    assert (found.client_certificate, found.private_key, found.ca_certificates) == (
        "/mesh/certs/cert.pem",
        "/keys/key.pem",
        "/mesh/certs/ca.pem",
    )


@pytest.mark.parametrize("roots", [{}, {"caCertificates": "system"}, {"caCertificates": ""}])
def test_without_roots_those_of_the_operating_system_hold(roots):
    assert external(entry(), rule({"mode": "SIMPLE", **roots})).ca_certificates == ""


def test_the_name_that_is_sent_and_checked_is_the_host():
    found = external(entry(), rule({"mode": "SIMPLE"}))
    assert (found.server_name, found.server_names) == ("bank.example.com", ("bank.example.com",))


def test_an_sni_alone_is_also_the_name_that_is_checked_and_a_note_says_so():
    included = read_text(entry(), rule({"mode": "SIMPLE", "sni": "other.example.com"}))
    (found,) = included.externals
    assert (found.server_name, found.server_names) == ("other.example.com", ("other.example.com",))
    (note,) = notes_of(included)
    assert note.startswith("b.yaml:4: the certificate of 'bank' must carry the name other.example.com")


def test_names_of_the_rule_come_before_those_of_the_entry():
    tls = {"mode": "SIMPLE", "sni": "sent.example.com"}
    named = changed(entry(), "spec.subjectAltNames", ["entry.example.com"])
    of_entry = read_text(named, rule(tls))
    assert of_entry.externals[0].server_names == ("entry.example.com",)
    of_rule = read_text(named, rule({**tls, "subjectAltNames": ["rule.example.com", "b.example.com"]}))
    assert of_rule.externals[0].server_names == ("rule.example.com", "b.example.com")
    assert of_entry.findings == of_rule.findings == ()


def test_verification_that_is_not_skipped_may_be_said():
    assert external(entry(), rule({"mode": "SIMPLE", "insecureSkipVerify": False})).tls is ExternalTls.SIMPLE


PORT_80 = {"number": 80}


def test_settings_of_the_service_port_replace_those_of_the_rule():
    policy = {
        "tls": {"mode": "SIMPLE", "sni": "a.example.com", "caCertificates": "a.pem"},
        "portLevelSettings": [{"port": PORT_80, "tls": {"mode": "SIMPLE"}}],
    }
    found = external(entry(), rule(policy=policy))
    assert (found.tls, found.server_name, found.ca_certificates) == (ExternalTls.SIMPLE, "bank.example.com", "")


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([], "no DestinationRule has the host bank.example.com"),
        ([rule({"mode": "DISABLE"})], "DestinationRule 'bank-tls' has tls mode DISABLE"),
        ([rule({})], "DestinationRule 'bank-tls' has tls mode DISABLE"),
        ([rule(policy={})], "DestinationRule 'bank-tls' has no tls for port 80"),
        (
            [rule(policy={"tls": {"mode": "SIMPLE"}, "portLevelSettings": [{"port": PORT_80}]})],
            "DestinationRule 'bank-tls' has no tls for port 80",
        ),
    ],
    ids=["no rule", "DISABLE", "empty tls", "no tls", "port settings without tls"],
)
def test_an_edge_without_tls_is_plain_as_in_istio_and_a_note_says_why(rules, why):
    included = read_text(entry(), *rules)
    assert included.externals[0].tls is ExternalTls.DISABLE
    assert notes_of(included) == (f"a.yaml:4: calls to 'bank' leave the sidecar unencrypted: {why}",)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("5s", 5), ("1m30s", 90), ("1.5s", 1.5), ("20ms", 0.02), ("1h", 3600), ("1000000s", 1e6), ("0s", 0)],
)
def test_timeouts(written, seconds):
    included = read_text(entry(), changed(VIRTUAL_SERVICE, "spec.http.0.timeout", written))
    assert timeout(included) == timedelta(seconds=seconds)


def test_without_a_timeout_there_is_no_limit_as_in_istio():
    route = {"route": [{"destination": {"host": "bank.example.com"}, "weight": 100}]}
    with_route = changed(VIRTUAL_SERVICE, "spec.http.0", route)
    assert external(entry()).request_timeout == timedelta(0)
    assert timeout(read_text(entry(), with_route)) is None


def test_the_gateway_mesh_may_be_said():
    included = read_text(entry(), changed(VIRTUAL_SERVICE, "spec.gateways", ["mesh"]))
    assert timeout(included) == timedelta(seconds=5)


def test_what_a_cluster_adds_means_nothing():
    metadata = {
        "name": "bank",
        "namespace": "default",
        "labels": {"app.kubernetes.io/part-of": "shop", "istio.io/rev": "canary"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        "uid": "7f1c",
        "resourceVersion": "12",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
    }
    plain = external(entry())
    assert external(entry(metadata=metadata, status={"conditions": []})) == replace(plain, origin=plain.origin)


def test_each_host_has_its_own_rule():
    other = changed(changed(entry(), "metadata.name", "post"), "spec.hosts", ["post.example.com"])
    bank, post = read_text(entry(), other, rule({"mode": "SIMPLE"})).externals
    assert (bank.name, bank.tls) == ("bank", ExternalTls.SIMPLE)
    assert (post.name, post.tls) == ("post", ExternalTls.DISABLE)
