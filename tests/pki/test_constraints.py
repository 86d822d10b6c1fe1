"""Name constraints (RFC 5280, 4.2.1.10), compared with what `openssl verify` says of the same certificates."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from handsel.pki.certificate import Certificate
from handsel.pki.constraints import NameConstraints, Subtrees, constraints_of, dns_within, forbidden, violation
from handsel.pki.keys import PrivateKey
from handsel.pki.names import Names

NOBODY = x509.Name([])
KEYS = [PrivateKey.generate() for _ in range(3)]
START = datetime(2025, 1, 1, tzinfo=UTC)

labels = st.sampled_from(["a", "b", "web", "xn--bcher-kva"])
hosts = st.builds(lambda parts, end: ".".join([*parts, end]), st.lists(labels, max_size=3), st.sampled_from(["b", "internal", "b.internal"]))  # fmt: skip
dns_names = st.builds(lambda star, host: f"*.{host}" if star and "." in host else host, st.booleans(), hosts)
addresses = st.one_of(
    st.integers(0, 7).map(lambda n: f"10.0.{n >> 1}.{n & 1}"),
    st.integers(0, 3).map(lambda n: str(ipaddress.ip_address(f"2001:db8::{n}"))),
)
uris = st.one_of(
    st.builds("{}://{}{}{}".format, st.sampled_from(["https", "spiffe"]), hosts, st.sampled_from(["", ":8443"]), st.sampled_from(["", "/x", "?q=1", "#f"])),
    st.sampled_from(["urn:example:a", "https:///x", "https://10.0.0.1/"]),
)  # fmt: skip
mails = st.builds("{}@{}".format, st.sampled_from(["a", "A", "web"]), hosts)
some_names = st.builds(
    Names, st.lists(dns_names, max_size=3).map(tuple), st.lists(addresses, max_size=2).map(tuple),
    st.lists(uris, max_size=2, unique=True).map(tuple), st.lists(mails, max_size=2, unique=True).map(tuple),
).filter(bool)  # fmt: skip

bases = st.one_of(hosts, hosts.map("A.{}".format), hosts.map(".{}".format))
networks = st.sampled_from(["10.0.0.0/24", "10.0.1.0/32", "10.0.0.0/22", "0.0.0.0/0", "2001:db8::/127", "2001:db8::3/128", "::/0"])  # fmt: skip


def _subtrees(most: int):
    def few(of):
        return st.lists(of, max_size=most, unique=True).map(tuple)

    return st.builds(
        Subtrees, few(st.one_of(bases, st.just(""))), few(networks), few(bases), few(st.one_of(bases, mails))
    )


some_constraints = st.builds(NameConstraints, _subtrees(2), _subtrees(1))


def _general(subtrees: Subtrees) -> list[x509.GeneralName] | None:
    found = [
        *(x509.DNSName(each) for each in subtrees.dns),
        *(x509.IPAddress(ipaddress.ip_network(each)) for each in subtrees.ip),
        *(x509.UniformResourceIdentifier(each) for each in subtrees.uri),
        *(x509.RFC822Name(each) for each in subtrees.mail),
        *(x509.DirectoryName(each) for each in subtrees.directory),
    ]
    return found or None


def _certificate(subject: x509.Name, issuer: x509.Name, key: int, by: int, *extensions) -> Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(KEYS[key].handle.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=3650))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return Certificate.of(builder.sign(KEYS[by].handle, hashes.SHA256()))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _chain(constraints: NameConstraints, *, at_root: bool) -> tuple[Certificate, Certificate]:
    """A root and a CA below it, one of them with the constraints."""
    ca = (x509.BasicConstraints(ca=True, path_length=None), True)
    permitted, excluded = _general(constraints.permitted), _general(constraints.excluded)
    said = [(x509.NameConstraints(permitted, excluded), True)] if permitted or excluded else []
    root = _certificate(_named("root"), _named("root"), 0, 0, ca, *(said if at_root else []))
    issuing = _certificate(_named("issuing"), _named("root"), 1, 0, ca, *([] if at_root else said))
    return root, issuing


def _leaf(names: Names, subject: x509.Name = NOBODY) -> Certificate:
    alternative = (x509.SubjectAlternativeName(names.general()), not subject.rdns)
    return _certificate(subject, _named("issuing"), 2, 1, alternative)


def _openssl_allows(root: Certificate, issuing: Certificate, leaf: Certificate) -> bool:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, each in (("root", root), ("issuing", issuing), ("leaf", leaf)):
            (folder / file).write_bytes(each.parsed.public_bytes(serialization.Encoding.PEM))
        moment = str(int((START + timedelta(days=1)).timestamp()))
        command = ["openssl", "verify", "-attime", moment, "-CAfile", "root", "-untrusted", "issuing", "leaf"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        # Any other reason would be a mistake of this test.
        assert any(each in done.stderr for each in ("subtree violation", "invalid name syntax", "name constraint")), (
            done
        )
    return done.returncode == 0


def _is_stricter_on_purpose(names: Names, constraints: NameConstraints) -> bool:
    """Where the standard leaves it open, and ours is the stricter reading."""
    excluded = constraints.excluded
    wildcard = any(name.startswith("*.") for name in names.dns) and excluded.dns
    strange = any("10.0.0.1" in uri or "?" in uri or "#" in uri for uri in names.uri)
    strange = strange and (constraints.permitted.uri or excluded.uri)
    capital = any("@" in base for base in excluded.mail) and names.mail
    return bool(wildcard or strange or capital)


@settings(max_examples=60)
@given(some_names, some_constraints, st.booleans())
def test_rfc_5280_4_2_1_10_what_is_allowed_here_openssl_allows(names, constraints, at_root):
    root, issuing = _chain(constraints, at_root=at_root)
    ours = forbidden(names, NOBODY, (issuing, root))
    theirs = _openssl_allows(root, issuing, _leaf(names))
    if ours is None:
        assert theirs
    elif theirs:
        assert _is_stricter_on_purpose(names, constraints), ours


def _permits(**kinds: str) -> NameConstraints:
    return NameConstraints(permitted=Subtrees(**{kind: (base,) for kind, base in kinds.items()}))


def _excludes(**kinds: str) -> NameConstraints:
    return NameConstraints(excluded=Subtrees(**{kind: (base,) for kind, base in kinds.items()}))


CASES = [
    # Each line: constraints, a name within what they allow, a name that is not.
    (_permits(dns="pay.internal"), Names(dns=("pay.internal", "a.b.pay.internal")), Names(dns=("xpay.internal",))),
    (_permits(dns=".pay.internal"), Names(dns=("a.pay.internal",)), Names(dns=("pay.internal",))),
    (_permits(dns="PAY.internal"), Names(dns=("a.pay.internal",)), Names(dns=("a.bay.internal",))),
    (_permits(dns="pay.internal"), Names(dns=("*.pay.internal",)), Names(dns=("*.internal",))),
    (_permits(dns=""), Names(dns=("web",)), None),
    (_excludes(dns=""), Names(ip=("10.0.0.1",)), Names(dns=("web",))),
    (_excludes(dns="b.internal"), Names(dns=("xb.internal",)), Names(dns=("a.b.internal",))),
    (_excludes(dns="a.b.internal"), Names(dns=("*.c.internal",)), Names(dns=("*.b.internal",))),
    (_permits(ip="10.0.0.0/8"), Names(ip=("10.255.0.1",)), Names(ip=("11.0.0.1",))),
    (_permits(ip="10.0.0.0/8"), Names(dns=("web",)), Names(ip=("::1",))),
    (_excludes(ip="0.0.0.0/0"), Names(ip=("::1",)), Names(ip=("10.0.0.1",))),
    (_permits(uri="a.internal"), Names(uri=("https://a.internal:1/x",)), Names(uri=("https://b.a.internal/",))),
    (_permits(uri=".a.internal"), Names(uri=("https://b.a.internal/",)), Names(uri=("https://a.internal/",))),
    (_excludes(uri="a.internal"), Names(uri=("https://b.internal/",)), Names(uri=("urn:example:a",))),
    (_excludes(uri="a.internal"), Names(uri=("https://b.internal/",)), Names(uri=("https://x@a.internal/",))),
    (_excludes(uri=""), Names(dns=("web",)), Names(uri=("https://b.internal/",))),
    (_permits(mail="a@b.internal"), Names(mail=("a@B.internal",)), Names(mail=("A@b.internal",))),
    (_permits(mail="b.internal"), Names(mail=("x@b.internal",)), Names(mail=("x@a.b.internal",))),
    (_permits(mail=".b.internal"), Names(mail=("x@a.b.internal",)), Names(mail=("x@b.internal",))),
    (_excludes(mail="a@b.internal"), Names(mail=("b@b.internal",)), Names(mail=("A@b.internal",))),
]


@pytest.mark.parametrize(("constraints", "within", "outside"), CASES)
def test_rfc_5280_4_2_1_10_each_kind_of_name_has_its_own_rule(constraints, within, outside):
    assert violation(within, NOBODY, constraints) is None
    if outside is not None:
        assert violation(outside, NOBODY, constraints) is not None


def test_rfc_5280_4_2_1_10_a_kind_without_a_permitted_subtree_is_not_restricted():
    constraints = _permits(dns="pay.internal")
    assert violation(Names(ip=("10.0.0.1",), mail=("a@b.c",), uri=("urn:x:y",)), NOBODY, constraints) is None
    # One name outside is enough, whatever stands beside it.
    assert violation(Names(dns=("a.pay.internal", "b.internal")), NOBODY, constraints) is not None


def test_rfc_5280_4_2_1_10_every_certificate_of_the_chain_is_asked_the_root_too():
    root, issuing = _chain(_permits(dns="pay.internal"), at_root=True)
    _, free = _chain(NameConstraints(), at_root=True)
    inside, outside = Names(dns=("a.pay.internal",)), Names(dns=("a.internal",))
    assert constraints_of(free) is None
    assert constraints_of(root).owner == "root"
    assert forbidden(inside, NOBODY, (issuing, root)) is None
    assert "the name constraints of root" in forbidden(outside, NOBODY, (issuing, root))
    # Two that have nothing in common let nothing through.
    narrower, _ = _chain(_permits(dns="other.internal"), at_root=True)
    assert forbidden(inside, NOBODY, (narrower, root)) is not None
    assert forbidden(Names(dns=("a.other.internal",)), NOBODY, (narrower, root)) is not None


def _subject(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


ORGANIZATION, COMMON = NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME
DIRECTORY = NameConstraints(permitted=Subtrees(directory=(_subject((ORGANIZATION, "Pay  Office")),)))
NO_DIRECTORY = NameConstraints(excluded=Subtrees(directory=(_subject((ORGANIZATION, "Pay Office")),)))


@pytest.mark.parametrize(
    ("subject", "below"),
    [
        (_subject((ORGANIZATION, "pay office"), (COMMON, "a.internal")), True),
        (_subject((ORGANIZATION, "Pay Office")), True),
        (_subject((COMMON, "a.internal"), (ORGANIZATION, "Pay Office")), False),
        (_subject((ORGANIZATION, "Pay Offices")), False),
    ],
)
def test_rfc_5280_4_2_1_10_directory_names_are_beginnings_of_the_subject(subject, below):
    names = Names(dns=("a.internal",))
    for constraints, allowed in ((DIRECTORY, below), (NO_DIRECTORY, not below)):
        root, issuing = _chain(constraints, at_root=False)
        assert (forbidden(names, subject, (issuing, root)) is None) == allowed
        assert _openssl_allows(root, issuing, _leaf(names, subject)) == allowed


def test_an_empty_subject_is_no_name():
    assert violation(Names(dns=("a.internal",)), NOBODY, DIRECTORY) is None


@given(hosts, labels)
def test_a_name_below_a_base_is_within_it_and_the_base_is_not_within_the_name(base, label):
    assert dns_within(f"{label}.{base}", base)
    assert dns_within(f"{label}.{base}", f".{base}")
    assert not dns_within(base, f"{label}.{base}")
    assert not dns_within(f"{label}{base}", f".{base}") or "." in base
