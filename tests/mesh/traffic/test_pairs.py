"""The same said natively and in Istio's words is the same plan."""

from __future__ import annotations

import pytest

from handsel.documents import yaml
from handsel.link.report import WorkloadReport
from handsel.mesh.ir import WorkloadPlan
from handsel.mesh.istio.read import read
from handsel.mesh.translate import translate
from handsel.model.traffic import Balance
from tests.support import read_mesh

SERVICES = """
services:
  web: {calls: [reviews, bank, store], labels: {tier: front}}
  reviews: {labels: {version: v1}}
  next: {}
  copy: {}
  store: {protocol: tcp}
  store-b: {protocol: tcp}
external: {bank: {host: bank.example.com}}
"""
CALLEES = {"reviews": 9003, "bank": 9004, "store": 9005}
PLACES = {
    "host": {
        name: WorkloadReport(name, "10.0.0.1", 8080 + n, 9100 + n, 9200 + n, CALLEES if name == "web" else {}, "/log")
        for n, name in enumerate(["web", "reviews", "next", "copy", "store", "store-b"])
    }
}


def _plan(text: str, istio: str = "") -> WorkloadPlan:
    included = {"include": lambda _: yaml.parse(istio.encode(), "istio.yaml")} if istio else {}
    mesh = read_mesh(
        text + ("include: [istio.yaml]\n" if istio else ""),
        read_resources=lambda documents, around: read(documents, around, str),
        **included,
    )
    assert [each for each in mesh.findings if each.severity.name == "ERROR"] == []
    return translate(mesh, PLACES)["host", "web"]


def _both(native: str, istio: str) -> tuple[WorkloadPlan, WorkloadPlan]:
    return _plan(f"{SERVICES}\n{native}\n"), _plan(SERVICES, istio)


def virtual_service(host: str, spec: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: it, namespace: default}}
spec:
  hosts: [{host}]
  {spec}
"""


def destination_rule(host: str, spec: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: it, namespace: default}}
spec:
  host: {host}
  {spec}
"""


RETRIES = "retries: {attempts: 3, on: [5xx, '429'], per_try: 1s, backoff: 25ms}"
ISTIO_RETRIES = "retries: {attempts: 3, retryOn: '5xx,429', perTryTimeout: 1s, backoff: 25ms}"
ROUTES = {
    "header": (
        "[{when: {headers: {x-v: '2'}}, to: next, retries: 0, timeout: 2s}, {to: reviews, retries: 0}]",
        ("http: [{match: [{headers: {x-v: {exact: '2'}}}], route: [{destination: {host: next}}], retries: {attempts: 0}, "
        "timeout: 2s}, {route: [{destination: {host: reviews}}], retries: {attempts: 0}}]"),
    ),
    "conditions": (
        ("[{when: {path: {prefix: /a, ignore_case: true}, method: GET, query: {v: {regex: '[0-9]+'}}, without_headers: [x-a], "
        f"from: {{labels: {{tier: front}}}}}}, to: next, {RETRIES}}}]"),
        ("http: [{match: [{uri: {prefix: /a}, ignoreUriCase: true, method: {exact: GET}, queryParams: {v: {regex: '[0-9]+'}}, "
        f"withoutHeaders: {{x-a: {{}}}}, sourceLabels: {{tier: front}}}}], route: [{{destination: {{host: next}}}}], {ISTIO_RETRIES}}}]"),
    ),
    "weights": (
        "[{to: {reviews: 90, next: {weight: 10, headers: {response: {remove: [x-a]}}}}, retries: 0}]",
        ("http: [{route: [{destination: {host: reviews}, weight: 90}, {destination: {host: next}, weight: 10, headers: "
        "{response: {remove: [x-a]}}}], retries: {attempts: 0}}]"),
    ),
    "headers": (
        "[{to: reviews, retries: 0, headers: {request: {set: {x-a: b}, add: {x-c: d}}, response: {remove: [x-e]}}}]",
        ("http: [{route: [{destination: {host: reviews}}], retries: {attempts: 0}, headers: {request: {set: {x-a: b}, add: "
        "{x-c: d}}, response: {remove: [x-e]}}}]"),
    ),
    "rewrite": (
        "[{when: {path: {prefix: /a}}, to: next, retries: 0, rewrite: {path: /b, authority: next}}]",
        ("http: [{match: [{uri: {prefix: /a}}], route: [{destination: {host: next}}], retries: {attempts: 0}, "
        "rewrite: {uri: /b, authority: next}}]"),
    ),
    "redirect": (
        "[{redirect: {path: /b, authority: a.example, code: 302}}]",
        "http: [{redirect: {uri: /b, authority: a.example, redirectCode: 302}}]",
    ),
    "response": (
        "[{response: {status: 503, body: later}}]",
        "http: [{directResponse: {status: 503, body: {string: later}}}]",
    ),
    "fault": (
        "[{to: reviews, retries: 0, fault: {delay: {for: 1s, percent: 10}, abort: {grpc: UNAVAILABLE, percent: 1}}}]",
        ("http: [{route: [{destination: {host: reviews}}], retries: {attempts: 0}, fault: {delay: {fixedDelay: 1s, percentage: "
        "{value: 10}}, abort: {grpcStatus: UNAVAILABLE, percentage: {value: 1}}}}]"),
    ),
    "mirror": (
        "[{to: reviews, retries: 0, mirror: {copy: 5}}]",
        "http: [{route: [{destination: {host: reviews}}], retries: {attempts: 0}, mirror: {host: copy}, mirrorPercentage: {value: 5}}]",
    ),
    "cors": (
        "[{to: reviews, retries: 0, cors: {origins: ['https://a.example'], methods: [GET], max_age: 1h, credentials: true}}]",
        ("http: [{route: [{destination: {host: reviews}}], retries: {attempts: 0}, corsPolicy: {allowOrigins: [{exact: "
        "'https://a.example'}], allowMethods: [GET], maxAge: 1h, allowCredentials: true}}]"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ROUTES)
def test_rules_for_requests(what):
    native, istio = _both(f"routes: {{reviews: {ROUTES[what][0]}}}", virtual_service("reviews", ROUTES[what][1]))
    assert native.outbounds == istio.outbounds
    assert native == istio


def test_rules_for_connections():
    rule = "tcp: [{route: [{destination: {host: store}, weight: 9}, {destination: {host: store-b}, weight: 1}]}]"
    native, istio = _both("routes: {store: [{to: {store: 9, store-b: 1}}]}", virtual_service("store", rule))
    assert native == istio


POLICIES = {
    "balance": ("balance: random", "loadBalancer: {simple: RANDOM}"),
    "sticky": (
        "sticky: {cookie: sid, ttl: 1h, path: /}",
        "loadBalancer: {consistentHash: {httpCookie: {name: sid, ttl: 3600s, path: /}}}",
    ),
    "pool": (
        (
            "pool: {connections: 10, connect_timeout: 1s, pending_requests: 2, requests: 3, requests_per_connection: 4, "
            "retries: 5, keep_alive: {probes: 3, time: 10s, interval: 5s}}"
        ),
        (
            "connectionPool: {tcp: {maxConnections: 10, connectTimeout: 1s, tcpKeepalive: {probes: 3, time: 10s, interval: 5s}}, "
            "http: {http1MaxPendingRequests: 2, http2MaxRequests: 3, maxRequestsPerConnection: 4, maxRetries: 5}}"
        ),
    ),
    "outliers": (
        "outliers: {errors: 7, interval: 5s, ejection_time: 1m, most_ejected: 100}",
        "outlierDetection: {consecutive5xxErrors: 7, interval: 5s, baseEjectionTime: 60s, maxEjectionPercent: 100}",
    ),
    "budget": ("retry_budget: {percent: 25, minimum: 5}", "retryBudget: {percent: 25, minRetryConcurrency: 5}"),
}


@pytest.mark.parametrize("what", POLICIES)
@pytest.mark.parametrize(("callee", "host"), [("reviews", "reviews"), ("bank", "bank.example.com")])
def test_policies(what, callee, host):
    native, istio = POLICIES[what]
    mine, theirs = _both(f"traffic: {{{callee}: {{{native}}}}}", destination_rule(host, f"trafficPolicy: {{{istio}}}"))
    assert mine == theirs


def test_subsets():
    native = "routes: {reviews: [{to: reviews.v1, retries: 0}]}\ntraffic: {reviews: {subsets: {v1: {version: v1}}}}"
    istio = virtual_service(
        "reviews", "http: [{route: [{destination: {host: reviews, subset: v1}}], retries: {attempts: 0}}]"
    )
    istio += "\n---\n" + destination_rule("reviews", "subsets: [{name: v1, labels: {version: v1}}]")
    mine, theirs = _both(native, istio)
    assert mine == theirs


def test_what_istio_could_do_and_a_loopback_port_cannot_is_a_finding():
    istio = destination_rule("reviews", "trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}")
    mesh = read_mesh(
        SERVICES + "include: [istio.yaml]\n",
        include=lambda _: yaml.parse(istio.encode(), "istio.yaml"),
        read_resources=lambda documents, around: read(documents, around, str),
    )
    (found,) = (each for each in mesh.findings if each.code == "HM-306")
    assert found.file == "istio.yaml"
    assert _plan(SERVICES, istio).upstreams[0].policy.balance is Balance.PASSTHROUGH
