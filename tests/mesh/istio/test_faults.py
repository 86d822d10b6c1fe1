"""What is wrong, unknown or not carried out yet is a fault with its place; nothing is ignored."""

from __future__ import annotations

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import InvalidFile
from tests.mesh.istio.resources import (
    ENTRY,
    EVERYTHING,
    GATEWAY,
    RULE,
    VIRTUAL_SERVICE,
    changed,
    entry,
    loaded,
    read_text,
    rule,
)

MUTUAL = {"mode": "MUTUAL", "clientCertificate": "c.pem", "privateKey": "k.pem"}


def faults(*texts: str) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        read_text(*texts)
    return [str(fault) for fault in caught.value.faults]


def fault(*texts: str) -> str:
    (only,) = faults(*texts)
    return only


PORT = {"number": 80, "name": "http", "protocol": "HTTP"}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("apiVersion", "networking.istio.io/v2", "apiVersion: must be networking.istio.io/v1 or v1beta1 or v1alpha3"),
        ("metadata", {}, "metadata: 'name' is missing"),
        ("metadata.name", "Bank.A", "metadata.name: a name has lower-case letters"),
        ("metadata.nmespace", "a", 'metadata.nmespace: unknown key, did you mean "namespace"?'),
        ("metadata.labels", {"a": 1}, "metadata.labels.a: must be text, not 1"),
        ("spec", None, "spec: must be keys and values, not None"),
        ("spec.hostz", ["a"], 'spec.hostz: unknown key, did you mean "hosts"?'),
        ("spec.subjectAltName", ["a"], 'spec.subjectAltName: unknown key, did you mean "subjectAltNames"?'),
        ("spec.zzz", 1, "spec.zzz: unknown key, known here: hosts, addresses, ports, location, resolution, endpoints"),
        ("spec.addresses", ["bank"], "spec.addresses[0]: 'bank' is no IP address and no CIDR block"),
        ("spec.exportTo", ["A"], "spec.exportTo: a name has lower-case letters"),
        ("spec.exportTo", ["~", "a"], "spec.exportTo: ~ (visible nowhere) stands alone"),
        ("spec.hosts", [], "spec.hosts: must not be empty"),
        ("spec.hosts", ["a.example.com", "a.example.com"], "spec.hosts: a.example.com is there twice"),
        ("spec.hosts.0", "*", "spec.hosts[0]: a bare * would take every name there is"),
        ("spec.hosts.0", "Bank.example.com", "spec.hosts[0]: 'Bank.example.com' is no host name in lower case"),
        ("spec.hosts.0", 5, "spec.hosts[0]: must be text, not 5"),
        ("spec.location", "OUTSIDE", "spec.location: must be MESH_EXTERNAL or MESH_INTERNAL, not 'OUTSIDE'"),
        (
            "spec.resolution",
            ["DNS"],
            "spec.resolution: must be NONE or STATIC or DNS or DNS_ROUND_ROBIN or DYNAMIC_DNS",
        ),
        ("spec.ports", [], "spec.ports: must not be empty"),
        ("spec.ports.1", PORT, "spec: two ports have the number 80"),
        ("spec.ports.1", {**PORT, "number": 81}, "spec: two ports have the name http"),
        ("spec.ports.0.number", 0, "spec.ports[0].number: a port is a number from 1 to 65535, not 0"),
        ("spec.ports.0.number", "80", "spec.ports[0].number: must be a whole number, not '80'"),
        ("spec.ports.0.targetPort", 70000, "spec.ports[0].targetPort: a port is a number from 1 to 65535, not 70000"),
        ("spec.ports.0.protocol", "UDP", "spec.ports[0].protocol: UDP: the mesh carries TCP only"),
        ("spec.ports.0.protocol", "SMTP", "spec.ports[0].protocol: must be HTTP or HTTP2 or GRPC or "),
        ("spec.ports.0.name", "", "spec.ports[0].name: must not be empty"),
        ("spec.ports.0", {"number": 80}, "spec.ports[0]: 'name' is missing"),
        ("spec.endpoints", [{"address": "unix:///s"}], "spec.endpoints[0].address: a Unix socket: not supported"),
        (
            "spec.endpoints",
            [{"address": "a", "ports": {"http": 0}}],
            "spec.endpoints[0].ports.http: a port is a number",
        ),
        ("spec.endpoints", [{"address": "a", "weight": -1}], "spec.endpoints[0].weight: "),
        ("spec.workloadSelector", {"lables": {}}, 'spec.workloadSelector.lables: unknown key, did you mean "labels"?'),
    ],
)
def test_a_service_entry(path, value, expected):
    assert expected in "\n".join(faults(changed(ENTRY, path, value)))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"endpoints": [{"address": "10.0.0.7"}], "workloadSelector": {"labels": {"app": "bank"}}},
            "spec: endpoints and workloadSelector exclude each other",
        ),
        (
            {"endpoints": [{"address": "10.0.0.7"}], "resolution": "NONE"},
            "spec: resolution NONE has no use for endpoints: say STATIC or DNS",
        ),
    ],
)
def test_keys_of_a_service_entry_that_exclude_each_other(keys, expected):
    assert expected in fault(entry(spec={**loaded(ENTRY)["spec"], **keys}))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("spec.trafficPolicy.tsl", {}, 'spec.trafficPolicy.tsl: unknown key, did you mean "tls"?'),
        ("spec.trafficPolicy.tls.mode", "mutual", "must be DISABLE or SIMPLE or MUTUAL or ISTIO_MUTUAL, not 'mutual'"),
        (
            "spec.trafficPolicy.tls.mode",
            "MUTUAL",
            "tls: mode MUTUAL needs clientCertificate and privateKey, or credent",
        ),
        ("spec.trafficPolicy.tls.privateKey", "k.pem", "tls: mode SIMPLE has no use for privateKey"),
        ("spec.trafficPolicy.tls", {"sni": "a"}, "tls: mode DISABLE has no use for sni"),
        ("spec.trafficPolicy.tls", {**MUTUAL, "privateKey": ""}, "tls: mode MUTUAL needs privateKey"),
        (
            "spec.trafficPolicy.tls",
            {**MUTUAL, "credentialName": "s"},
            "credentialName and clientCertificate, privateKey ex",
        ),
        (
            "spec.trafficPolicy.tls",
            {"mode": "ISTIO_MUTUAL", "caCertificates": "a.pem"},
            "mode ISTIO_MUTUAL has no use for caCertificates",
        ),
        (
            "spec.trafficPolicy.tls",
            {"mode": "SIMPLE", "insecureSkipVerify": True, "caCertificates": "a.pem"},
            "insecureSkipVerify has no use for caCertificates and subjectAltNames",
        ),
        ("spec.trafficPolicy.tls.insecureSkipVerify", "no", "insecureSkipVerify: must be true or false, not 'no'"),
        ("spec.trafficPolicy.tls.sni", "A B", "tls.sni: 'A B' is no host name in lower case"),
        ("spec.trafficPolicy.tls.caCertificates", "~/ca.pem", "caCertificates: write the path out, without ~"),
        ("spec.trafficPolicy.portLevelSettings", [{}], "portLevelSettings[0]: 'port' is missing"),
        (
            "spec.trafficPolicy.portLevelSettings",
            [{"port": {"number": 80}}, {"port": {"number": 80}}],
            "portLevelSettings: port 80 is there twice",
        ),
        ("spec.trafficPolicy.loadBalancer", {"simple": "FASTEST"}, "loadBalancer.simple: must be "),
        (
            "spec.trafficPolicy.loadBalancer",
            {"simple": "RANDOM", "consistentHash": {"useSourceIp": True}},
            "loadBalancer: simple and consistentHash exclude each other",
        ),
        ("spec.trafficPolicy.loadBalancer", {"consistentHash": {}}, "one of httpHeaderName, httpCookie, useSourceIp"),
        (
            "spec.trafficPolicy.loadBalancer",
            {"consistentHash": {"useSourceIp": True, "ringHash": {}, "maglev": {}}},
            "ringHash and maglev exclude each other",
        ),
        (
            "spec.trafficPolicy.connectionPool",
            {"tcp": {"connectTimeout": "0s"}},
            "connectTimeout: a duration has whole",
        ),
        ("spec.trafficPolicy.outlierDetection", {"maxEjectionPercent": 101}, "maxEjectionPercent: "),
        ("spec.subsets", [{"labels": {}}], "spec.subsets[0]: 'name' is missing"),
    ],
)
def test_a_destination_rule(path, value, expected):
    assert expected in fault(ENTRY, changed(RULE, path, value))


DESTINATION = {"destination": {"host": "bank.example.com"}}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("spec.gateways", ["a/b/c"], "spec.gateways[0]: a gateway is mesh, a name, or namespace/name"),
        ("spec.http", [], "spec: one of http, tls, tcp"),
        ("spec.http.1", {}, "spec.http[1]: one of route, redirect, directResponse"),
        (
            "spec.http.0.redirect",
            {"uri": "/x"},
            "spec.http[0]: one of route, redirect, directResponse, not route and red",
        ),
        ("spec.http.0.timout", "5s", 'spec.http[0].timout: unknown key, did you mean "timeout"?'),
        ("spec.http.0.timeout", "5", "spec.http[0].timeout: a duration is numbers with the units"),
        ("spec.http.0.timeout", 5, "spec.http[0].timeout: a duration is numbers with the units"),
        ("spec.http.0.timeout", "0.5ms", "spec.http[0].timeout: a duration has whole milliseconds"),
        ("spec.http.0.timeout", "999999999h", "spec.http[0].timeout: a duration has whole milliseconds"),
        ("spec.http.0.route.0.weight", -1, "route[0].weight: "),
        ("spec.http.0.route", [DESTINATION, DESTINATION], "the weights of several destinations are 0 together"),
        ("spec.http.0.match", [{"uri": {"exact": "/a", "prefix": "/b"}}], "match[0].uri: one of exact, prefix, regex"),
        ("spec.http.0.match", [{"uri": {"regex": "a("}}], "match[0].uri.regex: not a regex"),
        ("spec.http.0.match", [{"uri": {"prefix": ""}}], "match[0].uri.prefix: must not be empty"),
        ("spec.http.0.match", [{"uri": {}}], "match[0].uri: one of exact, prefix, regex"),
        ("spec.http.0.match", [{"uri": {"regex": "(?=a)"}}], "match[0].uri.regex: not a regex of RE2"),
        ("spec.http.0.match", [{"headers": {"x": "y"}}], "match[0].headers.x: must be keys and values, not 'y'"),
        ("spec.http.0.fault", {"abort": {}}, "fault.abort: one of httpStatus, grpcStatus"),
        ("spec.http.0.rewrite", {}, "rewrite: one of uri, authority, uriRegexRewrite"),
        ("spec.http.0.retries", {"attempts": -1}, "retries.attempts: "),
        ("spec.http.0.mirrors", [{}], "mirrors[0]: 'destination' is missing"),
        ("spec.tls", [{"route": [DESTINATION]}], "spec.tls[0]: 'match' is missing"),
        ("spec.tls", [{"match": [{"sniHosts": []}], "route": [DESTINATION]}], "match[0].sniHosts: must not be empty"),
        ("spec.tcp", [{"match": [{"sourceSubnet": "x"}], "route": [DESTINATION]}], "'x' is no IP address and no CIDR"),
    ],
)
def test_a_virtual_service(path, value, expected):
    assert expected in fault(ENTRY, changed(VIRTUAL_SERVICE, path, value))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("spec.servers", [], "spec.servers: must not be empty"),
        ("spec.servers.0.hosts.0", "a/b/c", "hosts[0]: a host here is a name, or namespace/name"),
        ("spec.servers.0.port.protocol", "SMTP", "port.protocol: must be HTTP or HTTPS"),
        ("spec.servers.0.tls.mode", "HALF", "tls.mode: must be PASSTHROUGH or SIMPLE"),
        ("spec.servers.0.tls", {"mode": "SIMPLE"}, "tls: this mode needs credentialName, or serverCertificate and"),
        ("spec.servers.0.tls.mode", "PASSTHROUGH", "tls: this mode has no use for credentialName"),
        ("spec.servers.0.tls.verifyCertificateSpki", ["x"], "verifyCertificateSpki[0]: 'x' is no SHA-256 of a key"),
        ("spec.servers.0.tls.verifyCertificateHash", ["x"], "verifyCertificateHash[0]: 'x' is no SHA-256 of a cert"),
        ("spec.servers.0.tls.minProtocolVersion", "TLSV1_4", "minProtocolVersion: must be TLS_AUTO or TLSV1_0"),
        ("spec.servers.0.tls.credentialNames", ["a", "b", "c"], "tls: at most two certificates"),
        ("spec.servers.0.tls.serverCertificate", "a.pem", "credentialName and serverCertificate exclude each other"),
        ("spec.servers.0.tls", None, "spec.servers[0]: HTTPS needs tls"),
        ("spec.servers.0.port.protocol", "HTTP", "spec.servers[0]: HTTP has no tls but httpsRedirect"),
    ],
)
def test_a_gateway(path, value, expected):
    assert expected in fault(changed(GATEWAY, path, value))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: Sidecar\nspec: {egress: [{hosts: [a]}]}", "egress[0].hosts[0]: a host here is namespace/host"),
        ("kind: Sidecar\nspec: {egress: [{}]}", "spec.egress[0]: 'hosts' is missing"),
        ("kind: Sidecar\nspec: {outboundTrafficPolicy: {mode: ALL}}", "mode: must be REGISTRY_ONLY or ALLOW_ANY"),
        ("kind: WorkloadEntry\nspec: {adress: 10.0.0.7}", 'spec.adress: unknown key, did you mean "address"?'),
        ("kind: WorkloadGroup\nspec: {}", "spec: 'template' is missing"),
    ],
)
def test_the_other_networking_kinds(text, expected):
    assert expected in fault(f"apiVersion: networking.istio.io/v1\nmetadata: {{name: a}}\n{text}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("apiVersion: v1\nkind: Service\nspec: {ports: [{port: 0}]}", "ports[0].port: a port is a number from 1 to"),
        ("apiVersion: v1\nkind: Service\nspec: {selector: {a: 1}}", "spec.selector.a: must be text, not 1"),
        ("apiVersion: apps/v1\nkind: Deployment\nspec: {}", "spec: 'template' is missing"),
        ("apiVersion: apps/v2\nkind: Deployment\nspec: {}", "apiVersion: must be apps/v1, not 'apps/v2'"),
        ("apiVersion: v1\nkind: Secret\ndata: [a]", "data: must be keys and values"),
        ('apiVersion: v1\nkind: ConfigMap\ndata: {mesh: "a: [" }', "data.mesh: mesh: not YAML"),
        ('apiVersion: v1\nkind: ConfigMap\ndata: {mesh: "rootNamespace: 5"}', "rootNamespace: must be text, not 5"),
    ],
)
def test_the_kinds_of_kubernetes(text, expected):
    assert expected in fault(f"metadata: {{name: istio}}\n{text}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", "a.yaml:1:1: an Istio resource starts with apiVersion: and kind:"),
        ("services: {}", "a.yaml:1:1: apiVersion and kind missing: this is no Istio resource"),
        ("apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin", "kind: WasmPlugin: not supported, since it"),
        ("apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter", "kind: EnvoyFilter: not supported, since it"),
        (
            "apiVersion: a.istio.io/v1\nkind: ServiceEntri",
            "kind: unknown kind 'ServiceEntri', did you mean \"ServiceEntry\"?",
        ),
        ("apiVersion: a.istio.io/v1\nkind: [ServiceEntry]", "kind: must be text, not ['ServiceEntry']"),
        ("apiVersion: [x]\nkind: ServiceEntry", "a.yaml:1:1: apiVersion: must be text, not ['x']"),
    ],
)
def test_other_documents(text, expected):
    assert expected in fault(text)


def test_every_fault_is_gathered_with_line_and_column_in_the_order_of_the_files():
    broken_entry = ENTRY.replace("protocol: HTTP", "protocol: HTTPZ").replace("  location", "  locaton")
    broken_rule = RULE.replace("mode: SIMPLE", "mode: MUTUAL")
    broken_service = VIRTUAL_SERVICE.replace("5s", "soon")
    found = faults(broken_entry + "---\n" + broken_rule, broken_service)
    assert [each.split(" ")[0] + each.split(" ")[1] for each in found] == [
        "a.yaml:8:3:spec.locaton:",
        "a.yaml:12:7:spec.ports[0].protocol:",
        "a.yaml:23:5:spec.trafficPolicy.tls:",
        "b.yaml:14:7:spec.http[0].timeout:",
    ]


# Words that get past the first doors, so that the rules behind them are reached too.
words = st.sampled_from(
    [
        "bank.example.com",
        "bank",
        "*",
        "HTTP",
        "STATIC",
        "DNS",
        "MUTUAL",
        "SIMPLE",
        "5s",
        "10.0.0.7",
        "system",
        "http",
        "",
    ]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=8)
keys = st.text(max_size=8) | st.sampled_from(
    [
        *("spec", "hosts", "host", "ports", "number", "protocol", "name", "targetPort", "resolution", "endpoints"),
        *("address", "trafficPolicy", "tls", "mode", "sni", "subjectAltNames", "portLevelSettings", "port", "http"),
        *("route", "destination", "timeout", "weight", "metadata", "labels", "annotations", "status", "[key]"),
    ]
)
contents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


def reads_or_refuses(*texts: str) -> None:
    try:
        read_text(*texts)
    except InvalidFile as error:
        refused = error.faults
    else:
        return
    assert refused
    assert all(each.line >= 1 and each.column >= 1 and each.message for each in refused)


@given(st.lists(contents, max_size=3))
def test_whatever_is_written_is_read_or_refused(documents):
    reads_or_refuses(pyyaml.safe_dump_all(documents))


@given(st.text())
def test_whatever_the_text_it_is_read_or_refused(text):
    reads_or_refuses(text.encode(errors="replace").decode())


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from places(each, (*path, key))


@given(st.data())
def test_whatever_is_changed_in_good_resources_they_are_read_or_refused(data):
    resources = [*EVERYTHING, loaded(rule(MUTUAL))]
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(resources) - 1))
        path = data.draw(st.sampled_from(list(places(resources[index]))))
        resources[index] = put(resources[index], path, data.draw(contents), data.draw(st.none() | keys))
    reads_or_refuses(pyyaml.safe_dump_all(resources))


def put(value, path, new, key):
    """`value` with `new` at `path`, or under a further key there."""
    if not path:
        return {**value, key: new} if key is not None and isinstance(value, dict) else new
    step, *rest = path
    if isinstance(value, list):
        return [put(each, rest, new, key) if index == step else each for index, each in enumerate(value)]
    return {**value, step: put(value[step], rest, new, key)}
