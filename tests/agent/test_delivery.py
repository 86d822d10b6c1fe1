"""What the files of a delivery hold, and when their mark changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from handsel.agent import delivery as made
from handsel.agent.delivery import Material, Wanted
from handsel.agent.model import Owner
from handsel.authority.va.lists import mesh_crl
from handsel.errors import HandselError
from handsel.link.messages import Bundle
from handsel.model.delivery import Content, Delivery, Kind, Reload
from handsel.pki.keystore import Passwords, StoreKind, read
from handsel.pki.secret import Secret
from tests.agent.things import assigned, holdings, identity, workload
from tests.support import NOW, TestAuthority

KEY = b"k" * 32
EVERYTHING = Delivery(
    "tls", "/etc/tls", tuple(Content(str(kind), kind, alias="Web" if kind.has_alias else "") for kind in Kind)
)
AUTHORITY, OTHER = TestAuthority.make(), TestAuthority.make()


def _crl(authority: TestAuthority, number: int = 1) -> bytes:
    return mesh_crl(authority.issuer, [], number=number, sequence=1, now=NOW).der


MATERIAL = Material(
    AUTHORITY.pair(identity("web")), (AUTHORITY.issuer.root, OTHER.issuer.root), (_crl(AUTHORITY), _crl(OTHER)),
    Secret(b"changeit"),
)  # fmt: skip
OTHERS = {
    "pair": replace(MATERIAL, pair=AUTHORITY.pair(identity("web"))),
    "roots": replace(MATERIAL, roots=MATERIAL.roots[:1]),
    "crls": replace(MATERIAL, crls=(_crl(AUTHORITY, 2), _crl(OTHER))),
    "password": replace(MATERIAL, password=Secret(b"changed")),
    "owner": replace(MATERIAL, owner=Owner(70001, 70001)),
}
MADE_OF = {
    **{kind: {"pair"} for kind in ("key", "certificate", "leaf", "chain", "bundle")},
    "roots": {"roots"}, "crl": {"crls"}, "pkcs12": {"pair", "password"}, "jks": {"pair", "password"},
    "pkcs12-trust": {"roots", "password"}, "jks-trust": {"roots", "password"}, "password": {"password"},
}  # fmt: skip


def _only(kind: str) -> Delivery:
    return replace(EVERYTHING, contents=tuple(each for each in EVERYTHING.contents if each.kind == kind))


def _material(kind: str, material: Material) -> Material:
    """As the agent puts it together: a password only where something has one."""
    return material if "password" in MADE_OF[kind] else replace(material, password=None)


def test_every_file_holds_what_its_kind_says():
    files = {each.name: each.content for each in made.files(EVERYTHING, MATERIAL, NOW)}
    leaf, issuing = MATERIAL.pair.chain
    roots = [each.der for each in MATERIAL.roots]

    def certificates(name: str) -> list[bytes]:
        found = x509.load_pem_x509_certificates(files[name])
        return [each.fingerprint(each.signature_hash_algorithm) for each in found]

    def expected(*ones) -> list[bytes]:
        return [each.parsed.fingerprint(each.parsed.signature_hash_algorithm) for each in ones]

    assert certificates("certificate") == certificates("bundle") == expected(leaf, issuing)
    assert (certificates("leaf"), certificates("chain")) == (expected(leaf), expected(issuing))
    assert certificates("roots") == expected(*MATERIAL.roots)
    for name in ("key", "bundle"):
        assert load_pem_private_key(files[name], None).public_key() == leaf.parsed.public_key()
    lists = files["crl"].split(b"-----BEGIN")[1:]
    assert [x509.load_pem_x509_crl(b"-----BEGIN" + each).issuer for each in lists] == [
        each.issuer.certificate.parsed.subject for each in (AUTHORITY, OTHER)
    ]
    assert files["password"] == b"changeit\n"
    for name, kind in (("pkcs12", StoreKind.PKCS12), ("jks", StoreKind.JKS)):
        store = read(files[name], Passwords(MATERIAL.password))
        assert (store.kind, [each.der for each in store.keys[0].chain]) == (kind, [leaf.der, issuing.der])
        assert store.keys[0].alias.lower() == "web"
        trust = read(files[f"{name}-trust"], Passwords(MATERIAL.password))
        assert [each.certificate.der for each in trust.trusted] == roots


def test_every_kind_has_its_line_here():
    assert MADE_OF.keys() == {str(kind) for kind in Kind}


@pytest.mark.parametrize("kind", sorted(MADE_OF))
def test_a_mark_changes_with_what_the_file_is_made_of_and_with_nothing_else(kind):
    delivery = _only(kind)
    mark = made.mark(KEY, delivery, _material(kind, MATERIAL))
    assert mark == made.mark(KEY, delivery, _material(kind, replace(MATERIAL)))
    changed = {name for name, each in OTHERS.items() if made.mark(KEY, delivery, _material(kind, each)) != mark}
    assert changed == MADE_OF[kind] | {"owner"}


@pytest.mark.parametrize(
    ("change", "other"),
    [
        ({"contents": EVERYTHING.contents[:-1]}, True),
        ({"contents": (replace(EVERYTHING.contents[0], mode=0o640), *EVERYTHING.contents[1:])}, True),
        ({"contents": (replace(EVERYTHING.contents[0], name="other"), *EVERYTHING.contents[1:])}, True),
        ({"owner": "web"}, True),
        ({"contents": EVERYTHING.contents[::-1]}, False),
        ({"reload": Reload(command=("x",))}, False),
        ({"name": "other"}, False),
    ],
)
def test_a_mark_changes_with_how_the_files_lie_there(change, other):
    assert (made.mark(KEY, replace(EVERYTHING, **change), MATERIAL) != made.mark(KEY, EVERYTHING, MATERIAL)) == other
    assert made.mark(b"another", EVERYTHING, MATERIAL) != made.mark(KEY, EVERYTHING, MATERIAL)


def test_an_owner_is_that_of_the_file_then_of_the_delivery_then_of_the_workload():
    contents = (Content("a", "key", owner="a:b"), Content("b", "key"))
    named, unnamed = Delivery("t", "/t", contents, "web"), Delivery("t", "/t", contents)
    owned = replace(MATERIAL, owner=Owner(7, 8))
    assert [each.owner for each in made.places(named, owned)] == ["a:b", "web"]
    assert [each.owner for each in made.places(unnamed, owned)] == ["a:b", Owner(7, 8)]
    assert [each.owner for each in made.places(unnamed, MATERIAL)] == ["a:b", ""]


def test_what_is_not_there_yet_is_said():
    with_pair, without = workload(MATERIAL.pair), workload()
    held = holdings(AUTHORITY, with_pair)
    listed = replace(held, bundle=Bundle(held.roots, MATERIAL.crls))
    assert "no certificate yet" in made.lacks(_only("key"), without, held)
    assert made.lacks(_only("roots"), without, held) == made.lacks(_only("key"), with_pair, held) == ""
    assert "no list of revoked" in made.lacks(_only("crl"), with_pair, held)
    assert made.lacks(_only("crl"), with_pair, listed) == ""
    assert "does not run" in made.lacks(_only("roots"), None, held)
    newer = Delivery("t", "/t", (Content("a", "key"), Content("b", "bcfks")))
    assert "does not know the kind 'bcfks'" in made.lacks(newer, with_pair, held)


@pytest.mark.parametrize("kind", sorted(Kind))
def test_a_secret_is_nobody_elses_to_read_whatever_a_server_says(kind):
    def lacks(mode: int) -> str:
        shown = Delivery("t", "/t", (Content("a", kind, mode=mode),))
        return made.lacks(shown, workload(MATERIAL.pair), listed)

    listed = replace(holdings(AUTHORITY), bundle=Bundle(MATERIAL.roots, MATERIAL.crls))
    assert lacks(0o640) == ""
    for mode in (0o644, 0o660, 0o604):
        assert (lacks(mode) != "") == Kind(kind).is_secret


def test_two_deliveries_do_not_share_a_folder():
    wishes = tuple(
        Wanted("web", Delivery(name, folder, ()))
        for name, folder in [("a", "/etc/x"), ("b", "/etc/xy"), ("c", "/etc/x/y"), ("d", "/etc/x"), ("e", "/etc/y")]
    )
    assert made.clashing(wishes) == {"web/c": "web/a", "web/d": "web/a"}
    assert made.clashing((Wanted("web", Delivery("c", "/e/x/y", ())), Wanted("web", Delivery("a", "/e/x", ())))) == {
        "web/a": "web/c"
    }


def test_what_was_asked_for_here_stands_before_what_the_server_says():
    said, asked = Delivery("tls", "/etc/tls", ()), Delivery("tls", "/opt/tls", ())
    held = holdings(AUTHORITY, replace(workload(), assigned=replace(assigned(), deliveries=(said,))))
    assert made.wanted(held, {}) == (Wanted("web", said),)
    local = Wanted("web", asked, local=True)
    assert made.wanted(held, {local.id: local}) == (local,)


def test_a_password_that_a_store_does_not_take_is_an_error_of_ours():
    files = _only("pkcs12")
    made.files(files, MATERIAL, NOW)
    with pytest.raises(HandselError, match="ASCII"):
        made.files(files, replace(MATERIAL, password=Secret("ü".encode())), NOW)


def test_nothing_secret_is_shown():
    (file,) = made.files(_only("key"), MATERIAL, NOW)
    assert "PRIVATE" not in repr(file)
    assert "changeit" not in repr(MATERIAL)
