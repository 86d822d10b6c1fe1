"""SPIFFE IDs: what the standard allows, and the names that are ours alone; and all names of a certificate."""

from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from handsel.pki.names import Names, SpiffeId, TrustDomain, dns_name

DOMAIN = TrustDomain("shop.internal")
segments = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True).filter(lambda s: s not in (".", ".."))
domains = st.from_regex(r"[a-z0-9._-]{1,40}", fullmatch=True)


@given(domains, st.lists(segments, max_size=5))
def test_an_identity_is_read_back_as_it_was_written(domain, parts):
    identity = SpiffeId(TrustDomain(domain), "".join(f"/{part}" for part in parts))
    assert SpiffeId.parse(str(identity)) == identity


@given(st.text(max_size=60) | st.text(max_size=60).map("spiffe://".__add__))
def test_what_is_read_is_what_was_written_or_nothing(text):
    try:
        identity = SpiffeId.parse(text)
    except ValueError:
        return
    assert str(identity) == text


@pytest.mark.parametrize("name", ["shop.internal", "a", "a_b-c.1", "x" * 255])
def test_a_trust_domain_has_lower_case_letters_digits_dots_dashes_and_underscores(name):
    assert str(TrustDomain(name)) == name


@pytest.mark.parametrize("name", ["", "Shop", "shop internal", "shop/internal", "shop:1", "ümlaut", "x" * 256, "a\n"])
def test_no_other_trust_domain_is_taken(name):
    with pytest.raises(ValueError, match="trust domain"):
        TrustDomain(name)


@pytest.mark.parametrize("path", ["", "/a", "/ns/default/sa/web", "/A.b_c-d", "/..."])
def test_a_path_that_the_standard_allows_is_taken(path):
    assert SpiffeId(DOMAIN, path).path == path


@pytest.mark.parametrize(
    "path", ["/", "a", "/a/", "//a", "/./a", "/a/..", "/a b", "/ü", "/a%20b", "/a?b", "/a#b", "/a\n", "/" + "x" * 2048]
)
def test_no_other_path_is_taken(path):
    with pytest.raises(ValueError):
        SpiffeId(DOMAIN, path)


@pytest.mark.parametrize(
    "text", ["", "shop.internal/a", "http://shop.internal/a", "SPIFFE://shop.internal/a", "spiffe:/shop.internal"]
)
def test_an_identity_starts_with_its_scheme(text):
    with pytest.raises(ValueError, match="spiffe://"):
        SpiffeId.parse(text)


def test_names_of_our_own_are_reserved_and_those_of_workloads_are_not():
    ours = [DOMAIN.server, DOMAIN.nobody, DOMAIN.agent("a1b2")]
    workloads = [DOMAIN.workload("default", "web"), DOMAIN.workload("handsel", "server"), SpiffeId(DOMAIN, "/handselx")]
    assert all(name.is_reserved for name in ours)
    assert not any(name.is_reserved for name in workloads)
    assert len({*ours, *workloads}) == 6


def test_only_an_agent_has_an_agent_id():
    assert DOMAIN.agent("a1b2").agent_id == "a1b2"
    assert DOMAIN.server.agent_id is None
    assert DOMAIN.workload("handsel", "agent").agent_id is None


@pytest.mark.parametrize("part", ["", "a/../b", "..", "a b"])
def test_a_workload_cannot_climb_out_of_its_namespace(part):
    with pytest.raises(ValueError):
        DOMAIN.workload("default", part)


def test_names_have_one_form_and_stand_once():
    names = Names(
        dns=("Web.Example", "web.example", "*.WEB.example", "xn--mnchen-3ya.example"),
        ip=("10.0.0.7", "2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        uri=("spiffe://test.internal/A",),
        mail=("Somebody@web.example",),
    )
    assert names.dns == ("web.example", "*.web.example", "xn--mnchen-3ya.example")
    assert names.ip == ("10.0.0.7", "2001:db8::1")
    assert (names.uri, names.mail) == (("spiffe://test.internal/A",), ("Somebody@web.example",))
    kinds = [kind for kind, _ in names]
    assert kinds == ["uri", "dns", "dns", "dns", "ip", "ip", "mail"]


def test_only_names_that_can_be_given_count_as_names():
    assert not Names()
    assert not Names(other=1)
    assert Names(other=1) != Names()
    assert Names(mail=("a@b.example",))


@pytest.mark.parametrize(
    "name",
    [
        "web", "a.b", "a-b.c", "_acme-challenge.web.example", "*.web.example", "1.example", "x" * 63 + ".example",
        ".".join(["x" * 49] * 5) + ".abc",
    ],
)  # fmt: skip
def test_a_dns_name_is_taken_in_lower_case(name):
    assert dns_name(name) == dns_name(name.upper()) == name


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "web.", ".web", "a..b", "-a.b", "a-.b", "a b", "a/b", "a:1", "web.example\n", "a\0b", "*", "*.", "a.*.b",
        "*a.b", "**.b", "*.*.b", "10.0.0.7", "web.7", "::1", "[::1]", "münchen.example", "\u212aelvin.example",
        "x" * 64 + ".example", ".".join(["x" * 49] * 5) + ".abcd",
    ],
)  # fmt: skip
def test_no_other_dns_name_is_taken(name):
    with pytest.raises(ValueError):
        Names(dns=("web.example", name))


@pytest.mark.parametrize(
    "address", ["", "web", "10.0.0", "10.0.0.256", "010.0.0.7", "10.0.0.0/8", "::g", "fe80::1%eth0"]
)
def test_no_other_address_is_taken(address):
    with pytest.raises(ValueError):
        Names(ip=("10.0.0.7", address))


labels = st.from_regex(r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,10}[a-zA-Z0-9_])?", fullmatch=True)
dns_names = st.builds(
    "{}{}.{}".format, st.sampled_from(["", "*."]), st.lists(labels, min_size=1, max_size=3).map(".".join), labels
).filter(lambda name: not name.rpartition(".")[2].isdecimal())
some_names = st.builds(
    Names,
    dns=st.lists(dns_names, max_size=3).map(tuple),
    ip=st.lists(st.ip_addresses().map(str), max_size=3).map(tuple),
    uri=st.lists(st.builds("spiffe://{}/{}".format, domains, segments), max_size=2).map(tuple),
    mail=st.lists(st.builds("{}@{}".format, labels, labels), max_size=2).map(tuple),
)


@given(some_names)
def test_names_are_read_back_from_an_extension_as_they_were_put_in(names):
    extension = x509.SubjectAlternativeName(names.general())
    assert Names.of(extension) == names
    assert Names(names.dns, names.ip, names.uri, names.mail) == names
    assert len(extension) == len(list(names))


def test_names_of_other_kinds_are_counted():
    others = [x509.RegisteredID(x509.ObjectIdentifier("1.2.3")), x509.DirectoryName(x509.Name([]))]
    names = Names.of(x509.SubjectAlternativeName([x509.DNSName("web"), *others]))
    assert names == Names(dns=("web",), other=2)


def test_an_extension_with_a_network_or_with_no_dns_name_is_refused():
    for wrong in (x509.DNSName("-web"), x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))):
        with pytest.raises(ValueError):
            Names.of(x509.SubjectAlternativeName([wrong]))
