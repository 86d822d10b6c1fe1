"""The mesh file: what it may say becomes the graph."""

from __future__ import annotations

import string
from datetime import timedelta

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from handsel.documents import yaml
from handsel.errors import FileFault, InvalidFile
from handsel.model.durations import parse_duration
from handsel.model.file import Included, schema
from handsel.model.finding import Finding, Severity
from handsel.model.graph import External, ExternalTls, Protocol
from handsel.pki.names import TrustDomain
from tests.support import read_mesh

WHOLE = """
trust_domain: shop.internal
services:
  web:
    command: python web.py --name "a b"
    port: 8080
    calls: [emoji, bank]
  emoji: {port: 8081, protocol: grpc, namespace: votes, service_account: smile}
external:
  bank:
    host: external.system.com
    port: 8443
    endpoints: ["127.0.0.1:18443", "[::1]:443"]
    tls: {mode: mutual, client_certificate: certs/cert.pem, private_key: /keys/key.pem, ca_certificates: certs/ca.pem}
authority: {leaf_lifetime: 10m, renew_after: 90s}
telemetry: {requests: true}
"""


def test_what_the_file_says_is_in_the_graph():
    mesh = read_mesh(WHOLE)
    web, emoji = mesh.services["web"], mesh.services["emoji"]
    assert mesh.trust_domain == TrustDomain("shop.internal")
    assert (web.command, web.port, web.protocol) == (("python", "web.py", "--name", "a b"), 8080, Protocol.HTTP)
    assert list(web.calls) == ["emoji", "bank"]
    assert str(emoji.identity) == "spiffe://shop.internal/ns/votes/sa/smile"
    assert (mesh.leaf_lifetime, mesh.renew_after) == (timedelta(minutes=10), timedelta(seconds=90))
    assert mesh.requests_seen


def test_paths_start_at_the_folder_of_the_file_and_absolute_ones_stay():
    bank = read_mesh(WHOLE).externals["bank"]
    paths = (bank.client_certificate, bank.private_key, bank.ca_certificates)
    assert paths == ("/etc/shop/certs/cert.pem", "/keys/key.pem", "/etc/shop/certs/ca.pem")


def test_an_external_has_its_addresses_and_shows_its_host_as_name():
    bank = read_mesh(WHOLE).externals["bank"]
    assert bank.endpoints == (("127.0.0.1", 18443), ("::1", 443))
    assert (bank.server_name, bank.server_names) == ("external.system.com", ("external.system.com",))
    assert bank.tls is ExternalTls.MUTUAL


def test_a_file_with_only_services_works():
    mesh = read_mesh("services: {web: {}}")
    web = mesh.services["web"]
    assert str(web.identity) == f"spiffe://{mesh.trust_domain}/ns/default/sa/web"
    assert (web.port, web.command, dict(web.calls), web.sidecar) == (0, (), {}, True)


@pytest.mark.parametrize("text", ["services: {web: {sidecar: no}}", "services: {web: {sidecar: false}}"])
def test_no_means_no(text):
    assert not read_mesh(text).services["web"].sidecar


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h", 3600), ("2d", 172800), ("500ms", 0.5), ("1.5s", 1.5)]
)
def test_a_duration_is_a_number_with_its_unit(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "1", "s", "-1s", "1 h", "1w", "1h30m", "9" * 400 + "d", "99999999999999d", 90, None]
)
def test_no_other_duration_is_taken(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


# Words that get past the first doors, so that the rules behind them are reached too.
words = st.sampled_from(["web", "emoji", "services", "calls", "port", "http", "tcp", "mutual", "1h", "10.0.0.7:1", ""])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(string.printable, max_size=8)
keys = words | st.sampled_from(["external", "tls", "host", "endpoints", "include", "authority", "telemetry", "sidecar"])
contents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(keys, contents, max_size=3))
def test_whatever_the_file_says_is_a_graph_or_faults_with_places(content):
    try:
        mesh = read_mesh(pyyaml.safe_dump(content))
    except InvalidFile as error:
        faults = error.faults
    else:
        faults = None
    if faults is not None:
        assert faults
        assert all(fault.line >= 1 and fault.message for fault in faults)
        return
    assert all(callee in {*mesh.members, *mesh.externals} for each in mesh.services.values() for callee in each.calls)


def test_the_schema_describes_every_key():
    described = schema()
    parts = [described, *described["$defs"].values()]
    properties = [(key, value) for part in parts for key, value in part.get("properties", {}).items()]
    assert {"services", "leaf_lifetime", "server_name", "calls"} <= {key for key, _ in properties}
    # A key of a part may leave it to the part's own description.
    known = {f"#/$defs/{name}": part.get("description") for name, part in described["$defs"].items()}
    assert [key for key, value in properties if not (value.get("description") or known.get(value.get("$ref")))] == []


def _external(name: str, host: str) -> External:
    (external,) = read_mesh(f"external: {{{name}: {{host: {host}}}}}").externals.values()
    return external


def test_what_an_included_file_declares_can_be_called():
    asked: list[str] = []

    def include(pattern: str) -> list[yaml.Document]:
        asked.append(pattern)
        return yaml.parse(b"kind: ServiceEntry", "entry.yaml")

    def read_resources(documents, _around) -> Included:
        assert [document.value for document in documents] == [{"kind": "ServiceEntry"}]
        note = Finding("entry.yaml", 1, 1, "HM-001", Severity.INFO, "a note")
        return Included(externals=(_external("bank", "bank.example"),), findings=(note,))

    text = "services: {web: {calls: [bank]}}\ninclude: [istio/*.yaml]"
    mesh = read_mesh(text, include=include, read_resources=read_resources)
    assert asked == ["istio/*.yaml"]
    assert list(mesh.externals) == ["bank"]
    assert mesh.notes == ("entry.yaml:1: a note",)


def test_the_faults_of_an_included_file_stand_beside_our_own():
    def include(pattern: str) -> list[yaml.Document]:
        raise InvalidFile([FileFault("istio/a.yaml", 7, 3, "spec", "is wrong")])

    with pytest.raises(InvalidFile) as caught:
        read_mesh("services: {Web: {}}\ninclude: [istio/*.yaml]", include=include)
    assert [(fault.file, fault.line) for fault in caught.value.faults] == [("handsel.yaml", 1), ("istio/a.yaml", 7)]


def test_a_pattern_that_brings_nothing_is_a_fault_at_its_own_line():
    def include(pattern: str) -> list[yaml.Document]:
        raise ValueError(f"no file matches {pattern}")

    with pytest.raises(InvalidFile, match=r"handsel.yaml:2:\d+: include\[0\]: no file matches a.yaml"):
        read_mesh("services: {web: {}}\ninclude: [a.yaml]", include=include)
