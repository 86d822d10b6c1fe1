"""What is wrong, unknown or not carried out yet is a fault with its place; nothing is ignored."""

from __future__ import annotations

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import InvalidFile
from tests.mesh.istio.resources import (
    ENTRY,
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
        (
            "metadata.annotations",
            {"networking.istio.io/traffic-distribution": "x"},
            "metadata.annotations.networking.istio.io/traffic-distribution: not supported yet",
        ),
        ("spec", None, "spec: must be keys and values, not None"),
        ("spec.hostz", ["a"], 'spec.hostz: unknown key, did you mean "hosts"?'),
        ("spec.subjectAltName", ["a"], 'spec.subjectAltName: unknown key, did you mean "subjectAltNames"?'),
        ("spec.zzz", 1, "spec.zzz: unknown key, known here: hosts, ports, location, resolution, endpoints, subject"),
        ("spec.addresses", ["10.0.0.0/8"], "spec.addresses: not supported yet"),
        ("spec.workloadSelector", {}, "spec.workloadSelector: not supported yet"),
        ("spec.exportTo", ["."], "spec.exportTo: not supported yet"),
        ("spec.hosts", [], "spec.hosts: must have one item, not none"),
        ("spec.hosts", ["a.example.com", "b.example.com"], "spec.hosts: more than one: not supported yet"),
        ("spec.hosts.0", "*.example.com", "spec.hosts[0]: a wildcard: not supported yet"),
        ("spec.hosts.0", "Bank.example.com", "spec.hosts[0]: 'Bank.example.com' is no host name in lower case"),
        ("spec.hosts.0", 5, "spec.hosts[0]: must be text, not 5"),
        ("spec.location", "MESH_INTERNAL", "spec.location: MESH_INTERNAL: not supported yet"),
        ("spec.location", "OUTSIDE", "spec.location: must be MESH_EXTERNAL, not 'OUTSIDE'"),
        ("spec.resolution", "NONE", "spec.resolution: NONE: not supported yet"),
        ("spec.resolution", "DNS_ROUND_ROBIN", "spec.resolution: DNS_ROUND_ROBIN: not supported yet"),
        ("spec.resolution", ["DNS"], "spec.resolution: must be STATIC or DNS, not ['DNS']"),
        ("spec.resolution", "STATIC", "spec.resolution: STATIC needs endpoints"),
        ("spec.ports", [], "spec.ports: must have one item, not none"),
        ("spec.ports.1", PORT, "spec.ports: more than one: not supported yet"),
        ("spec.ports.0.number", 0, "spec.ports[0].number: a port is a number from 1 to 65535, not 0"),
        ("spec.ports.0.number", "80", "spec.ports[0].number: must be a whole number, not '80'"),
        ("spec.ports.0.targetPort", 70000, "spec.ports[0].targetPort: a port is a number from 1 to 65535, not 70000"),
        ("spec.ports.0.protocol", "HTTPS", "spec.ports[0].protocol: HTTPS: not supported yet"),
        ("spec.ports.0.protocol", "tls", "spec.ports[0].protocol: TLS: not supported yet"),
        ("spec.ports.0.protocol", "SMTP", "spec.ports[0].protocol: must be HTTP or HTTP2 or GRPC or TCP, not 'SMTP'"),
        ("spec.ports.0.name", "", "spec.ports[0].name: must not be empty"),
        ("spec.ports.0", {"number": 80}, "spec.ports[0]: 'protocol' is missing"),
        ("spec.endpoints", [{}], "spec.endpoints[0]: 'address' is missing"),
        ("spec.endpoints", [{"address": "a_b"}], "spec.endpoints[0].address: 'a_b' is no IP address and no host name"),
        ("spec.endpoints", [{"address": "unix:///s"}], "spec.endpoints[0].address: a Unix socket: not supported yet"),
        (
            "spec.endpoints",
            [{"address": "10.0.0.7", "ports": {"htp": 1}}],
            'spec.endpoints[0].ports.htp: the ServiceEntry has no port of this name, did you mean "http"?',
        ),
        (
            "spec.endpoints",
            [{"address": "a", "ports": {"http": 0}}],
            "spec.endpoints[0].ports.http: a port is a number",
        ),
        *(
            ("spec.endpoints", [{"address": "10.0.0.7", key: {}}], f"spec.endpoints[0].{key}: not supported yet")
            for key in ("labels", "network", "locality", "weight", "serviceAccount")
        ),
        ("spec.subjectAltNames", ["spiffe://a/b"], "spec.subjectAltNames[0]: a URI: not supported yet"),
    ],
)
def test_a_service_entry(path, value, expected):
    assert expected in "\n".join(faults(changed(ENTRY, path, value)))


def test_istio_s_own_default_of_the_resolution_is_not_supported_yet():
    spec = loaded(ENTRY)["spec"]
    del spec["resolution"]
    assert "spec.resolution: NONE: not supported yet" in fault(entry(spec=spec))


def test_with_static_every_endpoint_has_an_ip_address():
    spec = {**loaded(ENTRY)["spec"], "resolution": "STATIC", "endpoints": [{"address": "eu.example.com"}]}
    assert "spec.endpoints[0].address: 'eu.example.com' is no IP address: " in fault(entry(spec=spec))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("spec.host", "*.example.com", "spec.host: a wildcard: not supported yet"),
        *((f"spec.{key}", [], f"spec.{key}: not supported yet") for key in ("subsets", "exportTo", "workloadSelector")),
        *(
            (f"spec.trafficPolicy.{key}", {}, f"spec.trafficPolicy.{key}: not supported yet")
            for key in (
                *("loadBalancer", "connectionPool", "outlierDetection"),
                *("tunnel", "proxyProtocol", "retryBudget"),
            )
        ),
        ("spec.trafficPolicy.tsl", {}, 'spec.trafficPolicy.tsl: unknown key, did you mean "tls"?'),
        ("spec.trafficPolicy.tls.mode", "ISTIO_MUTUAL", "tls.mode: ISTIO_MUTUAL: is for services of the mesh"),
        ("spec.trafficPolicy.tls.mode", "mutual", "must be DISABLE or SIMPLE or MUTUAL, not 'mutual'"),
        ("spec.trafficPolicy.tls.mode", "MUTUAL", "spec.trafficPolicy.tls: mode MUTUAL needs clientCertificate and"),
        ("spec.trafficPolicy.tls.privateKey", "k.pem", "tls: mode SIMPLE has no use for privateKey"),
        ("spec.trafficPolicy.tls", {"sni": "a"}, "tls: mode DISABLE has no use for sni"),
        ("spec.trafficPolicy.tls", {**MUTUAL, "privateKey": ""}, "tls: mode MUTUAL needs privateKey"),
        ("spec.trafficPolicy.tls.credentialName", "s", "tls.credentialName: not supported yet"),
        ("spec.trafficPolicy.tls.caCrl", "c.pem", "tls.caCrl: not supported yet"),
        ("spec.trafficPolicy.tls.insecureSkipVerify", True, "insecureSkipVerify: refused: the certificate of an"),
        ("spec.trafficPolicy.tls.insecureSkipVerify", "no", "insecureSkipVerify: must be true or false, not 'no'"),
        ("spec.trafficPolicy.tls.sni", "A B", "tls.sni: 'A B' is no host name in lower case"),
        ("spec.trafficPolicy.tls.subjectAltNames", ["*.a"], "tls.subjectAltNames[0]: a wildcard: not supported yet"),
        ("spec.trafficPolicy.tls.caCertificates", "~/ca.pem", "caCertificates: write the path out, without ~"),
        ("spec.trafficPolicy.portLevelSettings", [{}], "portLevelSettings[0]: 'port' is missing"),
        (
            "spec.trafficPolicy.portLevelSettings",
            [{"port": {"number": 443}, "tls": {}}],
            "portLevelSettings[0].port.number: ServiceEntry 'bank' has port 80, not 443; 443 is its targetPort",
        ),
        (
            "spec.trafficPolicy.portLevelSettings",
            [{"port": {"number": 8080}, "tls": {}}],
            "portLevelSettings[0].port.number: ServiceEntry 'bank' has port 80, not 8080",
        ),
        (
            "spec.trafficPolicy.portLevelSettings",
            [{"port": {"number": 80}}, {"port": {"number": 80}}],
            "portLevelSettings[1].port.number: this port is there twice",
        ),
        *(
            (
                "spec.trafficPolicy.portLevelSettings",
                [{"port": {"number": 80}, key: {}}],
                f"portLevelSettings[0].{key}: not supported yet",
            )
            for key in ("loadBalancer", "connectionPool", "outlierDetection")
        ),
        (
            "metadata.namespace",
            "other",
            "metadata.namespace: another namespace than that of its ServiceEntry (a.yaml:4)",
        ),
    ],
)
def test_a_destination_rule(path, value, expected):
    assert expected in fault(ENTRY, changed(RULE, path, value))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        *((f"spec.{key}", [], f"spec.{key}: not supported yet") for key in ("tls", "tcp", "exportTo")),
        ("spec.hosts.1", "b.example.com", "spec.hosts: more than one: not supported yet"),
        ("spec.gateways", ["front"], "spec.gateways: gateways other than mesh: not supported yet"),
        ("spec.http", [], "spec.http: must have one item, not none"),
        ("spec.http.1", {"route": [{"destination": {"host": "a"}}]}, "spec.http: more than one: not supported yet"),
        *(
            (f"spec.http.0.{key}", {}, f"spec.http[0].{key}: not supported yet")
            for key in (
                *("name", "match", "retries", "headers", "rewrite", "fault", "mirror", "mirrors", "mirrorPercent"),
                *("mirrorPercentage", "redirect", "directResponse", "corsPolicy", "delegate"),
            )
        ),
        ("spec.http.0.timout", "5s", 'spec.http[0].timout: unknown key, did you mean "timeout"?'),
        ("spec.http.0.timeout", "5", "spec.http[0].timeout: a duration is numbers with the units"),
        ("spec.http.0.timeout", 5, "spec.http[0].timeout: a duration is numbers with the units"),
        ("spec.http.0.timeout", "0s", "spec.http[0].timeout: a duration has whole milliseconds, from 1ms to 8760h"),
        ("spec.http.0.timeout", "0.5ms", "spec.http[0].timeout: a duration has whole milliseconds"),
        ("spec.http.0.timeout", "999999999h", "spec.http[0].timeout: a duration has whole milliseconds"),
        ("spec.http.0.route.0.headers", {}, "route[0].headers: not supported yet"),
        ("spec.http.0.route.0.destination.subset", "v1", "route[0].destination.subset: not supported yet"),
        ("spec.http.0.route.0.weight", -1, "route[0].weight: "),
        ("spec.http.0.route.1", {"destination": {"host": "b"}}, "spec.http[0].route: more than one: not supported yet"),
        (
            "spec.http.0.route.0.destination.host",
            "b.example.com",
            "route[0].destination.host: another host than bank.example.com: not supported yet",
        ),
        (
            "spec.http.0.route.0.destination.port.number",
            443,
            "route[0].destination.port.number: ServiceEntry 'bank' has port 80, not 443; 443 is its targetPort",
        ),
    ],
)
def test_a_virtual_service(path, value, expected):
    assert expected in fault(ENTRY, changed(VIRTUAL_SERVICE, path, value))


def test_http_routes_towards_tcp():
    tcp = changed(ENTRY, "spec.ports.0.protocol", "TCP")
    assert "spec.http: ServiceEntry 'bank' has protocol TCP: it has no requests" in fault(tcp, VIRTUAL_SERVICE)


@pytest.mark.parametrize("text", [RULE, VIRTUAL_SERVICE])
def test_what_has_no_service_entry_would_do_nothing(text):
    other = changed(ENTRY, "spec.hosts", ["bank.example.org"])
    expected = (
        'no ServiceEntry has the host bank.example.com, so this would do nothing, did you mean "bank.example.org"?'
    )
    assert expected in fault(other, text)
    assert "so this would do nothing" in fault(text)


def test_a_rule_is_not_called_inert_while_its_entry_cannot_be_read():
    assert len(faults(changed(ENTRY, "spec.zzz", 1), RULE)) == 1


@pytest.mark.parametrize("text", [ENTRY, RULE, VIRTUAL_SERVICE])
def test_two_of_a_kind_for_one_host(text):
    texts = [ENTRY] if text is not ENTRY else []
    place = "bcd"[len(texts)]
    again = changed(text, "metadata.name", "again")
    assert " is for bank.example.com already" in fault(*texts, text, again)
    assert fault(*texts, text, again).startswith(f"{place}.yaml:")


def test_two_entries_of_one_name():
    again = changed(ENTRY, "spec.hosts", ["other.example.com"])
    assert "b.yaml:4:3: metadata.name: a.yaml:4 has a ServiceEntry 'bank' already" in fault(ENTRY, again)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", "a.yaml:1:1: an Istio resource starts with apiVersion: and kind:"),
        ("services: {}", "a.yaml:1:1: apiVersion and kind missing: this is no Istio resource"),
        ("apiVersion: v1\nkind: Secret", "a.yaml:2:1: kind: Secret: not supported yet"),
        ("apiVersion: networking.istio.io/v1\nkind: Gateway", "a.yaml:2:1: kind: Gateway: not supported yet"),
        ("apiVersion: security.istio.io/v1\nkind: PeerAuthentication", "kind: PeerAuthentication: not supported yet"),
        ("apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter", "kind: EnvoyFilter: not supported, since it"),
        ("apiVersion: x\nkind: ServiceEntri", "kind: unknown kind 'ServiceEntri', did you mean \"ServiceEntry\"?"),
        ("apiVersion: x\nkind: [ServiceEntry]", "kind: unknown kind ['ServiceEntry'], "),
        ("apiVersion: [x]\nkind: ServiceEntry", "a.yaml:1:1: apiVersion: must be networking.istio.io/v1"),
    ],
)
def test_other_documents(text, expected):
    assert expected in fault(text)


def test_every_fault_is_gathered_with_line_and_column_in_the_order_of_the_files():
    broken_entry = ENTRY.replace("protocol: HTTP", "protocol: HTTPS").replace("  location", "  locaton")
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
    resources = [loaded(ENTRY), loaded(data.draw(st.sampled_from([RULE, rule(MUTUAL)]))), loaded(VIRTUAL_SERVICE)]
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, 2))
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
