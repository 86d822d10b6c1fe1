"""The CAs of one authority: what the mesh file asks for, what their certificates say, and who signs for whom."""

from __future__ import annotations

import subprocess
from datetime import timedelta

import pytest
from cryptography import x509

from handsel.authority import ca, hierarchy
from handsel.authority.adapters.signers import KeyFolder
from handsel.authority.hierarchy import CaPlan, Nearness, nearness
from handsel.authority.model import Approval, CheckedDraft
from handsel.authority.service import random_serial
from handsel.errors import InvalidFile, StateError
from handsel.model.authority import IssuingCa, NameSet, Profile
from handsel.pki.certificate import to_pem
from handsel.pki.constraints import forbidden
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.names import Names, TrustDomain
from tests.support import NOW, TRUST_DOMAIN, read_mesh

PARTNERS = CaPlan(
    "partners", KeyType.P384, timedelta(days=90),
    NameSet(dns=("partners.internal",), ip=("10.1.0.0/16",)), NameSet(dns=("no.partners.internal",)),
)  # fmt: skip
MESH = (CaPlan(), PARTNERS)


def _extension(certificate, kind):
    return certificate.parsed.extensions.get_extension_for_class(kind)


@pytest.fixture
def folder(tmp_path):
    return KeyFolder(tmp_path / "authority")


def _open(folder, plans=MESH, *, may_make=True, known=(), now=NOW):
    return folder.open_all(TRUST_DOMAIN, plans, now=now, may_make=may_make, known=known)


def _leaf(issuer, *names):
    profile = Profile("web", timedelta(hours=1))
    key = PrivateKey.generate().handle.public_key()
    approval = Approval(Names(dns=names), None, key, profile, profile.lifetime, "test")
    return ca.sign(CheckedDraft(ca.prepare(approval, issuer, serial=random_serial(), now=NOW)))


def test_several_cas_hang_from_one_root_and_each_has_a_key_of_its_own(folder):
    (mesh, partners), made = _open(folder)
    assert made
    assert (mesh.name, partners.name) == ("issuing", "partners")
    assert mesh.root == partners.root
    assert partners.key.kind is KeyType.P384
    assert len({mesh.certificate.pin, partners.certificate.pin, mesh.root.pin}) == 3
    assert mesh.certificate.parsed.subject != partners.certificate.parsed.subject
    for each in (mesh, partners):
        each.certificate.parsed.verify_directly_issued_by(each.root.parsed)


def test_what_rfc_5280_asks_of_a_ca_certificate(folder):
    """pki.md 2.3: 4.2.1.1 AKI, 4.2.1.2 SKI, 4.2.1.3 KeyUsage, 4.2.1.9 BasicConstraints."""
    (_, partners), _ = _open(folder)
    certificate, root = partners.certificate, partners.root
    usage, basic = _extension(certificate, x509.KeyUsage), _extension(certificate, x509.BasicConstraints)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.crl_sign) == (True, True, True)
    assert not usage.value.digital_signature
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    points_to = _extension(certificate, x509.AuthorityKeyIdentifier).value.key_identifier
    assert points_to == _extension(root, x509.SubjectKeyIdentifier).value.digest
    assert _extension(certificate, x509.SubjectKeyIdentifier).value.digest != points_to


def test_name_constraints_are_critical_and_both_readers_hold_to_them(folder, tmp_path):
    """pki.md 2.3: 4.2.1.10. What our own check forbids, OpenSSL does not believe."""
    (mesh, partners), _ = _open(folder)
    found = _extension(partners.certificate, x509.NameConstraints)
    assert found.critical
    assert [str(each.value) for each in found.value.permitted_subtrees] == ["partners.internal", "10.1.0.0/16"]
    assert [str(each.value) for each in found.value.excluded_subtrees] == ["no.partners.internal"]
    for name, allowed in (("a.partners.internal", True), ("shop.internal", False), ("b.no.partners.internal", False)):
        chain = (partners.certificate, partners.root)
        assert (forbidden(Names(dns=(name,)), x509.Name([]), chain) is None) == allowed
        assert _believes(tmp_path, _leaf(partners, name)) == allowed
        assert _believes(tmp_path, _leaf(mesh, name))  # it has none


def _believes(folder, leaf):
    (folder / "root.pem").write_bytes(to_pem((leaf.issuer.root,)))
    (folder / "between.pem").write_bytes(to_pem(leaf.issuer.chain))
    (folder / "leaf.pem").write_bytes(to_pem((leaf.certificate,)))
    command = [
        "openssl", "verify", "-x509_strict", "-attime", str(int(NOW.timestamp())), "-CAfile", "root.pem",
        "-untrusted", "between.pem", "leaf.pem",
    ]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def test_a_ca_ends_as_it_was_said_and_never_after_its_root(folder):
    (mesh, partners), _ = _open(folder)
    assert partners.certificate.not_after == NOW + timedelta(days=90)
    late = mesh.root.not_after - timedelta(days=5)
    (_, _, added), _ = _open(folder, (*MESH, CaPlan("late")), now=late)
    assert added.certificate.not_after == mesh.root.not_after


def test_a_ca_that_is_named_later_is_made_and_the_others_stay(folder):
    (first,), _ = _open(folder, (CaPlan(),))
    (mesh, partners), made = _open(folder, may_make=False, known=("issuing",))
    assert not made
    assert mesh.certificate == first.certificate
    assert partners.root == first.root


def test_a_ca_that_was_used_and_is_gone_is_not_made_anew(folder):
    (_, partners), _ = _open(folder)
    (folder.folder / "partners.crt").unlink()
    with pytest.raises(StateError, match=r"partners\.crt is gone"):
        _open(folder, may_make=False, known=("issuing", "partners"))
    again = _open(folder, may_make=False, known=("issuing",))[0][1]  # the control: nobody knows of it
    assert again.key.pin() == partners.key.pin()


def test_the_same_name_of_two_mesh_files_does_not_cut_what_tells_cas_apart():
    long = TrustDomain("x" * 200)
    titles = {CaPlan(name).title(long) for name in ("issuing", "partners", "shops")}
    assert len(titles) == 3
    assert all(len(title) <= 64 for title in titles)


FILE = """
services: {}
authority:
  issuing:
    partners:
      key: p384
      lifetime: 90d
      permitted: {dns: [partners.internal], ip: [10.1.0.0/16]}
      excluded: {dns: [no.partners.internal]}
  profiles:
    partners: {issuer: partners}
"""


def test_the_mesh_file_names_cas_and_the_profiles_that_they_sign():
    found = read_mesh(FILE).authority
    assert hierarchy.plans(found.issuing) == MESH
    assert found.profiles["partners"].issuer == "partners"


@pytest.mark.parametrize(
    ("was", "is_now", "why"),
    [
        ("issuer: partners", "issuer: partner", "no issuing CA 'partner'; known: issuing, partners"),
        ("10.1.0.0/16", "10.1.0.1/16", "is no network"),
        ("lifetime: 90d", "lifetime: 1s", "between 1m and 3650d"),
        ("lifetime: 90d", "lifetime: 4000d", "between 1m and 3650d"),
        ("    partners:\n", "    root-next:\n", "does not begin as root"),
        ("    partners:\n", "    ../partners:\n", "a CA's name has"),
        ("key: p384", "key: dsa", "key"),
        ("[partners.internal]", "['a b']", "dns"),
    ],
)
def test_a_fault_in_it_is_told_with_its_place(was, is_now, why):
    assert read_mesh(FILE)
    with pytest.raises(InvalidFile) as caught:
        read_mesh(FILE.replace(was, is_now))
    assert any(why in str(fault) and fault.line > 1 for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (timedelta(), Nearness.OVER),
        (timedelta(seconds=-1), Nearness.OVER),
        (timedelta(seconds=1), Nearness.VERY_SOON),
        (timedelta(days=17), Nearness.VERY_SOON),
        (timedelta(days=19), Nearness.SOON),
        (timedelta(days=29), Nearness.SOON),
        (timedelta(days=31), Nearness.FAR),
        (timedelta(days=90), Nearness.FAR),
    ],
)
def test_the_nearness_of_an_end_is_told_at_a_third_and_a_fifth_of_life(folder, left, expected):
    (_, partners), _ = _open(folder)  # it lives 90 days
    assert nearness(partners.certificate, partners.certificate.not_after - left) is expected


def test_plans_put_the_mesh_first_and_let_the_file_say_what_it_is():
    written = {"b": IssuingCa("b"), "issuing": IssuingCa("issuing", key=KeyType.P384)}
    mesh, other = hierarchy.plans(written)
    assert (mesh.name, mesh.kind, other.name) == ("issuing", KeyType.P384, "b")
    assert hierarchy.plans({}) == (CaPlan(),)
