"""The semantics of Istio that are easy to get wrong: each has a test of its name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from handsel.mesh.scope import Scope
from handsel.model.finding import Severity
from handsel.model.graph import ExternalTls
from handsel.model.routing import MESH_GATEWAY
from handsel.model.traffic import TlsMode
from tests.mesh.istio.resources import (
    ENTRY,
    GATEWAY,
    VIRTUAL_SERVICE,
    changed,
    codes,
    deployment,
    found,
    resource,
    rule,
    service,
    together,
)
from tests.support import read_mesh

BANK = "bank.example.com"
HTTP = {"port": 9080, "name": "http"}
REVIEWS = (
    service("reviews", {"app": "reviews"}, HTTP),
    deployment("reviews-v1", {"app": "reviews", "version": "v1"}),
    deployment("reviews-v2", {"app": "reviews", "version": "v2"}),
)


def routes(*rules, hosts=("reviews",), **spec):
    return resource("VirtualService", "reviews", {"hosts": list(hosts), "http": list(rules), **spec})


def to(*hosts, **keys):
    return {"route": [{"destination": {"host": host}} for host in hosts], **keys}


def mesh_with(included, **services):
    """The graph with these resources in it."""
    mesh = read_mesh("services: {}\n")
    return replace(
        mesh,
        services={**{each.name: each for each in included.services}, **services},
        externals={each.name: each for each in included.externals},
        groups={each.name: each for each in included.groups},
        traffic=included.traffic,
        routes=included.routes,
    )


def traffic_for(included, caller, callee):
    """The rule that a caller finds."""
    mesh = mesh_with(included)
    return Scope(mesh, {}, {}).traffic_of(mesh.services[caller], mesh.callee(callee))


# 1


def test_01_http_upgrade_goes_by_the_service_port_never_by_the_target_port():
    upgraded = {"portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "SIMPLE"}}]}
    included = together(ENTRY, rule(policy=upgraded))
    assert (included.externals[0].tls, included.findings) == (ExternalTls.SIMPLE, ())
    by_target = {"portLevelSettings": [{"port": {"number": 443}, "tls": {"mode": "SIMPLE"}}]}
    included = together(ENTRY, rule(policy=by_target))
    assert included.externals[0].tls is ExternalTls.DISABLE
    (message,) = found(included, "HM-114")
    assert message == (
        "ServiceEntry 'bank' has port 80, not 443; 443 is its targetPort, and rules go by the port that programs use"
    )


def test_01_tls_for_a_whole_host_is_put_around_the_tls_of_programs_too():
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}, {"number": 443, "name": "https", "protocol": "HTTPS"}]
    entry = changed(ENTRY, "spec.ports", ports)
    included = together(entry, rule({"mode": "SIMPLE"}))
    assert found(included, "HM-127") == [f"port 443 of {BANK} has HTTPS already: this puts TLS around it"]
    one = {"portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "SIMPLE"}}]}
    assert codes(together(entry, rule(policy=one))) == []


# 2


def test_02_settings_of_a_port_replace_those_of_all():
    policy = {
        "connectionPool": {"tcp": {"maxConnections": 7}},
        "outlierDetection": {},
        "portLevelSettings": [{"port": {"number": 9080}, "loadBalancer": {"simple": "RANDOM"}}],
    }
    rules = resource("DestinationRule", "reviews", {"host": "reviews", "trafficPolicy": policy})
    (said,) = together(*REVIEWS, rules).traffic
    assert said.policy.pool.connections == 7
    assert (said.at(9080).pool, said.at(9080).outliers, said.at(9080).balance.name) == (None, None, "RANDOM")


def test_02_a_subset_says_only_what_it_says():
    spec = {
        "host": "reviews",
        "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 7}}},
        "subsets": [
            {"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
        ],
    }
    (said,) = together(*REVIEWS, resource("DestinationRule", "reviews", spec)).traffic
    (v1,) = said.subsets
    assert (v1.policy.pool, v1.policy.balance.name) == (None, "RANDOM")  # the scope puts it over the whole's


# 3


def test_03_a_credential_is_kept_for_every_role_and_never_falls_back_to_plaintext():
    included = together(ENTRY, rule({"mode": "MUTUAL", "credentialName": "client"}))
    (said,) = included.traffic
    assert (said.policy.tls.mode, said.policy.tls.credential) == (TlsMode.MUTUAL, "client")
    assert found(included, "HM-113") == [
        "no Secret 'client' in the namespace default: a secret of handsel by this name is waited for"
    ]


def test_03_the_keys_of_a_secret():
    def credentials(*secrets):
        texts = [
            f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {data}\n" for name, data in secrets
        ]
        return {each.name: each for each in together(*texts).credentials}

    tls = "{tls.crt: C, tls.key: K, ca.crt: A, ca.crl: R, tls.ocsp-staple: S}"
    found = credentials(("a", tls), ("b", "{cert: C, key: K, cacert: A, crl: R}"))
    for name in ("a", "b"):
        each = found[name]
        assert (each.certificate, each.private_key.reveal(), each.ca, each.crl) == (b"C", b"K", b"A", b"R")
    beside = credentials(("a", "{tls.crt: C, tls.key: K}"), ("a-cacert", "{ca.crt: A}"))
    assert beside["a"].ca == b"A"
    assert credentials(("a", "{password: x}")) == {}


# 4


def test_04_an_sni_alone_does_not_switch_the_check_of_the_name_off_and_that_is_said():
    included = together(ENTRY, rule({"mode": "SIMPLE", "sni": "other.example.com"}))
    assert included.externals[0].server_names == ("other.example.com",)
    assert codes(included) == ["HM-102"]
    assert "(Istio checks no name where sni stands without subjectAltNames)" in included.findings[0].message


def test_04_without_sni_and_names_it_is_the_host_that_is_sent_and_checked():
    included = together(ENTRY, rule({"mode": "SIMPLE"}))
    (found,) = included.externals
    assert (found.server_name, found.server_names, found.ca_certificates) == (BANK, (BANK,), "")


# 5


def test_05_istio_mutual_is_the_identity_of_the_mesh():
    tls = {"mode": "ISTIO_MUTUAL", "sni": "outbound_.9080_._.reviews"}
    spec = {"host": "reviews", "trafficPolicy": {"tls": tls}}
    included = together(*REVIEWS, resource("DestinationRule", "reviews", spec))
    assert included.traffic[0].policy.tls.mode is TlsMode.MESH
    assert included.traffic[0].policy.tls.server_name == "outbound_.9080_._.reviews"
    assert included.findings == ()


# 6


@pytest.mark.parametrize("host", ["*.local", "reviews"])
def test_06_any_explicit_tls_wins_even_that_of_a_rule_for_all(host):
    spec = {"host": host, "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    included = together(*REVIEWS, resource("DestinationRule", "all", spec))
    assert traffic_for(included, "reviews-v1", "reviews").policy.tls.mode is TlsMode.DISABLE
    (message,) = found(included, "HM-129")
    assert "'reviews-v1' takes mutual TLS only (STRICT)" in message
    assert included.findings[0].istio == "IST0113"


def test_06_a_rule_that_says_nothing_of_tls_leaves_it_to_the_mesh():
    spec = {"host": "*.local", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
    included = together(*REVIEWS, resource("DestinationRule", "all", spec))
    assert traffic_for(included, "reviews-v1", "reviews").policy.tls is None
    assert included.findings == ()


def test_06_a_mode_that_takes_plaintext_is_no_conflict():
    spec = {"host": "reviews", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    mode = resource("PeerAuthentication", "default", {"mtls": {"mode": "PERMISSIVE"}})
    assert "HM-129" not in codes(together(*REVIEWS, resource("DestinationRule", "all", spec), mode))


# 10


def test_10_the_order_of_the_file_is_kept():
    uris = ["/", "/exact", "/pre"]
    rules = [to("reviews", match=[{"uri": {"prefix": uri}}]) for uri in uris]
    (made,) = together(*REVIEWS, routes(*rules)).routes
    assert [each.matches[0].path.value for each in made.http] == uris


def test_10_weights_are_relative_and_one_destination_ignores_its_own():
    subsets = resource("DestinationRule", "a", {"host": "reviews", "subsets": [{"name": "v1", "labels": {}}]})
    shares = [
        {"destination": {"host": "reviews", "subset": "v1"}, "weight": 3},
        {"destination": {"host": "reviews"}, "weight": 1},
    ]
    only = [{"destination": {"host": "reviews"}, "weight": 0}]
    (made,) = together(*REVIEWS, subsets, routes({"route": shares}, {"route": only})).routes
    assert [[target.weight for target in each.to] for each in made.http] == [[3, 1], [1]]


def test_10_short_names_are_of_the_namespace_of_the_rule():
    other = [
        service("reviews", {"app": "r"}, HTTP, namespace="other"),
        deployment("r", {"app": "r"}, namespace="other"),
    ]
    spec = {"hosts": ["reviews"], "http": [to("reviews")]}
    made = together(*REVIEWS, *other, resource("VirtualService", "a", spec, "other")).routes
    assert [(each.callees, each.http[0].to[0].callee) for each in made] == [(("reviews-other",), "reviews-other")]


def test_10_gateways_left_out_are_the_mesh_and_given_ones_must_name_it():
    hosts = ["shop.example.com"]
    labels = {"istio": "ingressgateway"}
    beside = (*REVIEWS, GATEWAY, deployment("front", labels))

    def gateways(**spec):
        made = together(*beside, routes(to("reviews"), hosts=hosts, **spec)).routes
        return [each.gateways for each in made]

    assert gateways() == [(MESH_GATEWAY,)]
    assert gateways(gateways=["front"]) == [("default/front",)]
    assert sorted(gateways(gateways=["front", "mesh"])) == [("default/front",), (MESH_GATEWAY,)]


def test_10_a_host_that_the_gateway_does_not_list_is_inert():
    labels = {"istio": "ingressgateway"}
    included = together(
        *REVIEWS, GATEWAY, deployment("front", labels), routes(to("reviews"), hosts=["a.b"], gateways=["front"])
    )
    assert included.routes == ()
    (finding,) = (each for each in included.findings if each.code == "HM-132")
    assert (finding.istio, finding.severity) == ("IST0132", Severity.MEDIUM)


# 11


def test_11_retries_are_on_and_the_timeout_is_off():
    (made,) = together(*REVIEWS, routes(to("reviews"))).routes
    retry = made.http[0].retry
    assert (retry.attempts, made.http[0].timeout) == (2, None)
    assert retry.on == ("connect-failure", "refused-stream", "unavailable", "cancelled", "503")


@pytest.mark.parametrize(
    ("said", "attempts", "on"),
    [
        ({"attempts": 0}, 0, ()),
        ({"attempts": 5}, 5, ("connect-failure", "refused-stream", "unavailable", "cancelled", "503")),
        ({"attempts": 1, "retryOn": "5xx, 429"}, 1, ("5xx", "429")),
        ({"attempts": 1, "retryOn": "retriable-status-codes"}, 1, ("503",)),
    ],
    ids=["off", "attempts", "words", "codes"],
)
def test_11_what_is_said_of_retries(said, attempts, on):
    (made,) = together(*REVIEWS, routes(to("reviews", retries={**said, "perTryTimeout": "2s"}))).routes
    retry = made.http[0].retry
    assert (retry.attempts, retry.on) == (attempts, on)
    assert retry.per_try_timeout == (timedelta(seconds=2) if attempts else None)


def test_11_a_tenth_of_few_endpoints_is_nobody():
    endpoints = [{"address": f"192.0.2.{number}"} for number in range(1, 4)]
    entry = changed(changed(ENTRY, "spec.resolution", "STATIC"), "spec.endpoints", endpoints)
    tls = {"mode": "SIMPLE"}
    few = together(entry, rule(policy={"tls": tls, "outlierDetection": {}}))
    assert found(few, "HM-135") == [f"10 % of the 3 endpoints of {BANK} is none: nobody is left out"]
    enough = together(entry, rule(policy={"tls": tls, "outlierDetection": {"maxEjectionPercent": 50}}))
    assert enough.findings == ()


# 12


def test_12_tcp_without_an_address_is_called_by_its_own_port_and_never_collides():
    def tcp(name):
        spec = {"hosts": [f"{name}.example.com"], "ports": [{"number": 5432, "name": "tcp", "protocol": "TCP"}]}
        return resource("ServiceEntry", name, spec)

    included = together(tcp("a"), tcp("b"))
    assert [(each.name, each.plain_port) for each in included.externals] == [("a", 5432), ("b", 5432)]
    assert codes(included).count("HM-108") == 2
    assert {each.istio for each in included.findings if each.code == "HM-108"} == {"IST0134"}


# 13


def test_13_a_rule_is_looked_up_with_the_caller_then_the_service_then_the_mesh():
    def of(namespace, simple):
        spec = {
            "host": "reviews.default.svc.cluster.local",
            "trafficPolicy": {"loadBalancer": {"simple": simple}},
        }
        return resource("DestinationRule", "reviews", spec, namespace)

    caller = deployment("web", {"app": "web"}, namespace="shop")
    rules = {"istio-system": "RANDOM", "default": "ROUND_ROBIN", "shop": "LEAST_REQUEST"}
    for number, (_, simple) in enumerate(rules.items(), 1):
        texts = [of(namespace, balance) for namespace, balance in list(rules.items())[:number]]
        chosen = traffic_for(together(*REVIEWS, caller, *texts), "web-shop", "reviews")
        assert chosen.policy.balance.name == simple


def test_13_a_subset_without_endpoints_is_said():
    spec = {"host": "reviews", "subsets": [{"name": "v9", "labels": {"version": "v9"}}]}
    included = together(*REVIEWS, resource("DestinationRule", "reviews", spec))
    (finding,) = included.findings
    assert (finding.code, finding.istio, finding.path) == ("HM-130", "IST0173", "spec.subsets[0].labels")


# 15


def test_15_a_certificate_that_two_gateways_show():
    labels = {"istio": "ingressgateway"}
    second = changed(changed(GATEWAY, "metadata.name", "back"), "spec.servers.0.hosts", ["back.example.com"])
    included = together(GATEWAY, second, deployment("front", labels))
    assert [each.istio for each in included.findings if each.code == "HM-128"] == ["IST0138"]


# The host of the rule is a known one.


def test_a_route_to_the_entry_s_target_port_is_set_aside():
    included = together(ENTRY, changed(VIRTUAL_SERVICE, "spec.http.0.route.0.destination.port.number", 443))
    assert included.routes == ()
    (finding,) = (each for each in included.findings if each.severity is Severity.ERROR)
    assert (finding.code, finding.path) == ("HM-114", "spec.http[0].route[0].destination.port.number")
