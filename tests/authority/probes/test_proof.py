"""What proves control, and where the authority may look: pure rules."""

from __future__ import annotations

import ipaddress

import pytest

from handsel.acme.problems import Identifier, Problem
from handsel.authority.acme.proof import CaaRecord, caa_forbids, check_body, forbidden, server_name
from tests.authority.probes.clients import EXPECTED


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "::ffff:169.254.169.254",
     "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"],
)  # fmt: skip
def test_rfc8555_10_4_what_is_never_asked(address):
    assert forbidden(ipaddress.ip_address(address), allow_private=True)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
)
def test_rfc8555_10_4_private_addresses_are_a_matter_of_the_settings(address):
    assert forbidden(ipaddress.ip_address(address), allow_private=True) is None
    assert forbidden(ipaddress.ip_address(address), allow_private=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111"])
def test_public_addresses_are_asked(address):
    assert forbidden(ipaddress.ip_address(address), allow_private=False) is None


@pytest.mark.parametrize("end", ["", "\n", "\r\n", " \t\n"])
def test_rfc8555_8_3_white_space_after_the_key_authorization_does_not_count(end):
    check_body((EXPECTED + end).encode(), EXPECTED, "there")


@pytest.mark.parametrize("body", ["", EXPECTED[:-1], f" {EXPECTED}", f"{EXPECTED}x", EXPECTED.upper()])
def test_rfc8555_8_3_anything_else_does(body):
    with pytest.raises(Problem) as refused:
        check_body(body.encode(), EXPECTED, "there")
    assert refused.value.kind == "incorrectResponse"


def test_rfc8738_6_an_address_is_asked_for_by_its_reverse_name():
    assert server_name(Identifier("ip", "192.0.2.1")) == "1.2.0.192.in-addr.arpa"
    assert server_name(Identifier("ip", "2001:db8::1")).endswith(".8.b.d.0.1.0.0.2.ip6.arpa")
    assert server_name(Identifier("dns", "a.test")) == "a.test"


ISSUE, WILD = (lambda value, tag=tag: CaaRecord(False, tag, value) for tag in ("issue", "issuewild"))
MINE = "ca.test"


def forbids(*records: CaaRecord, wildcard: bool = False, kind: str = "dns-01") -> bool:
    why = caa_forbids(records, [MINE], wildcard=wildcard, account="abc", kind=kind)
    return why is not None


@pytest.mark.parametrize(
    ("records", "wildcard", "refused"),
    [
        ([ISSUE(MINE)], False, False),
        ([ISSUE("other.test")], False, True),
        ([ISSUE("other.test"), ISSUE(MINE.upper())], False, False),
        ([ISSUE(";")], False, True),
        ([WILD(";")], False, False),
        ([ISSUE(MINE), WILD(";")], True, True),
        ([ISSUE(";"), WILD(MINE)], True, False),
        ([ISSUE(MINE)], True, False),
        ([CaaRecord(True, "tbs", "x")], False, True),
        ([CaaRecord(False, "tbs", "x")], False, False),
        ([], False, False),
    ],
)
def test_rfc8659_4_who_may_issue(records, wildcard, refused):
    assert forbids(*records, wildcard=wildcard) is refused


@pytest.mark.parametrize(
    ("parameters", "refused"),
    [
        ("accounturi=https://ca.test/acme/account/abc", False),
        ("accounturi=https://ca.test/acme/account/other", True),
        ("accounturi=https://ca.test/acme/account/xabc", True),
        ("validationmethods=http-01,dns-01", False),
        ("validationmethods=http-01", True),
        ("accounturi=https://ca.test/acme/account/abc; validationmethods=dns-01", False),
        ("nonsense", True),
    ],
)
def test_rfc8657_3_and_4_only_this_account_and_only_so(parameters, refused):
    assert forbids(ISSUE(f"{MINE}; {parameters}")) is refused
