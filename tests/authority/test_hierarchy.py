"""Any number of issuing CAs under one root: what their certificates say, and that only what they may sign is signed."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from handsel.authority import service
from handsel.authority.adapters.authorities_tables import Authorities
from handsel.authority.adapters.signers.folder import KeyFolder
from handsel.authority.hierarchy import CaKnown, CaPlan, Known, Nearness, State, chains_known, nearness, plans
from handsel.authority.model import Approval, Domain, Issuers
from handsel.authority.profile import Lifetimes, profiles
from handsel.errors import Refused, StateError
from handsel.model.authority import IssuingCa, NameSet, Profile
from handsel.pki.certificate import to_pem
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.names import Names
from tests.ca_keys import key_store
from tests.support import NOW, TRUST_DOMAIN

PARTNERS = CaPlan(
    "partners", KeyType.P384, timedelta(days=100),
    permitted=NameSet(dns=("partner.example",), ip=("10.0.0.0/8", "fd00::/8")),
    excluded=NameSet(dns=("secret.partner.example",)),
)  # fmt: skip
PROFILE = Profile("partners", timedelta(hours=1), issuer="partners")


@pytest.fixture
def folder(tmp_path):
    found = KeyFolder(tmp_path / "authority", key_store(tmp_path))
    found.make(TRUST_DOMAIN, (CaPlan(), PARTNERS), now=NOW)
    return found


def _issuers(folder: KeyFolder) -> Issuers:
    found = [folder.load(name, TRUST_DOMAIN) for name in ("issuing", "partners")]
    return Issuers({each.name: each for each in found}, (found[0].root,))


def _leaf(folder: KeyFolder, *names: str):
    domain = Domain(TRUST_DOMAIN, {}, profiles(Lifetimes(), {"partners": PROFILE}))
    key = PrivateKey.generate()
    approval = Approval(Names(dns=names), None, key.handle.public_key(), PROFILE, timedelta(hours=1), "test")
    (leaf,) = service.issue(service.intend([approval], domain, _issuers(folder), NOW), now=NOW).answer
    return leaf


def test_an_issuing_certificate_says_what_rfc_5280_asks_pki_2_3(folder):
    """4.1.2.2 serial; 4.2.1.1, 4.2.1.2 identifiers; 4.2.1.3 and 4.2.1.9 critical; 4.2.1.10 name constraints."""
    root, made = folder.roots.trusted()[0].parsed, folder.load("partners", TRUST_DOMAIN).certificate.parsed

    def said(kind):
        return made.extensions.get_extension_for_class(kind)

    assert 64 < made.serial_number.bit_length() <= 159
    assert said(x509.BasicConstraints).critical
    assert (said(x509.BasicConstraints).value.ca, said(x509.BasicConstraints).value.path_length) == (True, 0)
    assert said(x509.KeyUsage).critical
    assert said(x509.KeyUsage).value.key_cert_sign
    assert not said(x509.KeyUsage).value.digital_signature
    assert said(x509.NameConstraints).critical
    root_id = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert said(x509.AuthorityKeyIdentifier).value.key_identifier == root_id
    assert made.not_valid_after_utc == NOW + timedelta(days=100)
    assert made.subject != folder.load("issuing", TRUST_DOMAIN).certificate.parsed.subject
    assert folder.load("partners", TRUST_DOMAIN).key.kind is KeyType.P384


@pytest.mark.parametrize("name", ["partner.example", "www.partner.example"])
def test_what_a_ca_may_sign_is_good_for_openssl_too(folder, tmp_path, name):
    leaf = _leaf(folder, name)
    for file, content in (("root", folder.roots.trusted()), ("ca", leaf.chain[1:]), ("leaf", leaf.chain[:1])):
        (tmp_path / file).write_bytes(to_pem(content))
    checked = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-attime", str(int(NOW.timestamp())), "-CAfile", "root", "-untrusted",
         "ca", "leaf"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.stdout == "leaf: OK\n", checked.stderr


@pytest.mark.parametrize("name", ["other.example", "secret.partner.example", "a.secret.partner.example"])
def test_what_it_may_not_sign_is_refused_before_signing_pki_2_3(folder, name):
    with pytest.raises(Refused):
        _leaf(folder, name)
    assert _leaf(folder, "www.partner.example")


def test_a_missing_ca_is_made_and_a_lost_one_is_told(folder):
    more = (CaPlan(), PARTNERS, CaPlan("more"))
    (_, partners, added), made = folder.open_all(TRUST_DOMAIN, more, now=NOW, may_make=False, known=["partners"])
    assert not made
    assert (partners.name, added.name) == ("partners", "more")
    (folder.folder / "more.crt").unlink()
    with pytest.raises(StateError, match=r"more\.crt is gone"):
        folder.open_all(TRUST_DOMAIN, more, now=NOW, may_make=False, known=["more"])


def test_without_the_roots_key_the_way_to_a_certificate_is_told(folder):
    folder.keys.remove("root")
    with pytest.raises(StateError, match="root's key is not here") as caught:
        folder.open_all(TRUST_DOMAIN, (CaPlan(), CaPlan("more")), now=NOW, may_make=False)
    assert "handsel ca request more" in caught.value.next_step
    assert folder.roots.pins()[0] == folder.roots.trusted()[0].pin
    assert folder.open_all(TRUST_DOMAIN, (CaPlan(), PARTNERS), now=NOW, may_make=False)


def test_the_meshs_own_ca_is_there_without_being_written_and_can_be():
    assert [each.name for each in plans({})] == ["issuing"]
    written = {"partners": IssuingCa("partners"), "issuing": IssuingCa("issuing", KeyType.P384)}
    assert [(each.name, each.kind) for each in plans(written)] == [
        ("issuing", KeyType.P384),
        ("partners", KeyType.P256),
    ]


async def test_chains_of_older_leaves_stay_downloadable(folder, store):
    leaf = _leaf(folder, "www.partner.example")
    before = leaf.issuer.certificate
    after = folder.make_issuing(TRUST_DOMAIN, PARTNERS, "partners.2", now=NOW)
    first = Known(before, "partners", State.ACTIVE, "partners", NOW)
    await store.commit((CaKnown(first),))
    await store.commit((CaKnown(replace(first, state=State.RETIRING)),))
    await store.commit((CaKnown(Known(after, "partners", State.ACTIVE, "partners.2", NOW)),))
    known = await Authorities(store).all()
    assert {(each.key, each.state) for each in known} == {
        ("partners", State.RETIRING),
        ("partners.2", State.ACTIVE),
    }
    current = folder.load("partners", TRUST_DOMAIN, key="partners.2")
    issuers = Issuers({"partners": current}, folder.roots.trusted(), chains_known(known, (), folder.roots.trusted()))
    assert issuers.chains(leaf.certificate) == ((before,),)
    assert Issuers({"partners": current}, folder.roots.trusted()).chains(leaf.certificate) == ()
    assert after.key_id != before.key_id


@pytest.mark.parametrize(
    ("left", "found"),
    [(40, Nearness.FAR), (34, Nearness.FAR), (30, Nearness.SOON), (19, Nearness.VERY_SOON), (0, Nearness.OVER)],
)
def test_warnings_begin_at_a_third_and_a_fifth_of_life_pki_4(folder, left, found):
    certificate = folder.load("partners", TRUST_DOMAIN).certificate
    assert nearness(certificate, certificate.not_after - timedelta(days=left)) is found
