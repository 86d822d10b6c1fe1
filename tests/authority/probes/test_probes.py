"""Each challenge against real servers on loopback: what is right gets through, what is odd is refused by its kind."""

from __future__ import annotations

import asyncio
import time

import pytest
from cryptography import x509

from handsel.acme.problems import Identifier, Problem
from handsel.authority.adapters.probes import Probes
from tests.authority.probes.clients import (
    EXPECTED,
    PATH,
    THUMBPRINT,
    TOKEN,
    answer,
    dns_server,
    http_server,
    ip,
    proof_certificate,
    settings,
    tls_server,
)

LOCALHOST, ADDRESS = Identifier("dns", "localhost"), Identifier("ip", "127.0.0.1")
CLIENT = Identifier("dns", "client.test")


async def look(kind: str, identifier: Identifier, *, seconds: float = 10, wildcard: bool = False, **changed: object):
    probes = Probes(settings(**changed), seconds=seconds)
    await probes(kind, identifier, TOKEN, THUMBPRINT, account="abc", wildcard=wildcard)


async def refusal(kind: str, identifier: Identifier, **changed: object) -> Problem:
    with pytest.raises(Problem) as refused:
        await look(kind, identifier, **changed)
    return refused.value


# http-01


@pytest.mark.parametrize("identifier", [LOCALHOST, ADDRESS], ids=str)
async def test_rfc8555_8_3_the_right_answer_proves_control(identifier):
    async with http_server(lambda _path: answer()) as (port, heads):
        await look("http-01", identifier, http_port=port)
    (head,) = heads
    assert head.startswith(f"GET {PATH} HTTP/1.1\r\n")
    assert f"\r\nHost: {identifier}:{port}\r\n" in head


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        pytest.param(answer("other"), "incorrectResponse", id="another text"),
        pytest.param(answer(status="404 Not Found"), "incorrectResponse", id="not found"),
        pytest.param(answer(status="500 Oops"), "incorrectResponse", id="an error"),
        pytest.param(answer("x" * 9000), "incorrectResponse", id="too much"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000, "incorrectResponse", id="endless headers"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", "connection", id="not HTTP"),
        pytest.param(b"", "connection", id="nothing"),
        pytest.param(answer(status="302 Found"), "incorrectResponse", id="a redirect to nowhere"),
    ],
)
async def test_another_answer_proves_nothing(shown, kind):
    async with http_server(lambda _path: shown) as (port, _):
        assert (await refusal("http-01", LOCALHOST, http_port=port)).kind == kind


async def test_a_name_that_nobody_answers_for_is_no_connection():
    async with http_server(lambda _path: answer()) as (port, _):
        pass
    assert (await refusal("http-01", LOCALHOST, http_port=port)).kind == "connection"


async def test_a_redirect_is_followed_ten_times_and_no_more():
    def count_down(path: str) -> bytes:
        left = int(path.rpartition("/")[2]) if path[-1].isdecimal() and path != PATH else hops
        return answer() if left == 0 else answer("", "302 Found", f"Location: /left/{left - 1}")

    hops = 10
    async with http_server(count_down) as (port, heads):
        await look("http-01", LOCALHOST, http_port=port)
        assert len(heads) == 11
        hops = 11
        refused = await refusal("http-01", LOCALHOST, http_port=port)
    assert (refused.kind, "more than 10" in refused.detail) == ("connection", True)


@pytest.mark.parametrize(
    "location",
    ["http://localhost:{other}/", "ftp://localhost/", "file:///etc/passwd", "http://169.254.169.254/latest/meta-data",
     "http://[fe80::1]/", "http://user@/", "http://localhost:99999/", "http://a b/"],
)  # fmt: skip
async def test_rfc8555_10_4_a_redirect_to_elsewhere_is_not_followed(location):
    async with http_server(lambda _path: answer()) as (other, reached):

        def redirect(path: str) -> bytes:
            where = location.replace("{other}", str(other))
            return answer("", "302 Found", f"Location: {where}") if path == PATH else answer()

        async with http_server(redirect) as (port, _):
            assert (await refusal("http-01", LOCALHOST, http_port=port)).kind == "connection"
    assert reached == []


async def test_a_redirect_to_https_does_not_ask_for_a_certificate_that_is_believed(tmp_path):
    files = proof_certificate(tmp_path, [x509.DNSName("localhost")])
    moved = "301 Moved"
    async with (
        tls_server(files, protocol="http/1.1") as (tls, asked),
        http_server(lambda _path: answer("", moved, f"Location: https://localhost:{tls}/")) as (port, _),
    ):
        refused = await refusal("http-01", LOCALHOST, http_port=port, tls_port=tls, seconds=1)
    assert asked == ["localhost"]  # it was reached, and did not speak HTTP
    assert refused.kind == "connection"


async def test_private_addresses_are_not_asked_when_the_settings_say_so():
    async with http_server(lambda _path: answer()) as (port, heads):
        refused = await refusal("http-01", LOCALHOST, http_port=port, allow_private_addresses=False)
        assert (refused.kind, heads) == ("connection", [])
        await look("http-01", LOCALHOST, http_port=port)


async def test_rebinding_changes_nothing_within_a_hop():
    """The address that was looked up and checked is the one that is connected to: there is no second question."""
    zone = {("client.test", "A"): ["127.0.0.1"]}
    questions: list[bytes] = []

    def rebind(query: bytes, honest: bytes) -> list[bytes]:
        questions.append(query)
        if len(questions) == 2:  # AAAA and A were answered honestly
            zone["client.test", "A"] = ["169.254.169.254"]
        return [honest]

    async with http_server(lambda _path: answer()) as (port, _), dns_server(zone, rebind) as resolver:
        await look("http-01", CLIENT, http_port=port, resolver=resolver)
        assert len(questions) == 2
        refused = await refusal("http-01", CLIENT, http_port=port, resolver=resolver)
    assert "169.254.169.254" in refused.detail


async def test_a_slow_client_ends_in_time_and_holds_nobody_up():
    async with http_server(lambda _path: 30.0) as (slow, _), http_server(lambda _path: answer()) as (port, _):
        began = time.monotonic()
        hanging = asyncio.create_task(refusal("http-01", LOCALHOST, http_port=slow, seconds=1))
        await look("http-01", LOCALHOST, http_port=port)
        assert time.monotonic() - began < 1
        assert (await hanging).kind == "connection"
        assert time.monotonic() - began < 3


# dns-01


async def digest() -> str:
    import hashlib

    from handsel.acme.jws import encode

    return encode(hashlib.sha256(EXPECTED.encode()).digest())


async def test_rfc8555_8_4_every_txt_record_is_tried():
    zone = {("_acme-challenge.client.test", "TXT"): ['"old"', f'"{await digest()}"', '"other"']}
    async with dns_server(zone) as resolver:
        await look("dns-01", CLIENT, resolver=resolver)
        zone["_acme-challenge.client.test", "TXT"].pop(1)
        assert (await refusal("dns-01", CLIENT, resolver=resolver)).kind == "incorrectResponse"


async def test_rfc8555_8_4_cnames_are_followed_and_loops_are_left():
    zone = {
        ("_acme-challenge.client.test", "CNAME"): ["proof.other.test."],
        ("proof.other.test", "CNAME"): ["here.other.test."],
        ("here.other.test", "TXT"): [f'"{await digest()}"'],
    }
    async with dns_server(zone) as resolver:
        await look("dns-01", CLIENT, resolver=resolver)
        zone["proof.other.test", "CNAME"] = ["_acme-challenge.client.test."]
        refused = await refusal("dns-01", CLIENT, resolver=resolver)
    assert (refused.kind, "CNAMEs" in refused.detail) == ("dns", True)


def _other_id(query: bytes, honest: bytes) -> list[bytes]:
    return [bytes([query[0] ^ 1]) + honest[1:]]


def _servfail(_query: bytes, honest: bytes) -> list[bytes]:
    return [honest[:3] + bytes([honest[3] & 0xF0 | 2]) + honest[4:6] + b"\0\0" + honest[8:]]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(_other_id, id="another id"),
        pytest.param(_servfail, id="SERVFAIL"),
        pytest.param(lambda _query, _honest: [], id="silence"),
        pytest.param(lambda _query, _honest: [b"\xff" * 700], id="noise"),
        pytest.param(lambda query, _honest: [query[:11]], id="cut off"),
    ],
)
async def test_a_dishonest_name_server_proves_nothing_and_ends_in_time(reply):
    zone = {("_acme-challenge.client.test", "TXT"): [f'"{await digest()}"']}
    async with dns_server(zone) as resolver:
        await look("dns-01", CLIENT, resolver=resolver)
    async with dns_server(zone, reply) as resolver:
        refused = await refusal("dns-01", CLIENT, resolver=resolver, seconds=1)
    assert refused.kind in ("dns", "connection")


async def test_a_name_without_records_says_so():
    async with dns_server({("client.test", "A"): ["127.0.0.1"]}) as resolver:
        refused = await refusal("dns-01", CLIENT, resolver=resolver)
    assert (refused.kind, "0 TXT records" in refused.detail) == ("incorrectResponse", True)


# tls-alpn-01


@pytest.mark.parametrize(("identifier", "name", "sni"), [
    (LOCALHOST, x509.DNSName("localhost"), "localhost"),
    (ADDRESS, ip("127.0.0.1"), "1.0.0.127.in-addr.arpa"),
])  # fmt: skip
async def test_rfc8737_3_the_right_certificate_proves_control(tmp_path, identifier, name, sni):
    async with tls_server(proof_certificate(tmp_path, [name])) as (port, asked):
        await look("tls-alpn-01", identifier, tls_port=port)
    assert asked == [sni]


@pytest.mark.parametrize(
    "wrong",
    [
        {"names": [x509.DNSName("other.test")]},
        {"names": [x509.DNSName("localhost"), x509.DNSName("other.test")]},
        {"names": [ip("127.0.0.1")]},
        {"names": []},
        {"digest": b"\0" * 32},
        {"digest": b"\0" * 31},
        {"critical": False},
        {"self_signed": False},
    ],
    ids=str,
)
async def test_rfc8737_3_another_certificate_proves_nothing(tmp_path, wrong):
    files = proof_certificate(tmp_path, **{"names": [x509.DNSName("localhost")], **wrong})
    async with tls_server(files) as (port, _):
        assert (await refusal("tls-alpn-01", LOCALHOST, tls_port=port)).kind == "incorrectResponse"


async def test_rfc8737_3_without_the_protocol_nothing_is_believed(tmp_path):
    files = proof_certificate(tmp_path, [x509.DNSName("localhost")])
    async with tls_server(files, protocol="h2") as (port, _):
        assert (await refusal("tls-alpn-01", LOCALHOST, tls_port=port)).kind == "tls"


async def test_a_port_that_speaks_no_tls_is_a_tls_problem():
    async with http_server(lambda _path: answer()) as (port, _):
        assert (await refusal("tls-alpn-01", LOCALHOST, tls_port=port, seconds=1)).kind in ("tls", "connection")


# CAA


async def test_rfc8659_3_the_closest_name_with_records_decides():
    zone = {
        ("_acme-challenge.a.client.test", "TXT"): [f'"{await digest()}"'],
        ("a.client.test", "A"): ["127.0.0.1"],
        ("client.test", "CAA"): ['0 issue "ca.test"'],
        ("test", "CAA"): ['0 issue ";"'],
    }
    name = Identifier("dns", "a.client.test")
    async with dns_server(zone) as resolver:
        asked = {"resolver": resolver, "caa": True, "caa_names": ("ca.test",)}
        await look("dns-01", name, **asked)
        del zone["client.test", "CAA"]
        assert (await refusal("dns-01", name, **asked)).kind == "caa"
        await look("dns-01", name, resolver=resolver)


async def test_a_challenge_of_another_kind_is_not_taken_for_one_of_these():
    async with http_server(lambda _path: answer()) as (port, _):
        assert (await refusal("device-attest-01", LOCALHOST, http_port=port)).kind == "malformed"
