"""The mesh file: every fault is found at once, at its place, with a hint where there is one."""

from __future__ import annotations

import pytest

from handsel.errors import InvalidFile
from tests.support import read_mesh


def _faults(text: str) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        read_mesh(text)
    return [f"{fault.line}:{fault.column} {fault.path}: {fault.message}" for fault in caught.value.faults]


EXTERNAL = "external: {{bank: {{host: bank.example, {}}}}}"


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        ("services: {web: {port: 80}}", "services: {web: {prot: 80}}", 'unknown key, did you mean "port"?'),
        ("services: {}", "service: {}", 'did you mean "services"?'),
        ("telemetry: {requests: true}", "telemetry: {zzz: true}", "known here: requests"),
        ("services: {}", "networks: {}", "networks: not supported yet"),
        ("services: {web: {expose: {port: 1}}}", "services: {web: {expose: {}}}", "'port' is missing"),
        ("authority: {}", "authority: {keys: softhsm}", "a URI that starts with pkcs11:"),
        ("services: {}", "[]", "starts with keys"),
        ("services: {}", "services: {}\n---\nservices: {}", "one document"),
        ("services: {}", "", "starts with keys"),
        ("services: {web: {port: 65535}}", "services: {web: {port: 65536}}", "from 1 to 65535, not 65536"),
        ("services: {web: {port: 1}}", "services: {web: {port: 0}}", "from 1 to 65535"),
        ("services: {web: {port: 80}}", "services: {web: {port: '80'}}", "a whole number, not '80'"),
        ("services: {web: {port: 80}}", "services: {web: {port: true}}", "a whole number"),
        ("services: {web: {port: 80}}", f"services: {{web: {{port: 0x{'f' * 5000}}}}}", "a whole number"),
        ("services: {web: {calls: []}}", "services: {web: {calls: emoji}}", "must be a list"),
        ("services: {web: {}}", "services: {web: 3}", "must be keys and values, not 3"),
        ("services: {web: {protocol: tcp}}", "services: {web: {protocol: udp}}", "'http', 'http2', 'grpc' or 'tcp'"),
        ("services: {web-1: {}}", "services: {Web: {}}", "a name has lower-case letters"),
        (f"services: {{{'w' * 63}: {{}}}}", f"services: {{{'w' * 64}: {{}}}}", "at most 63"),
        ("services: {web: {}}", "services: {web: {namespace: a b}}", "no segment of a SPIFFE ID"),
        ("services: {web: {command: \"a 'b'\"}}", 'services: {web: {command: "a \'b"}}', "cannot be split"),
        ("trust_domain: shop.internal", "trust_domain: Shop", "is no trust domain"),
        ("authority: {leaf_lifetime: 24h}", "authority: {leaf_lifetime: 25h}", "between 2s and 24h"),
        ("authority: {leaf_lifetime: 2s}", "authority: {leaf_lifetime: 1999ms}", "between 2s and 24h"),
        ("authority: {leaf_lifetime: 1h}", "authority: {leaf_lifetime: 3600}", "a number with a unit"),
        ("authority: {leaf_lifetime: 1h}", "authority: {leaf_lifetime: 99999999999999999d}", "too long"),
        ("authority: {renew_after: 59m}", "authority: {renew_after: 60m}", "shorter than leaf_lifetime"),
        (EXTERNAL.format("port: 1"), "external: {bank: {port: 1}}", "'host' is missing"),
        (EXTERNAL.format("port: 1"), "external: {bank: {host: Bank_}}", "no host name in lower case"),
        (EXTERNAL.format("endpoints: ['10.0.0.7:1']"), EXTERNAL.format("endpoints: [10.0.0.7]"), "no address with"),
        (EXTERNAL.format("endpoints: ['10.0.0.7:1']"), EXTERNAL.format("endpoints: ['10.0.0.7:0']"), "no address with"),
        (EXTERNAL.format("endpoints: ['[::1]:1']"), EXTERNAL.format("endpoints: ['bank:443']"), "no address with"),
        (
            EXTERNAL.format("tls: {mode: mutual, client_certificate: a, private_key: b}"),
            EXTERNAL.format("tls: {mode: mutual, client_certificate: a}"),
            "needs client_certificate and private_key",
        ),
        (
            EXTERNAL.format("tls: {ca_certificates: a}"),
            EXTERNAL.format("tls: {client_certificate: a, private_key: b}"),
            "shows no client certificate",
        ),
        (EXTERNAL.format("tls: {mode: simple}"), EXTERNAL.format("tls: {mode: strict}"), "'disable', 'simple' or"),
    ],
)
def test_a_fault_is_told_and_its_repair_is_taken(good, bad, fault):
    read_mesh(good)
    assert fault in "\n".join(_faults(bad))
    assert len(_faults(bad)) == 1


TWO = "services: {{web: {{{}}}, emoji: {{{}}}}}"


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        (TWO.format("calls: [emoji]", ""), TWO.format("calls: [emojy]", ""), 'did you mean "emoji"?'),
        (TWO.format("calls: [emoji]", ""), TWO.format("calls: [web]", ""), "does not call itself"),
        (TWO.format("calls: [emoji]", ""), TWO.format("calls: [emoji, emoji]", ""), "is there twice"),
        (TWO.format("", "sidecar: false"), TWO.format("calls: [emoji]", "sidecar: false"), "has no sidecar"),
        (TWO.format("calls: [emoji]", ""), TWO.format("calls: [emoji], sidecar: false", ""), "everything is direct"),
        (TWO.format("port: 1", "port: 2"), TWO.format("port: 1", "port: 1"), "has port 1 already"),
        (TWO.format("", ""), TWO.format("", "service_account: web"), "the same identity as 'web'"),
        (
            "services: {web: {}}\nexternal: {bank: {host: bank.example}}",
            "services: {web: {}}\nexternal: {web: {host: bank.example}}",
            "a service has this name already",
        ),
        (
            "services: {web: {}}\nexternal: {bank: {host: bank.example}}",
            "services: {web: {}}\nexternal: {bank: {host: web}}",
            "a service is called web already",
        ),
        (
            "external: {a: {host: a.example}, b: {host: b.example}}",
            "external: {a: {host: a.example}, b: {host: a.example}}",
            "a.example is external 'a' already",
        ),
    ],
)
def test_what_only_the_whole_can_tell_is_told(good, bad, fault):
    read_mesh(good)
    assert fault in "\n".join(_faults(bad))


def test_every_fault_is_found_at_once_in_the_order_of_the_file():
    text = """\
trust_domain: Shop
services:
  web:
    calls: [nobody]
  Emoji: {}
external:
  bank: {host: UPPER}
authority: {leaf_lifetime: 1s}
"""
    places = [fault.split(":")[0] for fault in _faults(text)]
    assert places == ["1", "4", "5", "7", "8"]


def test_faults_of_form_are_found_together_too():
    assert len(_faults("services: {web: {port: x, prot: 1, calls: 2}}")) == 3


def test_a_fault_stands_at_its_key():
    assert _faults("services:\n  web:\n    port: 99999\n")[0].startswith("3:5 services.web.port: ")


def test_a_large_value_is_not_repeated_in_full():
    assert len(_faults(f"services: {{web: {{port: {'x' * 5000}}}}}")[0]) < 200
