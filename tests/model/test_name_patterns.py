"""Patterns of names: what they cover, what they touch, what is none."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.model.name_patterns import Pattern, cover, kind_of, parse

CASES = [
    ("dns", "a.pay.internal", ["a.pay.internal"], ["b.a.pay.internal", "pay.internal", "*.pay.internal", "xa.pay.internal"]),
    ("dns", "A.Pay.internal", ["a.pay.internal"], ["b.pay.internal"]),
    ("dns", "*.pay.internal", ["a.pay.internal", "*.pay.internal"], ["pay.internal", "a.b.pay.internal", "*.a.pay.internal", "apay.internal"]),
    ("dns", "**.pay.internal", ["a.pay.internal", "a.b.pay.internal", "*.pay.internal", "*.a.pay.internal"], ["pay.internal", "*.internal", "apay.internal"]),
    ("dns", ".pay.internal", ["a.b.pay.internal"], ["pay.internal"]),
    ("dns", "*", ["web"], ["a.b", "*.b"]),
    ("dns", "**", ["web", "a.b", "*.b"], []),
    ("ip", "10.0.0.0/8", ["10.1.2.3"], ["11.0.0.1", "::a00:1", "::ffff:10.0.0.1"]),
    ("ip", "10.0.0.7", ["10.0.0.7"], ["10.0.0.8"]),
    ("ip", "2001:db8::/32", ["2001:db8::1"], ["2001:db9::1", "10.0.0.1"]),
    ("uri", "https://a.internal/x", ["https://a.internal/x", "HTTPS://A.internal/x"], ["https://a.internal/X", "https://a.internal/x/"]),
    ("uri", "https://a.internal/*", ["https://a.internal/", "https://a.internal/x/y"], ["https://a.internal", "https://a.internal.evil/", "http://a.internal/x"]),
    ("mail", "a@pay.internal", ["a@pay.internal", "a@PAY.internal"], ["A@pay.internal", "b@pay.internal", "a@b.pay.internal"]),
    ("mail", "pay.internal", ["a@pay.internal", "B@pay.internal"], ["a@b.pay.internal"]),
    ("mail", "@pay.internal", ["a@pay.internal"], ["a@xpay.internal"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "within", "outside"), CASES)
def test_a_pattern_covers_what_its_kind_says_and_nothing_else(kind, text, within, outside):
    pattern = Pattern(kind, text)
    assert [name for name in within if not pattern.covers(name)] == []
    assert [name for name in outside if pattern.covers(name)] == []


@pytest.mark.parametrize(
    ("kind", "text", "name"),
    [
        ("dns", "admin.pay.internal", "*.pay.internal"),
        ("ip", "10.0.0.0/8", "::ffff:10.0.0.1"),
        ("mail", "a@pay.internal", "A@pay.internal"),
    ],
)
def test_a_denial_touches_more_than_a_permission_covers(kind, text, name):
    pattern = Pattern(kind, text)
    assert pattern.touches(name)
    assert not pattern.covers(name)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("dns", text) for text in ("", ".", "*.", "**.", "a*.b", "*a.b", "*.*.b", "a.*.b", "***.b", "a..b", "-a.b", "a b", "bücher.b", "10.0.0.1")),
        *(("ip", text) for text in ("", "10.0.0.1/8", "10.0.0", "10.0.0.0/33", "a.b", "*")),
        *(("uri", text) for text in ("", "a.internal", "spiffe:", "https://a.internal*", "https://*/x", "https://a/*/b", "/*")),
        *(("mail", text) for text in ("", "@", "a@", "a@b@c.d", "a b@c.d", "*@c.d@")),
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(kind, text):
    with pytest.raises(ValueError):
        Pattern(kind, text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("a.b", "dns"), ("*.b", "dns"), ("10.0.0.0/8", "ip"), ("::1", "ip"), ("spiffe://a/b", "uri"), ("@b", "mail")],
)
def test_the_kind_follows_from_how_it_is_written(text, kind):
    assert parse(text).kind == kind == kind_of(text)


labels = st.sampled_from(["a", "b", "c"])
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)
names = st.one_of(hosts, hosts.map("*.{}".format))
dns_patterns = st.builds("{}{}".format, st.sampled_from(["", "*.", "**.", "."]), hosts).map(lambda t: Pattern("dns", t))


@given(dns_patterns, names, labels)
def test_a_wildcard_is_covered_only_if_each_of_its_names_is_and_touched_if_one_is(pattern, name, label):
    one = name.replace("*", label, 1)
    if pattern.covers(name):
        assert pattern.covers(one)
        assert pattern.touches(name)
    if pattern.covers(one):
        assert pattern.touches(name)


@given(dns_patterns, names)
def test_what_is_touched_has_a_name_that_is_covered(pattern, name):
    candidates = [name.replace("*", label, 1) for label in ("a", "b", "c")]
    assert pattern.touches(name) == any(pattern.covers(each) for each in candidates)


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses())
def test_networks_are_as_python_has_them(base, bits, address):
    network = ipaddress.ip_network((base, bits), strict=False)
    assert Pattern("ip", str(network)).covers(str(address)) == (address.version == 4 and address in network)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_makes_it_fail(text, name):
    try:
        pattern = parse(text)
    except ValueError:
        return
    if pattern.kind == "dns":
        assert isinstance(pattern.covers(name), bool)
        assert cover([pattern], "dns", name) == pattern.covers(name)
