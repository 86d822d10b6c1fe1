"""Profiles before pkilint: in a process of its own, with the findings that count, and a verdict that is kept."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from handsel.authority import ca, lint
from handsel.authority.adapters import lint as adapter
from handsel.authority.adapters.issuing import Issuing
from handsel.authority.adapters.lint import Linter, ProfileLint, read_verdicts
from handsel.authority.lint import ACCEPTED, Finding, counts, specimens
from handsel.authority.model import Approval, CheckedDraft, Domain, Issuers
from handsel.authority.profile import DEFAULT, Lifetimes, fingerprint, profiles
from handsel.authority.service import Intent, random_serial
from handsel.authority.status_places import StatusPlaces
from handsel.errors import ProfileRefused, Refused
from handsel.model.authority import Profile
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.names import Names, SpiffeId
from tests.ca_keys import ca_key
from tests.support import NOW, TRUST_DOMAIN, TestAuthority

needs_pkilint = pytest.mark.skipif(not adapter.linter_version(), reason="needs pkilint")
PROFILES = profiles(Lifetimes())
OWN = PROFILES.by_name
DOMAIN = Domain(TRUST_DOMAIN, {}, PROFILES, status=StatusPlaces("http://ca.test.internal:8880"))
PLAIN = Profile("plain", timedelta(hours=1), keys=frozenset({KeyType.P256}), acme=True)
# A port that is none: RFC 3986 takes it, and no reader of certificates.
BAD = replace(PLAIN, name="bad", names=("ftp://[a.internal/x",))


async def _load(
    file: Path, found: list[Profile], authority: TestAuthority, linter: Linter | None = None
) -> ProfileLint:
    used = linter or Linter()
    lints = ProfileLint(file, used)
    try:
        await lints.load(found, authority.issuers, DOMAIN, now=NOW)
    finally:
        if linter is None:
            await used.stop()
    return lints


@needs_pkilint
async def test_every_profile_of_handsels_own_is_clean(authority, tmp_path):
    lints = await _load(tmp_path / "lint.json", list(OWN.values()), authority)
    assert {name: verdict.errors for name, verdict in lints.verdicts.items()} == dict.fromkeys(OWN, ())
    assert {verdict.linter for verdict in lints.verdicts.values()} == {adapter.linter_version()}
    assert lints.summary.startswith(f"{len(OWN)} of {len(OWN)} clean by pkilint ")


@needs_pkilint
async def test_a_profile_that_says_where_its_status_is_is_clean(authority, tmp_path):
    long = replace(PLAIN, lifetime=timedelta(days=30))
    assert long.says_where_status_is
    made = specimens(long, authority.issuer, DOMAIN, now=NOW)[0].certificate.parsed.extensions
    assert made.get_extension_for_class(x509.CRLDistributionPoints)
    lints = await _load(tmp_path / "lint.json", [long], authority)
    assert lints.verdicts["plain"].findings == ()


@needs_pkilint
async def test_every_kind_of_key_and_of_issuer_is_clean(authority, tmp_path):
    for kind in KeyType:
        issuer = replace(authority.issuer, key=ca_key(kind))
        every = replace(OWN[DEFAULT], keys=frozenset(KeyType))
        lints = ProfileLint(tmp_path / f"{kind}.json", linter := Linter())
        await lints.load([every], Issuers.only(issuer), DOMAIN, now=NOW)
        await linter.stop()
        assert not lints.verdicts[DEFAULT].errors


@needs_pkilint
async def test_a_profile_that_breaks_a_standard_is_refused_with_the_finding(authority, tmp_path):
    await _load(tmp_path / "a.json", [PLAIN], authority)
    with pytest.raises(ProfileRefused) as caught:
        await _load(tmp_path / "b.json", [PLAIN, BAD], authority)
    assert "the profile 'bad' breaks a standard: pkix.invalid_uri_syntax" in str(caught.value)
    assert "ftp://[a.internal/x" in str(caught.value)


async def test_a_profile_that_breaks_a_rule_of_ours_is_refused_without_pkilint_too(authority, tmp_path):
    half = replace(OWN["workload"], extended_usages=("client_auth",))
    nobody = Linter(version="")
    lints = await _load(tmp_path / "a.json", [OWN["workload"]], authority, nobody)
    assert str(lints.verdicts["workload"]) == "structurally checked only"
    assert lints.summary.startswith("structurally checked only")
    with pytest.raises(ProfileRefused, match=r"X\.509-SVID, 4\.4"):
        await _load(tmp_path / "b.json", [half], authority, nobody)


async def test_a_profile_of_a_ca_that_is_not_there_is_refused(authority, tmp_path):
    with pytest.raises(ProfileRefused, match="signed by 'other', and there is no such CA"):
        await _load(tmp_path / "a.json", [replace(PLAIN, issuer="other")], authority, Linter(version=""))


class _Counting(Linter):
    """A linter that says how often it was asked."""

    asked = 0

    async def lint(self, der: bytes, **more: float) -> tuple[Finding, ...]:
        self.asked += 1
        return await super().lint(der, **more)


@needs_pkilint
async def test_a_verdict_is_kept_until_the_profile_the_issuer_or_the_linter_changes(authority, tmp_path):
    file = tmp_path / "lint.json"
    linter = _Counting()
    try:
        first = await _load(file, [PLAIN], authority, linter)
        assert linter.asked == len(specimens(PLAIN, authority.issuer, DOMAIN, now=NOW))
        before = linter.asked
        again = await _load(file, [PLAIN], authority, linter)
        assert (linter.asked, again.verdicts) == (before, first.verdicts)
        await _load(file, [replace(PLAIN, lifetime=timedelta(hours=2))], authority, linter)
        assert linter.asked == before * 2
        await _load(file, [PLAIN], TestAuthority.make(), linter)
        assert linter.asked == before * 3
        linter.version = "pkilint 99"
        await _load(file, [PLAIN], authority, linter)
        assert linter.asked == before * 4
    finally:
        await linter.stop()
    assert file.stat().st_mode & 0o077 == 0
    assert len(read_verdicts(file)) == 4


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b'{"a": {"profile": "x"}}', b"\xff", b"null"])
async def test_a_broken_file_of_verdicts_is_looked_at_anew(authority, tmp_path, content):
    file = tmp_path / "lint.json"
    file.write_bytes(content)
    lints = await _load(file, [PLAIN], authority, Linter(version=""))
    assert lints.verdicts["plain"].fingerprint == fingerprint(PLAIN)
    assert json.loads(file.read_bytes())


@needs_pkilint
async def test_a_refused_profile_is_refused_again_from_the_file_or_not(authority, tmp_path):
    for _ in range(2):
        with pytest.raises(ProfileRefused, match="invalid_uri_syntax"):
            await _load(tmp_path / "lint.json", [BAD], authority)


# The filter


def test_each_accepted_finding_has_its_reason():
    assert [each.code for each in ACCEPTED] == ["pkix.invalid_uri_syntax", "pkix.invalid_domain_name_syntax"]
    assert all(len(each.reason) > 40 for each in ACCEPTED)


def _finding(code: str, value: str) -> Finding:
    return Finding("ERROR", code, "extensions.0", value, "")


@pytest.mark.parametrize(
    ("code", "value", "is_hidden"),
    [
        ("pkix.invalid_uri_syntax", "spiffe://test.internal/ns/a/sa/b", True),
        ("pkix.invalid_uri_syntax", "spiffe://test.internal/a//b", False),
        ("pkix.invalid_uri_syntax", "spiffe://", False),
        ("pkix.invalid_uri_syntax", "spiffe://a b/", False),
        ("pkix.invalid_uri_syntax", "https://test.internal/ns/a", False),
        ("pkix.invalid_uri_syntax", "", False),
        ("pkix.invalid_domain_name_syntax", "web", True),
        ("pkix.invalid_domain_name_syntax", "*.b.internal", True),
        ("pkix.invalid_domain_name_syntax", "-web", False),
        ("pkix.invalid_domain_name_syntax", "a..b", False),
        ("pkix.invalid_domain_name_syntax", "a.*.b", False),
        ("pkix.invalid_domain_name_syntax", "a.internal", False),
        ("pkix.invalid_domain_name_syntax", "", False),
        ("pkix.invalid_email_address_syntax", "spiffe://test.internal/ns/a/sa/b", False),
    ],
)
def test_the_filter_hides_these_findings_and_no_others(code, value, is_hidden):
    assert counts(_finding(code, value)) != is_hidden


@needs_pkilint
def test_the_filter_hides_no_other_finding_that_pkilint_knows():
    from pkilint.pkix import certificate, extension, name

    rules = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [certificate.create_extensions_validator_container([]), certificate.create_subject_validator_container([])],
    )
    codes = {each.code for each in rules.validations}
    accepted = {each.code for each in ACCEPTED}
    assert accepted <= codes
    for code in codes - accepted:
        for value in ("spiffe://test.internal/a", "web", "*.b.internal"):
            assert counts(_finding(code, value))


@given(st.sampled_from([each.code for each in ACCEPTED]), st.text(max_size=40))
def test_what_the_filter_hides_is_a_spiffe_id_or_a_name_that_is_right_by_our_own_rules(code, value):
    if counts(_finding(code, value)):
        return
    if code == "pkix.invalid_uri_syntax":
        assert str(SpiffeId.parse(value)) == value
    else:
        assert Names(dns=(value,)).dns == (value.lower(),)


@needs_pkilint
async def test_what_is_wrong_is_still_found_beside_what_is_hidden(authority):
    """A leaf with a SPIFFE ID, a one-label name and a mistake: the mistake is found."""
    leaf = _leaf(authority, Names(dns=("web",), uri=("spiffe://test.internal/a", "ftp://[x/")))
    linter = Linter()
    found = await linter.lint(leaf)
    assert {each.code for each in found if each.severity == "ERROR"} == {"pkix.invalid_uri_syntax"}
    assert {each.value for each in found if each.severity == "ERROR"} == {"ftp://[x/"}
    clean = await linter.lint(_leaf(authority, Names(dns=("web",), uri=("spiffe://test.internal/a",))))
    assert [each for each in clean if each.severity in lint.ERRORS] == []
    await linter.stop()


def _leaf(authority: TestAuthority, names: Names) -> bytes:
    approval = Approval(names, None, lint.specimen_key(KeyType.P256), PLAIN, PLAIN.lifetime, "test")
    return ca.sign(CheckedDraft(ca.prepare(approval, authority.issuer, serial=7, now=NOW))).certificate.der


# Specimens


@pytest.mark.parametrize("profile", OWN.values(), ids=list(OWN))
def test_specimens_have_every_kind_of_name_and_of_key_and_no_issuer_signed_them(authority, profile):
    made = specimens(profile, authority.issuer, DOMAIN, now=NOW)
    issuer = authority.issuer.certificate.parsed
    for each in made:
        parsed = each.certificate.parsed
        assert parsed.issuer == issuer.subject
        with pytest.raises(Exception, match=r"^$|[Ii]nvalid"):
            parsed.verify_directly_issued_by(issuer)
        assert each.fault is None
    kinds = {each.label.split()[0] for each in made}
    assert kinds == set(profile.keys)
    if profile.name == DEFAULT:
        found = [type(name) for each in made for name in each.certificate.alternative_names]
        assert set(found) == {x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier, x509.RFC822Name}


@pytest.mark.parametrize(
    "pattern", ["a.internal", "*.a.internal", "**.a.internal", ".a.internal", "*", "**", "10.0.0.0/8", "::1",
                "https://a.internal/*", "https://a.internal/x", "a@b.internal", "@b.internal"],
)  # fmt: skip
def test_a_profile_with_patterns_is_looked_at_with_names_that_it_takes(authority, pattern):
    profile = replace(PLAIN, names=(pattern,))
    (made,) = specimens(profile, authority.issuer, DOMAIN, now=NOW)
    names = Names.of(made.certificate.alternative_names)
    assert all(profile.patterns[0].covers(value) for _, value in names)


@given(
    st.sampled_from(["lifetime", "common_name", "extended_usages", "keys", "names", "backdate", "pointers", "issuer"])
)
def test_the_fingerprint_changes_with_all_that_a_profile_says(field):
    other = {
        "lifetime": timedelta(hours=7), "common_name": True, "extended_usages": ("server_auth",),
        "keys": frozenset({KeyType.P384}), "names": ("a.b",), "backdate": timedelta(0), "pointers": True, "issuer": "b",
    }[field]  # fmt: skip
    assert fingerprint(replace(PLAIN, **{field: other})) != fingerprint(PLAIN)
    assert fingerprint(replace(PLAIN)) == fingerprint(PLAIN)


# The process


@needs_pkilint
async def test_the_process_stays_warm_and_is_replaced_when_it_dies(authority):
    linter = Linter()
    leaf = _leaf(authority, Names(dns=("a.internal",)))
    await linter.lint(leaf)
    first = linter._process.pid
    await linter.lint(leaf)
    assert linter._process.pid == first
    os.kill(first, signal.SIGKILL)
    await linter._process.wait()
    assert await linter.lint(leaf)
    assert linter._process.pid != first
    last = linter._process.pid
    await linter.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


@needs_pkilint
async def test_a_process_that_hangs_costs_its_time_and_no_more(authority):
    linter = Linter()
    leaf = _leaf(authority, Names(dns=("a.internal",)))
    await linter.lint(leaf)
    os.kill(linter._process.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(Refused, match=r"did not answer within 0\.3 s"):
        await linter.lint(leaf, seconds=0.3)
    assert time.monotonic() - began < 5
    assert await linter.lint(leaf)  # with another process
    await linter.stop()


@needs_pkilint
async def test_who_goes_away_in_the_middle_leaves_no_answer_to_the_next(authority):
    linter = Linter()
    await linter.lint(_leaf(authority, Names(dns=("a.internal",))))
    bad = _leaf(authority, Names(uri=("ftp://[x/",)))
    waiting = asyncio.create_task(linter.lint(bad))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    found = await linter.lint(_leaf(authority, Names(dns=("a.internal",))))
    assert [each for each in found if each.severity in lint.ERRORS] == []
    await linter.stop()


@needs_pkilint
@pytest.mark.parametrize("der", [b"", b"nonsense", b"\x30\x82\xff\xff" + b"\0" * 100])
async def test_bytes_that_are_no_certificate_are_a_finding(der):
    linter = Linter()
    (found,) = await linter.lint(der)
    assert found.severity == "FATAL"
    await linter.stop()


@needs_pkilint
async def test_the_loop_goes_on_while_a_profile_is_looked_at(authority, tmp_path):
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - began)

    watching = asyncio.create_task(watch())
    await _load(tmp_path / "lint.json", list(OWN.values()), authority)
    watching.cancel()
    assert longest < 0.15


# Each leaf, where a profile asks for it


def _intent(authority: TestAuthority, profile: Profile, names: Names) -> Intent:
    """An intent that no check saw: what the linter is the last to find."""
    approval = Approval(names, None, PrivateKey.generate().handle.public_key(), profile, profile.lifetime, "account/a")
    draft = ca.prepare(approval, authority.issuer, serial=random_serial(), now=NOW)
    from handsel.authority import directory

    checked = CheckedDraft(draft)
    return Intent((directory.intended(checked),), (checked,))


@needs_pkilint
async def test_each_leaf_is_linted_before_anything_is_signed_where_the_profile_asks(authority, store):
    linter = _Counting()
    issuing = Issuing(store, lambda: authority.issuers, linter)
    strict, good, bad = replace(PLAIN, lint_leaves=True), Names(dns=("a.internal",)), Names(uri=("ftp://[x/",))
    await issuing.issue(_intent(authority, PLAIN, bad))  # nobody asked for it
    assert linter.asked == 0
    (leaf,) = await issuing.issue(_intent(authority, strict, good))
    assert linter.asked == 1
    intent = _intent(authority, strict, bad)
    with pytest.raises(Refused, match=r"break a standard: pkix\.invalid_uri_syntax"):
        await issuing.issue(intent)
    rows = await issuing._directory.key_users([leaf.certificate.pin])
    assert len(rows) == 1
    assert await issuing._directory.unfinished() == []
    await linter.stop()


async def test_a_profile_that_lints_each_leaf_signs_nothing_without_a_linter(authority, store, tmp_path):
    strict = replace(PLAIN, lint_leaves=True)
    with pytest.raises(ProfileRefused, match="pkilint is not installed"):
        await _load(tmp_path / "a.json", [strict], authority, Linter(version=""))
    issuing = Issuing(store, lambda: authority.issuers, Linter(version=""))
    assert await issuing.issue(_intent(authority, PLAIN, Names(dns=("a.internal",))))
    with pytest.raises(Refused, match="pkilint is not installed"):
        await issuing.issue(_intent(authority, strict, Names(dns=("a.internal",))))
