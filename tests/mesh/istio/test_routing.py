"""VirtualServices as the graph has them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.model.routing import (
    Compare,
    ConnectionMatch,
    Cors,
    Fault,
    HeaderChange,
    Headers,
    Mirror,
    Redirect,
    RequestMatch,
    Response,
    Retry,
    Rewrite,
    Text,
)
from tests.mesh.istio.resources import ENTRY, changed, codes, deployment, found, resource, service, together

HTTP = {"port": 80, "name": "http"}
SHOP = (
    service("web", {"app": "web"}, HTTP, {"port": 5432, "name": "tcp-sql"}),
    service("copy", {"app": "web"}, HTTP),
    deployment("web-v1", {"app": "web"}),
    resource("DestinationRule", "web", {"host": "web", "subsets": [{"name": "v1", "labels": {"app": "web"}}]}),
)
TO_WEB = [{"destination": {"host": "web", "port": {"number": 80}}}]


def virtual_service(spec, name="web", namespace="default", **metadata):
    return resource("VirtualService", name, {"hosts": ["web"], **spec}, namespace, **metadata)


def read(**spec):
    return together(*SHOP, virtual_service(spec))


def rule(**keys):
    """The rule for one route."""
    said = {"route": TO_WEB, **keys} if not {"redirect", "directResponse"} & keys.keys() else keys
    (made,) = read(http=[said]).routes
    (only,) = made.http
    return only


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"uri": {"exact": "/a"}}, RequestMatch(path=Text(Compare.EXACT, "/a"))),
        ({"uri": {"prefix": "/a"}}, RequestMatch(path=Text(Compare.PREFIX, "/a"))),
        ({"uri": {"regex": "/a.*"}}, RequestMatch(path=Text(Compare.REGEX, "/a.*"))),
        (
            {"uri": {"prefix": "/A"}, "ignoreUriCase": True},
            RequestMatch(path=Text(Compare.PREFIX, "/A", ignore_case=True)),
        ),
        ({"method": {"exact": "GET"}}, RequestMatch(method=Text(Compare.EXACT, "GET"))),
        ({"scheme": {"exact": "http"}}, RequestMatch(scheme=Text(Compare.EXACT, "http"))),
        ({"authority": {"prefix": "a."}}, RequestMatch(authority=Text(Compare.PREFIX, "a."))),
        (
            {"headers": {"X-B": {"exact": "1"}, "x-a": {}}},
            RequestMatch(headers=(("x-a", Text(Compare.PRESENT)), ("x-b", Text(Compare.EXACT, "1")))),
        ),
        ({"withoutHeaders": {"x-a": {}}}, RequestMatch(without_headers=(("x-a", Text(Compare.PRESENT)),))),
        ({"queryParams": {"Q": {"regex": "1|2"}}}, RequestMatch(query=(("Q", Text(Compare.REGEX, "1|2")),))),
        ({"port": 80}, RequestMatch(port=80)),
        (
            {"sourceLabels": {"b": "2", "a": "1"}, "sourceNamespace": "shop"},
            RequestMatch(source_labels=(("a", "1"), ("b", "2")), source_namespace="shop"),
        ),
        ({"gateways": ["mesh", "front", "edge/a"]}, RequestMatch(gateways=("mesh", "default/front", "edge/a"))),
        ({"name": "n", "statPrefix": "s"}, RequestMatch(name="n", stat_prefix="s")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_match(said, expected):
    assert rule(match=[said]).matches == (expected,)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"attempts": 3}, Retry(3, ("connect-failure", "refused-stream", "unavailable", "cancelled", "503"))),
        (
            {"attempts": 1, "retryOn": "reset", "perTryTimeout": "1s", "backoff": "10ms"},
            Retry(1, ("reset",), timedelta(seconds=1), timedelta(milliseconds=10)),
        ),
        ({"attempts": 1, "retryOn": "5xx", "retryIgnorePreviousHosts": False}, Retry(1, ("5xx",), other_hosts=False)),
        ({"attempts": 1, "retryOn": "5xx", "perTryTimeout": "0s"}, Retry(1, ("5xx",))),
    ],
    ids=["attempts", "all", "same hosts", "no limit for one"],
)
def test_retries(said, expected):
    assert rule(retries=said).retry == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"name": "n"}, "n"),
        ({"timeout": "0s"}, timedelta(0)),
        ({"timeout": "1.5s"}, timedelta(seconds=1.5)),
        ({"redirect": {"uri": "/b"}}, Redirect("/b")),
        (
            {"redirect": {"uriPrefix": "/b", "authority": "b", "scheme": "https", "redirectCode": 308}},
            Redirect("/b", "b", "https", code=308, prefix_only=True),
        ),
        ({"redirect": {"authority": "b", "port": 8443}}, Redirect(authority="b", port=8443)),
        (
            {"redirect": {"scheme": "https", "derivePort": "FROM_PROTOCOL_DEFAULT"}},
            Redirect(scheme="https", port=443),
        ),
        ({"directResponse": {"status": 404}}, Response(404)),
        ({"directResponse": {"status": 200, "body": {"string": "well"}}}, Response(200, "well")),
        ({"directResponse": {"status": 200, "body": {"bytes": "d2VsbA=="}}}, Response(200, "well")),
        ({"rewrite": {"uri": "/b", "authority": "b"}}, Rewrite("/b", "b")),
        ({"rewrite": {"uriRegexRewrite": {"match": "a(.)", "rewrite": "\\1"}}}, Rewrite("", "", "a(.)", "\\1")),
        (
            {"fault": {"delay": {"fixedDelay": "5s", "percentage": {"value": 0.5}}}},
            Fault(timedelta(seconds=5), 0.5),
        ),
        ({"fault": {"delay": {"fixedDelay": "5s"}}}, Fault(timedelta(seconds=5), 100.0)),
        ({"fault": {"abort": {"httpStatus": 503, "percentage": {"value": 10}}}}, Fault(None, 0, 503, "", 10.0)),
        ({"fault": {"abort": {"grpcStatus": "UNAVAILABLE"}}}, Fault(None, 0, 0, "UNAVAILABLE", 100.0)),
        ({"mirror": {"host": "copy"}, "mirrorPercentage": {"value": 5}}, (Mirror("copy", "", 5.0),)),
        ({"mirror": {"host": "copy"}, "mirrorPercent": 7}, (Mirror("copy", "", 7.0),)),
        (
            {
                "mirrors": [
                    {"destination": {"host": "copy"}},
                    {"destination": {"host": "copy"}, "percentage": {"value": 1}},
                ]
            },
            (Mirror("copy", "", 100.0), Mirror("copy", "", 1.0)),
        ),
        (
            {"corsPolicy": {"allowOrigins": [{"prefix": "https://"}], "allowOrigin": ["*"], "allowCredentials": True}},
            Cors((Text(Compare.PREFIX, "https://"), Text(Compare.REGEX, ".*")), credentials=True),
        ),
        (
            {
                "corsPolicy": {
                    "allowMethods": ["GET"],
                    "allowHeaders": ["x-a"],
                    "exposeHeaders": ["x-b"],
                    "maxAge": "24h",
                    "unmatchedPreflights": "IGNORE",
                }
            },
            Cors((), ("GET",), ("x-a",), ("x-b",), timedelta(days=1), forward_unmatched=False),
        ),
        (
            {"headers": {"request": {"set": {"a": "1"}, "add": {"b": "2"}, "remove": ["c"]}, "response": {"set": {}}}},
            Headers(HeaderChange((("a", "1"),), (("b", "2"),), ("c",))),
        ),
    ],
)
def test_what_becomes_of_a_request(keys, expected):
    made = rule(**keys)
    parts = {
        str: made.name, timedelta: made.timeout, Redirect: made.redirect, Response: made.response,
        Rewrite: made.rewrite, Fault: made.fault, tuple: made.mirrors, Cors: made.cors, Headers: made.headers,
    }  # fmt: skip
    assert parts[type(expected)] == expected


def test_connections_go_by_their_port_and_server_name():
    tcp = {"match": [{"port": 5432, "sourceSubnet": "10.0.0.0/8", "destinationSubnets": ["10.1.2.3"]}], "route": [
        {"destination": {"host": "web", "port": {"number": 5432}}}
    ]}  # fmt: skip
    (made,) = read(tcp=[tcp]).routes
    assert made.callees == ("web-tcp-sql",)
    assert made.tcp[0].matches == (
        ConnectionMatch(destination_subnets=("10.1.2.3/32",), source_subnets=("10.0.0.0/8",), port=5432),
    )
    entry = changed(ENTRY, "spec.ports.0", {"number": 443, "name": "tls", "protocol": "TLS"})
    tls = {"match": [{"sniHosts": ["bank.example.com", "*.bank.example.com"]}], "route": [
        {"destination": {"host": "bank.example.com"}}
    ]}  # fmt: skip
    (made,) = together(entry, virtual_service({"hosts": ["bank.example.com"], "tls": [tls]})).routes
    assert made.tls[0].matches == (ConnectionMatch(("bank.example.com", "*.bank.example.com")),)


def test_rules_for_requests_leave_other_ports_alone():
    (made,) = read(http=[{"route": TO_WEB}]).routes
    assert made.callees == ("web",)  # not the database


def test_rules_for_what_a_port_does_not_speak_are_said():
    tcp = changed(ENTRY, "spec.ports.0.protocol", "TCP")
    spec = {"hosts": ["bank.example.com"], "http": [{"route": [{"destination": {"host": "bank.example.com"}}]}]}
    included = together(tcp, virtual_service(spec))
    assert included.routes == ()
    assert found(included, "HM-134") == ["port 80 of bank.example.com has TCP, and no rule is for that"]


def test_a_destination_without_a_port_is_that_which_was_called():
    beside = (
        service("two", {"app": "web"}, HTTP, {"port": 81, "name": "http-more"}),
        service("other", {"app": "web"}, HTTP, {"port": 81, "name": "http-more"}),
    )
    spec = {"hosts": ["two"], "http": [{"route": [{"destination": {"host": "other"}}]}]}
    made = together(*SHOP, *beside, virtual_service(spec)).routes
    assert {each.callees: each.http[0].to[0].callee for each in made} == {
        ("two",): "other",
        ("two-http-more",): "other-http-more",
    }


def test_a_destination_whose_port_cannot_be_told():
    beside = service("one", {"app": "web"}, {"port": 8080, "name": "http"})
    spec = {"hosts": ["one"], "http": [{"route": [{"destination": {"host": "web"}}]}]}
    included = together(*SHOP, beside, virtual_service(spec))
    assert included.routes == ()
    assert found(included, "HM-126") == ["web.default.svc.cluster.local has the ports 80, 5432: which one is meant?"]


@pytest.mark.parametrize(
    ("spec", "code", "path"),
    [
        ({"http": [{"route": [{"destination": {"host": "wep"}}]}]}, "HM-110", "spec.http[0].route[0].destination.host"),
        (
            {"http": [{"route": [{"destination": {"host": "web", "subset": "v9", "port": {"number": 80}}}]}]},
            "HM-111",
            "spec.http[0].route[0].destination.subset",
        ),
        (
            {"http": [{"route": TO_WEB, "mirror": {"host": "nobody"}}]},
            "HM-110",
            "spec.http[0].mirror.host",
        ),
        (
            {"http": [{"route": [{"destination": {"host": "web", "port": {"number": 81}}}]}]},
            "HM-114",
            "spec.http[0].route[0].destination.port.number",
        ),
        ({"tcp": [{"route": [{"destination": {"host": "x"}}]}]}, "HM-110", "spec.tcp[0].route[0].destination.host"),
        ({"gateways": ["front"], "http": [{"route": TO_WEB}]}, "HM-112", "spec.gateways[0]"),
        ({"http": [{"delegate": {"name": "a"}}]}, "HM-105", "spec.http[0].delegate"),
        ({"hosts": [], "http": [{"route": TO_WEB}]}, "HM-105", "spec"),
        (
            {"http": [{"match": [{"headers": {"@request.auth.claims.sub": {"exact": "a"}}}], "route": TO_WEB}]},
            "HM-105",
            "spec.http[0].match[0]",
        ),
    ],
)
def test_what_refers_to_nothing_is_set_aside_alone(spec, code, path):
    included = together(
        *SHOP, virtual_service(spec), virtual_service({"hosts": ["copy"], "http": [{"route": TO_WEB}]}, "b")
    )
    (finding,) = (each for each in included.findings if each.severity.name == "ERROR")
    assert (finding.code, finding.path, finding.subject) == (code, path, "VirtualService default/web")
    assert (finding.line > 1, bool(finding.fix)) == (True, True)
    assert [each.name for each in included.routes] == ["b"]


def test_the_older_of_two_for_a_host_goes_before():
    spec = {"http": [{"route": TO_WEB}]}
    young = virtual_service(spec, "young", creationTimestamp="2026-02-01T00:00:00Z")
    old = virtual_service(spec, "old", creationTimestamp="2026-01-01T00:00:00Z")
    included = together(*SHOP, young, old)
    assert [each.name for each in included.routes] == ["old"]
    (finding,) = included.findings
    assert (finding.code, finding.istio, finding.subject) == ("HM-120", "IST0109", "VirtualService default/young")


def test_two_that_nobody_sees_both_of_are_no_conflict():
    spec = {
        "hosts": ["web.default.svc.cluster.local"],
        "http": [{"route": [{"destination": {"host": "copy.default.svc.cluster.local"}}]}],
    }
    first = virtual_service({**spec, "exportTo": ["."]}, "a", "one")
    second = virtual_service({**spec, "exportTo": ["."]}, "a", "two")
    assert codes(together(*SHOP, first, second)) == []


def test_the_most_specific_host_comes_first():
    def of(name, host):
        return virtual_service({"hosts": [host], "http": [{"route": TO_WEB}]}, name)

    made = together(*SHOP, of("all", "*"), of("local", "*.local"), of("web", "web")).routes
    assert [each.name for each in made] == ["web", "local", "all"]


def test_a_host_that_nothing_declares_is_answered_at_port_80():
    included = read(hosts=["shop.example.com"], http=[{"route": TO_WEB}])
    (made,) = included.routes
    (group,) = (each for each in included.groups if each.name in made.callees)
    assert (group.host, group.port, group.services) == ("shop.example.com", 80, ())


def test_a_host_that_nothing_declares_takes_no_name_of_others():
    beside = service("web-host", {"app": "web"}, HTTP)
    included = together(*SHOP, beside, virtual_service({"hosts": ["shop.example.com"], "http": [{"route": TO_WEB}]}))
    assert (included.routes, codes(included)) == ((), ["HM-122"])


def test_what_is_never_reached_is_said():
    everything = {"match": [{"uri": {"prefix": "/"}}], "route": TO_WEB}
    included = read(http=[everything, {"match": [{"uri": {"exact": "/a"}}], "route": TO_WEB}])
    assert found(included, "HM-131") == ["never reached: http[0] takes every request before it"]
    reached = {"match": [{"uri": {"prefix": "/"}, "method": {"exact": "GET"}}], "route": TO_WEB}
    assert codes(read(http=[reached, {"route": TO_WEB}])) == []


def test_what_means_nothing_is_said():
    said = {
        "match": [{"headers": {"uri": {"exact": "/"}, "x-a": {}}}],
        "route": TO_WEB,
        "retries": {"attempts": 1, "retryRemoteLocalities": True},
    }
    included = read(http=[said])
    assert [each.path for each in included.findings if each.code == "HM-106"] == [
        "spec.http[0].match[0].headers.uri",
        "spec.http[0].retries.retryRemoteLocalities",
    ]
    assert [name for name, _ in included.routes[0].http[0].matches[0].headers] == ["x-a"]
