"""DestinationRules as the graph has them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.mesh.intent import PeerHosts
from handsel.model.finding import Severity
from handsel.model.graph import ExternalTls
from handsel.model.traffic import (
    Balance,
    HashOn,
    KeepAlive,
    Outliers,
    Pool,
    RetryBudget,
    Sticky,
    TlsMode,
    TrafficPolicy,
)
from handsel.xds import secret
from tests.mesh.istio.resources import (
    ENTRY,
    changed,
    codes,
    deployment,
    found,
    plan_of,
    resource,
    rule,
    service,
    together,
)

WEB = (
    service("web", {"app": "web"}, {"port": 80, "name": "http"}, {"port": 81, "name": "http-more"}),
    deployment("web-v1", {"app": "web", "version": "v1"}),
)
BANK = "bank.example.com"


def destination_rule(spec, name="web", namespace="default", **metadata):
    return resource("DestinationRule", name, {"host": "web", **spec}, namespace, **metadata)


def policy(**said):
    (made,) = together(*WEB, destination_rule({"trafficPolicy": said})).traffic
    return made.policy


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"simple": "LEAST_CONN"}, TrafficPolicy(balance=Balance.LEAST_REQUEST)),
        ({"simple": "PASSTHROUGH"}, TrafficPolicy(balance=Balance.PASSTHROUGH)),
        ({"simple": "UNSPECIFIED"}, TrafficPolicy()),
        ({"consistentHash": {"httpHeaderName": "X-A"}}, TrafficPolicy(sticky=Sticky(HashOn.HEADER, "x-a"))),
        ({"consistentHash": {"useSourceIp": True}}, TrafficPolicy(sticky=Sticky(HashOn.SOURCE_ADDRESS))),
        (
            {"consistentHash": {"httpQueryParameterName": "q", "ringHash": {"minimumRingSize": 7}}},
            TrafficPolicy(sticky=Sticky(HashOn.QUERY, "q", ring=7)),
        ),
        (
            {"consistentHash": {"httpCookie": {"name": "c", "path": "/", "ttl": "0s"}, "maglev": {"tableSize": 11}}},
            TrafficPolicy(sticky=Sticky(HashOn.COOKIE, "c", "/", timedelta(0), table=11)),
        ),
    ],
    ids=["least", "passthrough", "usual", "header", "address", "query", "cookie"],
)
def test_how_requests_are_spread(said, expected):
    assert policy(loadBalancer=said) == expected


def test_limits():
    tcp = {
        "maxConnections": 1,
        "connectTimeout": "2s",
        "tcpKeepalive": {"probes": 3, "time": "4s", "interval": "5s"},
        "maxConnectionDuration": "6s",
        "idleTimeout": "7s",
    }
    http = {
        "http1MaxPendingRequests": 8,
        "http2MaxRequests": 9,
        "maxRequestsPerConnection": 10,
        "maxRetries": 11,
        "idleTimeout": "12s",
        "h2UpgradePolicy": "UPGRADE",
        "useClientProtocol": True,
        "maxConcurrentStreams": 13,
        "http2KeepAlive": {"interval": "14s", "timeout": "15s"},
    }

    def seconds(number):
        return timedelta(seconds=number)

    keep_alive = KeepAlive(3, seconds(4), seconds(5))
    expected = Pool(
        1, seconds(2), keep_alive, seconds(6), seconds(7), 8, 9, 10, 11, seconds(12), True, True, 13,
        seconds(14), seconds(15),
    )  # fmt: skip
    assert policy(connectionPool={"tcp": tcp, "http": http}).pool == expected
    assert policy(connectionPool={}).pool == Pool()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, Outliers()),
        ({"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 3}, Outliers(None, 3)),
        ({"consecutiveErrors": 4}, Outliers(gateway_errors=4)),
        (
            {
                "splitExternalLocalOriginErrors": True,
                "consecutiveLocalOriginFailures": 2,
                "interval": "1s",
                "baseEjectionTime": "2s",
                "maxEjectionPercent": 50,
                "minHealthPercent": 30,
                "outlierDetectionHttpErrorCodes": [429],
            },
            Outliers(5, None, 2, True, timedelta(seconds=1), timedelta(seconds=2), 50, 30, (429,)),
        ),
    ],
    ids=["usual", "gateway", "deprecated", "all"],
)
def test_who_is_left_out(said, expected):
    assert policy(outlierDetection=said).outliers == expected


def test_a_budget_for_retries():
    said = {"percent": {"value": 50}, "minRetryConcurrency": 1, "budgetInterval": "10s"}
    assert policy(retryBudget=said).retry_budget == RetryBudget(50.0, 1, timedelta(seconds=10))
    assert policy(retryBudget={}).retry_budget == RetryBudget()


def test_all_ports_of_a_host_and_what_is_said_of_one():
    spec = {"trafficPolicy": {"portLevelSettings": [{"port": {"number": 81}, "loadBalancer": {"simple": "RANDOM"}}]}}
    (made,) = together(*WEB, destination_rule(spec)).traffic
    assert made.callees == ("web", "web-http-more")
    assert (made.at(80).balance, made.at(81).balance) == (None, Balance.RANDOM)


def test_rules_for_one_host_in_one_namespace_are_one():
    first = {
        "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
        "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}},
    }
    second = {"subsets": [{"name": "v1", "labels": {}}, {"name": "all"}], "trafficPolicy": {"outlierDetection": {}}}
    included = together(*WEB, destination_rule(first, "a"), destination_rule(second, "b"))
    (made,) = included.traffic
    assert [(each.name, each.labels) for each in made.subsets] == [("v1", (("version", "v1"),)), ("all", ())]
    assert (made.policy.balance, made.policy.outliers) == (Balance.RANDOM, None)
    assert codes(included) == ["HM-121"]


def test_whom_a_rule_is_for_and_who_sees_it():
    spec = {"workloadSelector": {"labels": {"app": "web"}}, "exportTo": ["."]}
    (made,) = together(*WEB, destination_rule(spec)).traffic
    assert (made.selector, made.visible_to) == ((("app", "web"),), (".",))


@pytest.mark.parametrize("host", ["wep", "bank.example.org", "*.example.org"])
def test_a_rule_for_what_nobody_declares_would_do_nothing(host):
    included = together(*WEB, destination_rule({"host": host}))
    assert included.traffic == ()
    (finding,) = included.findings
    assert (finding.code, finding.severity) == ("HM-116", Severity.MEDIUM)
    assert "would do nothing" in finding.message


# TLS towards what is outside


def test_what_an_external_of_the_mesh_file_could_say_is_said_by_the_external():
    included = together(ENTRY, rule({"mode": "SIMPLE", "caCertificates": "ca.pem"}))
    assert included.externals[0].tls is ExternalTls.SIMPLE
    assert included.traffic == ()


@pytest.mark.parametrize(
    "tls",
    [
        {"mode": "SIMPLE", "credentialName": "x"},
        {"mode": "SIMPLE", "caCrl": "a.crl", "caCertificates": "a.pem"},
        {"mode": "SIMPLE", "insecureSkipVerify": True},
        {"mode": "SIMPLE", "subjectAltNames": ["spiffe://bank/ns/a/sa/b"]},
        {"mode": "SIMPLE", "subjectAltNames": ["*.example.com"]},
        {"mode": "ISTIO_MUTUAL"},
    ],
    ids=["credential", "crl", "unchecked", "uri", "wildcard", "mesh"],
)
def test_what_is_more_stays_a_rule(tls):
    included = together(ENTRY, rule(tls))
    assert included.externals[0].tls is ExternalTls.DISABLE
    said = included.traffic[0].policy.tls
    assert (said.mode, said.names) == (
        TlsMode.MESH if tls["mode"] == "ISTIO_MUTUAL" else TlsMode.SIMPLE,
        tuple(tls.get("subjectAltNames", ())),
    )


def test_names_of_the_entry_hold_for_rules_that_stay():
    named = changed(ENTRY, "spec.subjectAltNames", ["entry.example.com"])
    included = together(named, rule({"mode": "SIMPLE", "credentialName": "x"}))
    assert included.traffic[0].policy.tls.names == ("entry.example.com",)


def test_rules_of_several_namespaces_stay_rules_so_that_each_caller_finds_its_own():
    other = changed(rule({"mode": "DISABLE"}), "metadata.namespace", "shop")
    included = together(ENTRY, rule({"mode": "SIMPLE"}), other)
    assert included.externals[0].tls is ExternalTls.DISABLE
    assert [each.policy.tls.mode for each in included.traffic] == [TlsMode.SIMPLE, TlsMode.DISABLE]


def test_what_else_a_rule_says_stays_beside_the_tls_of_the_external():
    said = {"tls": {"mode": "SIMPLE"}, "loadBalancer": {"simple": "RANDOM"}}
    included = together(ENTRY, rule(policy=said))
    assert included.externals[0].tls is ExternalTls.SIMPLE
    assert [(each.policy.tls, each.policy.balance) for each in included.traffic] == [(None, Balance.RANDOM)]


def test_istio_mutual_towards_what_is_outside_shows_the_identity_of_the_mesh():
    web = deployment("web", {"app": "web"})
    plan = plan_of(
        together(ENTRY, rule({"mode": "ISTIO_MUTUAL", "subjectAltNames": ["spiffe://a/ns/b/sa/c"]}), web), "web"
    )
    (upstream,) = plan.upstreams
    assert (upstream.tls.identity_secret, upstream.tls.trust_secret) == (secret.IDENTITY, secret.TRUST)
    assert upstream.tls.peer == PeerHosts(("spiffe://a/ns/b/sa/c",))


def test_settings_for_a_port_that_is_not_there():
    def policy():
        return {"portLevelSettings": [{"port": {"number": 82}}]}

    spec = {"trafficPolicy": policy(), "subsets": [{"name": "all", "trafficPolicy": policy()}]}
    included = together(*WEB, destination_rule(spec))
    assert [each.path for each in included.findings] == [
        "spec.trafficPolicy.portLevelSettings[0].port.number",
        "spec.subsets[0].trafficPolicy.portLevelSettings[0].port.number",
    ]
    assert set(codes(included)) == {"HM-114"}


def test_that_nothing_is_checked_is_said_loudly():
    included = together(ENTRY, rule({"mode": "SIMPLE", "insecureSkipVerify": True}))
    assert included.traffic[0].policy.tls.insecure
    assert found(included, "HM-103") == [f"the certificate of {BANK} is not checked: whoever answers is believed"]
    assert included.findings[0].severity is Severity.HIGH


def test_a_program_that_speaks_tls_itself_is_not_called_unencrypted():
    assert codes(together(changed(ENTRY, "spec.ports.0.protocol", "HTTPS"))) == []
