"""The stories of secrets: what may be put, granted and taken back, and what is written of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handsel.errors import SecretMissing, SecretRefused
from handsel.model.secret import SecretDeclared
from handsel.secrets import envelope, service
from handsel.secrets.grants import Granting, Recipient, references, refusal, shelf_of
from handsel.secrets.model import Deleted, Grant, GrantTaken, Kind, VersionPut
from tests.secrets.things import DAY, known, local_key, put, version, wish
from tests.support import NOW

WEB = Recipient("a1", {"web": "spiffe://test.internal/ns/default/sa/web"})


def test_a_version_is_sealed_and_its_journal_line_has_no_value() -> None:
    outcome = put(wish("db", b"hello", kind=Kind.PASSWORD))
    written, line = outcome.writes
    assert isinstance(written, VersionPut)
    assert envelope.unseal(written.sealed, written.version, local_key()).reveal() == b"hello"
    assert "hello" not in line.canonical()
    assert "hello" not in repr(outcome)


def test_the_next_version_keeps_what_is_not_said() -> None:
    first = put(wish("db", kind=Kind.PASSWORD, labels={"team": "shop"}, keep=3)).writes[0].entry
    again = put(wish("db", b"more"), known=service.Known({"db": first})).writes[0].entry
    assert again == replace(first, number=2)


def test_a_kind_stays() -> None:
    with pytest.raises(SecretRefused, match="is opaque, not password"):
        put(wish("db", kind=Kind.PASSWORD), known=known("db"))


@pytest.mark.parametrize("name", ["", "a/b/c", "/a", "a/", "../x", ".hidden", "a b", "x" * 101, "a\n"], ids=repr)
def test_a_name_is_one(name) -> None:
    put(wish("x" * 100))
    with pytest.raises(SecretRefused, match="no name"):
        put(wish(name))


def test_nothing_is_a_secret_and_a_group_at_once() -> None:
    with pytest.raises(SecretRefused, match="a group already"):
        put(wish("orders"), known=known("orders/store"))
    with pytest.raises(SecretRefused, match="no group"):
        put(wish("orders/store"), known=known("orders"))
    with pytest.raises(SecretRefused):
        put(wish("orders/store"), wish("orders"))


def test_all_or_none_are_put_and_at_most_a_mebibyte() -> None:
    assert len(put(wish("g/a"), wish("g/b")).answer) == 2
    with pytest.raises(SecretRefused, match="one line"):
        put(wish("g/a"), wish("g/b", b"two\nlines", kind=Kind.PASSWORD))
    half = b"x" * (512 << 10)
    put(wish("g/a", half), wish("g/b", half))
    with pytest.raises(SecretRefused, match="at once has at most 1 MiB"):
        put(wish("g/a", half), wish("g/b", half + b"x"))


def test_a_password_is_made_of_the_length_that_is_asked_for() -> None:
    outcome = put(wish("db", None, length=40))
    written = outcome.writes[0]
    made = envelope.unseal(written.sealed, written.version, local_key()).reveal()
    assert len(made) == 40
    assert len(set(made)) > 10
    for refused in (wish("db", None, length=11), wish("db", None, kind=Kind.CRL)):
        with pytest.raises(SecretRefused):
            put(refused)


def test_only_what_is_there_is_rotated() -> None:
    with pytest.raises(SecretMissing):
        put(wish("db"), must_exist=True)
    assert put(wish("db"), known=known("db"), must_exist=True).answer[0].number == 2


def test_the_end_is_what_is_said_else_what_the_file_says_and_never_after_the_contents_own(authority) -> None:
    declared = {"db": SecretDeclared("db", {}, expires=3 * DAY)}
    assert put(wish("db")).answer[0].expires is None
    assert put(wish("db"), known=known(declared=declared)).answer[0].expires == NOW + 3 * DAY
    assert put(wish("db", expires=DAY), known=known(declared=declared)).answer[0].expires == NOW + DAY
    root = authority.issuer.root
    late = put(wish("root", root.der, kind=Kind.CERTIFICATE, expires=DAY * 50_000)).answer[0]
    assert late.expires == root.not_after
    with pytest.raises(SecretRefused, match="has ended"):
        put(wish("root", root.der, kind=Kind.CERTIFICATE), now=root.not_after)


def test_a_grant_is_for_the_whole_group() -> None:
    there = known("orders/store", "orders/password", "db")
    assert service.grant("orders/store", "web", there, by="x", now=NOW).answer.unit == "orders"
    assert service.grant("orders", "web", there, by="x", now=NOW).answer.unit == "orders"
    with pytest.raises(SecretMissing, match="there is no secret 'order'"):
        service.grant("order", "web", there, by="x", now=NOW)


def test_what_the_mesh_file_grants_is_taken_back_there() -> None:
    declared = {"db": SecretDeclared("db", {"web": "handsel.yaml:9"})}
    granted = [Grant("db", "other", NOW, "x")]
    with pytest.raises(SecretRefused, match=r"handsel.yaml:9 grants db to web"):
        service.take_back("db", "web", known("db", declared=declared), granted, by="x", now=NOW)
    with pytest.raises(SecretRefused, match="not granted"):
        service.take_back("db", "nobody", known("db"), granted, by="x", now=NOW)
    outcome = service.take_back("db", "other", known("db", declared=declared), granted, by="x", now=NOW)
    assert outcome.writes[0] == GrantTaken("db", "other")


def test_the_last_of_a_unit_takes_its_grants_along() -> None:
    there, granted = known("g/a", "g/b"), [Grant("g", "web", NOW, "x")]
    one = service.delete("g/a", there, granted, by="x", now=NOW)
    assert [each for each in one.writes if isinstance(each, Deleted | GrantTaken)] == [Deleted("g/a")]
    both = service.delete("g", there, granted, by="x", now=NOW)
    assert GrantTaken("g", "web") in both.writes
    assert both.answer == ["g/a", "g/b"]


def test_a_host_is_told_what_its_services_are_granted_by_name_or_identity() -> None:
    shelf = shelf_of([version("db"), version("g/a"), version("g/b"), version("old", expires=NOW)], NOW)
    for grantee in ("web", WEB.services["web"]):
        granting = Granting.of([Grant("g", grantee, NOW, "x"), Grant("old", grantee, NOW, "x")], {})
        refs = references(WEB, shelf, granting, {})
        assert [(ref.name, ref.group, ref.file) for ref in refs] == [("g/a", "g", "a"), ("g/b", "g", "b")]
    assert references(WEB, shelf, Granting.of([Grant("g", "other", NOW, "x")], {}), {}) == ()


def test_a_value_is_refused_unless_everything_fits() -> None:
    newest = version("db", 2, expires=NOW + DAY)
    granting = Granting.of([Grant("db", "web", NOW, "x")], {})
    assert refusal(WEB, "web", "db-2", newest, granting, NOW) == ""
    assert "not of this host" in refusal(WEB, "other", "db-2", newest, granting, NOW)
    assert "newer" in refusal(WEB, "web", "db-1", newest, granting, NOW)
    assert "expired" in refusal(WEB, "web", "db-2", newest, granting, NOW + DAY)
    assert "not granted" in refusal(WEB, "web", "db-2", newest, Granting({}), NOW)
    assert "not granted" in refusal(WEB, "web", "x", None, granting, NOW)


def test_labels_are_read() -> None:
    assert service.read_labels(["team=shop", "a/b=x y"]) == {"a/b": "x y", "team": "shop"}
    for wrong in ("team", "=x", "te am=x", "a=\n"):
        with pytest.raises(SecretRefused):
            service.read_labels([wrong])
