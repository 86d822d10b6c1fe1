"""What every leaf looks like (RFC 5280; X.509-SVID): each rule broken on purpose is refused, and named."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from handsel.authority import ca, service
from handsel.authority.check import check
from handsel.authority.model import Approval, CheckedDraft, Domain, Draft, Host
from handsel.authority.profile import DEFAULT, WORKLOAD, Lifetimes, profiles
from handsel.authority.structure import Parts, fault
from handsel.errors import KeyRefused, Refused
from handsel.model.authority import OWN_PROFILES, Profile
from handsel.pki import csr
from handsel.pki.certificate import Certificate
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.names import Names, SpiffeId, TrustDomain
from tests.support import NOW, TRUST_DOMAIN

WEB = TRUST_DOMAIN.workload("default", "web")
PROFILES = profiles(Lifetimes(), {"named": Profile("named", timedelta(hours=1), common_name=True)})
DOMAIN = Domain(TRUST_DOMAIN, {"web": WEB}, PROFILES)
KEY = PrivateKey.generate().handle.public_key()
USAGE = dict.fromkeys(
    ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
     "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False,
)  # fmt: skip


PLAIN = Names(dns=("a.internal",))


def _draft(authority, names=PLAIN, profile=DEFAULT, identity=None, key=KEY, **more) -> Draft:
    chosen = PROFILES[profile]
    approval = Approval(names, identity, key, chosen, chosen.lifetime, "test")
    return ca.prepare(approval, authority.issuer, serial=more.get("serial", 7), now=more.get("now", NOW))


def _svid(authority) -> Draft:
    return _draft(authority, Names(uri=(str(WEB),)), WORKLOAD, WEB)


def _with(draft: Draft, oid: ObjectIdentifier, *made: tuple[x509.ExtensionType, bool]) -> Draft:
    """The draft with an extension replaced, or taken out."""
    builder = draft.builder
    kept = [each for each in builder._extensions if each.oid != oid]
    builder = x509.CertificateBuilder(
        builder._issuer_name, builder._subject_name, builder._public_key, builder._serial_number,
        builder._not_valid_before, builder._not_valid_after, kept,
    )  # fmt: skip
    for value, critical in made:
        builder = builder.add_extension(value, critical=critical)
    return replace(draft, builder=builder)


def _usage(**changes: bool) -> x509.KeyUsage:
    return x509.KeyUsage(**{**USAGE, "digital_signature": True, **changes})


SAN, BASIC, KU, EKU = (
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
)  # fmt: skip
SKI, AKI = ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER
RIGHT = x509.SubjectAlternativeName([x509.DNSName("a.internal")])
OTHER_KEY = x509.SubjectKeyIdentifier.from_public_key(PrivateKey.generate().handle.public_key())
BROKEN = {
    "4.2.1.6 no alternative names": (SAN, []),
    "4.2.1.6 not critical": (SAN, [(RIGHT, False)]),
    "the approved ones": (SAN, [(x509.SubjectAlternativeName([x509.DNSName("b.internal")]), True)]),
    "4.2.1.9 a CA": (BASIC, [(x509.BasicConstraints(ca=True, path_length=None), True)]),
    "4.2.1.9 no basic constraints": (BASIC, []),
    "4.2.1.3 no usage": (KU, []),
    "4.2.1.3 not critical usage": (KU, [(_usage(), False)]),
    "4.3 keyCertSign": (KU, [(_usage(key_cert_sign=True), True)]),
    "4.3 cRLSign": (KU, [(_usage(crl_sign=True), True)]),
    "4.3 no signature": (KU, [(_usage(digital_signature=False, key_agreement=True), True)]),
    "4.2.1.12 no extended usage": (EKU, []),
    "4.2.1.12 any": (EKU, [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False)]),
    "4.2.1.2 no key identifier": (SKI, []),
    "4.2.1.2 critical": (SKI, [(OTHER_KEY, True)]),
    "4.2.1.1 no authority": (AKI, []),
    "4.2.1.1 another": (AKI, [(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(OTHER_KEY), False)]),
    "4.2 strange": (ObjectIdentifier("1.3.6.1.4.1.99999.1"), [(x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\5\0"), False)]),
    "4.2 constraints": (ExtensionOID.NAME_CONSTRAINTS, [(x509.NameConstraints([x509.DNSName("a")], None), True)]),
}  # fmt: skip


@pytest.mark.parametrize("rule", BROKEN)
def test_rfc_5280_4_2_a_draft_that_breaks_a_rule_is_not_signed(authority, rule):
    draft = _draft(authority)
    assert check(draft, DOMAIN)
    number = rule.split()[0] if rule[0].isdigit() else rule
    with pytest.raises(Refused, match=number.replace(".", r"\.")):
        check(_with(draft, BROKEN[rule][0], *BROKEN[rule][1]), DOMAIN)


def test_rfc_5280_4_2_1_6_the_names_are_critical_exactly_when_the_subject_is_empty(authority):
    without, with_subject = _draft(authority), _draft(authority, profile="named")
    for draft, critical in ((without, True), (with_subject, False)):
        leaf = ca.sign(check(draft, DOMAIN)).certificate.parsed
        assert leaf.extensions.get_extension_for_oid(SAN).critical == critical == (not leaf.subject.rdns)
        with pytest.raises(Refused, match=r"4\.2\.1\.6"):
            check(_with(draft, SAN, (RIGHT, not critical)), DOMAIN)


@pytest.mark.parametrize("subject", [[(NameOID.COMMON_NAME, "b.internal")], [(NameOID.ORGANIZATION_NAME, "handsel")]])
def test_a_subject_says_nothing_that_was_not_approved(authority, subject):
    draft = _draft(authority, profile="named")
    assert check(draft, DOMAIN)
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
    old = draft.builder
    builder = x509.CertificateBuilder(
        old._issuer_name, name, old._public_key, old._serial_number, old._not_valid_before, old._not_valid_after,
        old._extensions,
    )  # fmt: skip
    with pytest.raises(Refused, match="nothing but a common name"):
        check(replace(draft, builder=builder), DOMAIN)


@pytest.mark.parametrize(("serial", "fits"), [(1, True), ((1 << 159) - 1, True), (1 << 159, False)])
def test_rfc_5280_4_1_2_2_a_serial_is_positive_and_has_at_most_20_octets(authority, serial, fits):
    if fits:
        leaf = ca.sign(check(_draft(authority, serial=serial), DOMAIN)).certificate.parsed
        assert leaf.serial_number == serial
        return
    with pytest.raises((Refused, ValueError), match=r"4\.1\.2\.2|159 bits"):
        check(_draft(authority, serial=serial), DOMAIN)


def test_rfc_5280_4_1_2_2_serials_have_at_least_64_random_bits():
    bits = [service.random_serial() for _ in range(200)]
    # Each of the lower 120 bits is sometimes set and sometimes not.
    assert all(any(each >> n & 1 for each in bits) and not all(each >> n & 1 for each in bits) for n in range(120))


UTC_TIME, GENERALIZED_TIME = 0x17, 0x18


@pytest.mark.parametrize(
    ("end", "tag"),
    [(datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), UTC_TIME), (datetime(2050, 1, 1, tzinfo=UTC), GENERALIZED_TIME)],
)
def test_rfc_5280_4_1_2_5_times_are_written_by_their_year(end, tag):
    from tests.support import TestAuthority

    late = TestAuthority.make(end - timedelta(hours=1))
    profile = replace(PROFILES[DEFAULT], lifetime=timedelta(hours=1))
    approval = Approval(Names(dns=("a.internal",)), None, KEY, profile, profile.lifetime, "test")
    draft = ca.prepare(approval, late.issuer, serial=7, now=late.now)
    leaf = ca.sign(check(draft, DOMAIN)).certificate
    assert leaf.not_after == end
    text = end.strftime("%y%m%d%H%M%SZ" if tag == UTC_TIME else "%Y%m%d%H%M%SZ").encode()
    assert bytes([tag, len(text)]) + text in leaf.der


@pytest.mark.parametrize("label", ["bücher", "xn--", "xn--a-", "ab--cd", "xn--99999999999"])
def test_rfc_5280_7_2_what_only_looks_like_an_a_label_is_refused(authority, label):
    assert check(_draft(authority, Names(dns=("xn--bcher-kva.internal", "a-b.internal"))), DOMAIN)
    with pytest.raises((Refused, ValueError), match=r"A-label|no DNS name"):
        check(_draft(authority, Names(dns=(f"{label}.internal",))), DOMAIN)


@given(st.text(alphabet=st.characters(codec="utf-8", categories=["Ll", "Lo"]), min_size=1, max_size=10))
def test_rfc_5280_7_2_every_real_a_label_passes(authority, text):
    label = "xn--" + text.encode("punycode").decode()
    if text.isascii() or len(label) > 63 or label.endswith("-"):
        return
    names = Names(dns=(f"{label}.internal",))
    draft = _draft(authority, names)
    found = fault(Parts.of_draft(draft), names, authority.issuer.certificate.key_id, is_svid=False)
    # Punycode of capitals aside, which Python keeps and a canonical name has not.
    assert found is None or label != label.lower()


@pytest.mark.parametrize("kind", [k for k in KeyType if not k.startswith("mldsa")])
def test_what_is_looked_at_before_signing_is_what_was_signed(authority, kind):
    draft = _draft(authority, Names(dns=("a.internal", "*.b.internal"), ip=("10.0.0.1", "::1")), "named")
    checked = check(replace(draft, public_key=KEY), DOMAIN)
    signed = Parts.of_certificate(ca.sign(checked).certificate.parsed)
    before = Parts.of_draft(draft)
    assert set(before.extensions) == set(signed.extensions)
    assert (before.serial, before.subject) == (signed.serial, signed.subject)
    assert fault(signed, draft.names, authority.issuer.certificate.key_id, is_svid=False) is None


def test_rfc_5280_4_2_nothing_of_a_requests_extensions_is_copied(authority):
    """A request that asks to be a CA, for any usage and with an extension of its own, gets what its profile says."""
    key = PrivateKey.generate()
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "root of all")])
    )
    for value in (
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(WEB))]),
        x509.BasicConstraints(ca=True, path_length=None),
        _usage(key_cert_sign=True),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]),
        x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\5\0"),
    ):
        builder = builder.add_extension(value, critical=True)
    request = builder.sign(key.handle, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    wanted = {"domain": DOMAIN, "issuers": authority.issuers, "now": NOW}
    host = Host("a1", "host", ("web",), NOW)
    (greedy,) = service.sign_workloads(host, [("web", request)], serial=lambda: 7, **wanted).drafts
    (plain,) = service.sign_workloads(host, [("web", csr.build(key, WEB))], serial=lambda: 7, **wanted).drafts
    assert Parts.of_draft(greedy.draft) == Parts.of_draft(plain.draft)
    leaf = ca.sign(greedy).certificate
    assert not leaf.is_ca
    assert leaf.parsed.subject == x509.Name([])


@pytest.mark.parametrize(
    ("made", "days"),
    [
        (datetime(2026, 3, 14, 23, 59, 59, tzinfo=UTC), 398),
        (datetime(2026, 3, 15, tzinfo=UTC), 200),
        (datetime(2027, 3, 14, tzinfo=UTC), 200),
        (datetime(2027, 3, 15, tzinfo=UTC), 100),
        (datetime(2029, 3, 14, tzinfo=UTC), 100),
        (datetime(2029, 3, 15, tzinfo=UTC), 47),
    ],
)
def test_2_3_local_a_preset_lives_as_long_as_the_public_web_lets_it(made, days):
    """Both ends of a validity are counted in, so the last second is one too many."""
    from tests.support import TestAuthority

    issuer = TestAuthority.make(made - timedelta(hours=1)).issuer
    own = Profile("long", timedelta(days=399))
    for profile, lives in (
        (own, timedelta(days=365)),
        (replace(own, as_public_web=True), timedelta(days=min(days, 365))),
    ):
        approval = Approval(PLAIN, None, KEY, profile, profile.lifetime, "test")
        draft = ca.prepare(approval, issuer, serial=7, now=made)
        assert check(draft, DOMAIN)
        assert draft.not_after - draft.not_before <= lives
        assert draft.not_after - draft.not_before > lives - timedelta(hours=2)  # the CA itself ends after a year
    if days < 365:
        with pytest.raises(Refused, match="lives at most"):
            check(replace(draft, not_after=draft.not_after + timedelta(seconds=2)), DOMAIN)


def test_2_3_local_a_leaf_is_backdated_by_a_minute_for_clocks_that_run_behind(authority):
    later = NOW + timedelta(hours=1)
    leaf = ca.sign(check(_draft(authority, now=later), DOMAIN)).certificate
    assert later - leaf.not_before == timedelta(minutes=1)


@pytest.mark.parametrize(("days", "says"), [(7, False), (8, True)])
def test_2_3_local_what_lives_for_a_week_or_less_needs_no_place_of_its_status(days, says):
    assert Profile("a", timedelta(days=days)).says_where_status_is == says


def test_rfc_5280_4_2_1_1_and_4_2_1_2_every_certificate_has_its_key_identifiers(authority):
    leaf = ca.sign(check(_draft(authority), DOMAIN)).certificate
    root, issuing = authority.issuer.root, authority.issuer.certificate
    assert leaf.authority_key_id == issuing.key_id is not None
    assert issuing.authority_key_id == root.key_id is not None
    assert leaf.key_id == x509.SubjectKeyIdentifier.from_public_key(KEY).digest


# SPIFFE (X.509-SVID)


def test_svid_2_and_5_2_exactly_one_uri(authority):
    draft = _svid(authority)
    assert check(draft, DOMAIN)
    for uris in ((str(WEB), "https://a/"), (str(WEB), str(TRUST_DOMAIN.server))):
        with pytest.raises(Refused, match=r"only URI|mesh alone"):
            check(replace(draft, names=Names(uri=uris)), DOMAIN)


def test_svid_4_1_a_leaf_has_a_path_and_is_no_ca(authority):
    bare = SpiffeId(TRUST_DOMAIN, "")
    assert not ca.sign(check(_svid(authority), DOMAIN)).certificate.is_ca
    with pytest.raises(Refused, match="trust domain's own"):
        check(replace(_svid(authority), names=Names(uri=(str(bare),)), identity=bare), DOMAIN)


def test_svid_3_2_and_4_3_a_ca_has_no_path_and_signs_certificates(authority):
    for each in (authority.issuer.root, authority.issuer.certificate):
        assert each.uri_names == [str(SpiffeId(TRUST_DOMAIN, ""))]
        usage = each.parsed.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert usage.value.key_cert_sign
        basic = each.parsed.extensions.get_extension_for_class(x509.BasicConstraints)
        assert basic.critical
        assert basic.value.path_length is not None  # RFC 5280, 4.2.1.9


def test_svid_4_3_the_usage_is_critical_and_signs_data_only(authority):
    usage = ca.sign(check(_svid(authority), DOMAIN)).certificate.parsed.extensions.get_extension_for_oid(KU)
    assert usage.critical
    assert usage.value == _usage()


@pytest.mark.parametrize("usages", [["server_auth"], ["client_auth"], ["code_signing", "client_auth"]])
def test_svid_4_4_the_extended_usage_of_an_identity_is_for_both_ends(authority, usages):
    draft = _svid(authority)
    one = x509.ExtendedKeyUsage([ca._EXTENDED_USAGES[each] for each in usages])
    assert check(draft, DOMAIN)
    with pytest.raises(Refused, match=r"X\.509-SVID, 4\.4"):
        check(_with(draft, EKU, (one, False)), DOMAIN)
    assert check(_with(_draft(authority), EKU, (one, False)), DOMAIN)  # of others it is not asked


@pytest.mark.parametrize("name", OWN_PROFILES)
def test_svid_4_4_handsels_own_profiles_are_for_both_ends(name):
    assert PROFILES[name].extended_usages == ("server_auth", "client_auth")
    assert not PROFILES[name].reuse_keys
    assert not PROFILES[name].acme


ID_FAULTS = [
    "spiffe://Test.internal/a", "SPIFFE://test.internal/a", "spiffe://user@test.internal/a",
    "spiffe://test.internal:80/a", "spiffe://test%2einternal/a", "spiffe://test.internal/a//b",
    "spiffe://test.internal/./a", "spiffe://test.internal/../a", "spiffe://test.internal/a/", "spiffe://test.internal/",
    "spiffe://test.internal/a%20b", f"spiffe://test.internal/{'a' * 2048}", f"spiffe://{'a' * 256}/a", "spiffe:///a",
    "spiffe://test.internal/a?q", "spiffe://test.internal/a#f", "http://test.internal/a",
]  # fmt: skip


@pytest.mark.parametrize("text", ID_FAULTS)
def test_spiffe_id_2_1_to_2_4_what_is_no_identity_is_given_to_nobody(authority, text):
    """Written in another case it is the same identity to a reader (2.4); here it is made in one way only."""
    assert SpiffeId.parse("spiffe://test.internal/a-b_c.D/9")
    with pytest.raises(ValueError):
        SpiffeId.parse(text)
    if len(text) < 100:
        with pytest.raises((Refused, ValueError)):
            check(_draft(authority, Names(uri=(text,)) if text.lower().startswith("spiffe") else Names()), DOMAIN)


def test_an_identity_of_another_domain_is_not_signed(authority):
    other = TrustDomain("other.internal").workload("default", "web")
    with pytest.raises(Refused, match="not of the trust domain"):
        check(replace(_svid(authority), names=Names(uri=(str(other),)), identity=other), DOMAIN)


# Keys


def _weak_rsa() -> rsa.RSAPublicKey:
    good = PrivateKey.generate(KeyType.RSA2048).handle.public_key().public_numbers().n
    return rsa.RSAPublicNumbers(3, good).public_key()


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (_weak_rsa(), "exponent"),
        (ed25519.Ed25519PublicKey.from_public_bytes(bytes(32)), "small order"),
    ],
)
def test_a_weak_key_is_not_certified(authority, key, reason):
    with pytest.raises(KeyRefused, match=reason):
        check(_draft(authority, key=key), DOMAIN)


def test_the_key_of_a_ca_is_certified_to_nobody(authority):
    for each in (authority.issuer.certificate, authority.issuer.root):
        with pytest.raises(KeyRefused, match="a CA's own"):
            check(_draft(authority, key=each.parsed.public_key()), DOMAIN)


@pytest.mark.parametrize("kind", sorted(PROFILES[DEFAULT].keys))
def test_every_kind_of_key_that_a_profile_takes_can_be_certified(authority, kind):
    key = PrivateKey.generate(kind).handle.public_key()
    assert ca.sign(check(_draft(authority, key=key), DOMAIN)).certificate.parsed.public_key() == key


@given(st.permutations(range(4)))
def test_a_draft_that_nobody_checked_cannot_be_signed(authority, order):
    draft = _draft(authority)
    assert ca.sign(CheckedDraft(draft))
    for each in itertools.islice((draft, draft.builder, None, "draft"), order[0] + 1):
        with pytest.raises(AttributeError):
            ca.sign(each)


def test_a_leaf_that_somebody_else_made_is_looked_at_as_well(authority):
    """The look is at values: it does not matter where they come from."""
    names = Names(dns=("a.internal",))
    foreign = ca.sign(CheckedDraft(_with(_draft(authority), KU, (_usage(key_cert_sign=True), True)))).certificate
    assert isinstance(foreign, Certificate)
    found = fault(Parts.of_certificate(foreign.parsed), names, authority.issuer.certificate.key_id, is_svid=False)
    assert found is not None
    assert "4.3" in found
