"""What is done to entries, and what is refused: names stay clear, nothing is lost silently."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import KeyPasswordWrong, StoreRefused
from handsel.pki.keystore import Integrity, Passwords, Store, StoreKind
from handsel.pki.keystore.edit import Contents
from handsel.pki.secret import Secret
from tests.pki.keystore.samples import key_entry, locked_entry, secret_entry, trusted_entry

JKS, PKCS12, PEM = StoreKind.JKS, StoreKind.PKCS12, StoreKind.PEM
OWN = Secret(b"own")
ALIASES = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1, max_size=8)
_TRUSTED = trusted_entry("x")


def contents(*aliases: str) -> Contents:
    return Contents(tuple(replace(_TRUSTED, alias=alias) for alias in aliases))


def aliases(found: Contents) -> list[str]:
    return [each.alias for each in found.entries]


# Names


@given(ALIASES, st.data())
def test_what_is_renamed_and_renamed_back_is_as_before(names: list[str], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True))
    new = data.draw(st.permutations(chosen))  # also exchanged among each other
    there = contents(*names).rename(list(zip(chosen, new, strict=True)))
    assert sorted(aliases(there)) == sorted(names)
    assert there.rename(list(zip(new, chosen, strict=True))) == contents(*names)


@given(ALIASES, st.data())
def test_what_is_removed_is_gone_and_the_rest_stays_in_order(names: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.lists(st.sampled_from(names)))
    assert aliases(contents(*names).remove(gone)) == [each for each in names if each not in gone]


@given(ALIASES, ALIASES)
def test_no_two_entries_are_ever_called_the_same(mine: list[str], theirs: list[str]) -> None:
    upper = [each.upper() for each in theirs]
    both = contents(*mine).take(contents(*upper), replacing=True)
    assert sorted(each.lower() for each in aliases(both)) == sorted({*mine, *theirs})
    assert set(upper) <= set(aliases(both))
    if set(mine) & set(theirs):
        with pytest.raises(StoreRefused, match=r"it has an entry '.' already"):
            contents(*mine).take(contents(*upper))
    else:
        assert aliases(contents(*mine).take(contents(*upper))) == [*mine, *upper]


def test_an_entry_is_found_as_it_is_written_else_without_regard_to_case() -> None:
    both = contents("Web", "web", "Other")
    assert both.find("web").alias == "web"
    assert both.find("other").alias == "Other"
    with pytest.raises(StoreRefused, match="2 entries are called 'WEB'"):
        both.find("WEB")
    with pytest.raises(StoreRefused, match="there is no entry 'none'") as refused:
        both.find("none")
    assert refused.value.next_step == "it has 'Web', 'web', 'Other'"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([("a", "B")], "two entries would be called 'B'"),
        ([("a", "x"), ("a", "y")], "cannot be called both 'x' and 'y'"),
        ([("a", "")], "at least one letter"),
        ([("none", "x")], "there is no entry 'none'"),
    ],
)
def test_names_that_are_refused(names: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(StoreRefused, match=said):
        contents("a", "b").rename(names)


def test_the_password_of_a_key_goes_with_its_name() -> None:
    store = Store(JKS, (key_entry("a"), key_entry("b"), key_entry("c")), Integrity.CHECKED)
    there = Contents.of(store, Passwords(Secret(b"store"), by_alias={"a": OWN, "b": Secret(b"store")}))
    assert there.own == {"a": OWN}
    assert there.rename([("a", "b"), ("b", "a")]).own == {"b": OWN}
    assert there.remove(["a"]).own == {}
    assert there.pick(["a", "A", "c"]).own == {"a": OWN}
    assert contents("x").take(there).own == {"a": OWN}


# Formats


FITS = [
    (JKS, [key_entry("a"), trusted_entry("t")]),
    (PKCS12, [key_entry("a"), key_entry("b"), trusted_entry("t"), secret_entry("s")]),
    (PEM, [key_entry("a")]),
    (PEM, [trusted_entry("t"), trusted_entry("u")]),
]


@pytest.mark.parametrize(("kind", "entries"), FITS, ids=[f"{kind}-{len(entries)}" for kind, entries in FITS])
def test_what_a_format_holds_fits_without_loss(kind: StoreKind, entries: list) -> None:
    there = Contents(tuple(entries))
    assert there.fit(kind, lossy=False)[0] == there


LOSSES = [
    (JKS, Contents((secret_entry("s"), trusted_entry("t"))), ["t"], "'s' is left out: JKS holds no secret keys"),
    (
        JKS,
        Contents((key_entry("a", []), trusted_entry("t"))),
        ["t"],
        "'a' is left out: JKS holds no key without a cert",
    ),
    (PEM, Contents((secret_entry("s"), trusted_entry("t"))), ["t"], "'s' is left out: PEM holds no secret keys"),
    (PEM, Contents((key_entry("a"), key_entry("b"))), ["a", "b"], "2 keys: PEM does not say which chain is whose"),
    (PEM, Contents((key_entry("a"), trusted_entry("t"))), ["a", "t"], "that certificates are trusted"),
    (PKCS12, Contents((key_entry("a"),), {"a": OWN}), ["a"], "the key of 'a' loses its own password"),
    (PKCS12, Contents((trusted_entry("t"),), {}, ("a CRL in it is not read",)), ["t"], "a CRL in it is not read"),
]


@pytest.mark.parametrize(("kind", "there", "kept", "said"), LOSSES, ids=[said[:30] for *_, said in LOSSES])
def test_a_loss_is_said_and_refused_unless_it_may_be(
    kind: StoreKind, there: Contents, kept: list[str], said: str
) -> None:
    with pytest.raises(StoreRefused, match="something would be lost: ") as refused:
        there.fit(kind, lossy=False)
    assert said in str(refused.value)
    assert "--lossy" in refused.value.next_step
    fitting, losses = there.fit(kind, lossy=True)
    assert losses[0].startswith(said)
    assert aliases(fitting) == kept
    assert fitting.own == {}


@pytest.mark.parametrize("kind", [StoreKind.JCEKS, StoreKind.BCFKS])
def test_a_format_that_is_not_written_is_refused_even_so(kind: StoreKind) -> None:
    with pytest.raises(StoreRefused, match=f"{kind.upper()} is read here and not written"):
        contents("a").fit(kind, lossy=True)


def test_jks_keeps_the_password_of_a_key_and_says_that_letters_become_small() -> None:
    there = Contents((key_entry("Web"),), {"Web": OWN})
    assert there.fit(JKS, lossy=False) == (there, ["'Web' is written in small letters, as Java does"])


def test_a_locked_key_is_refused_before_anything_is_written() -> None:
    assert Contents((key_entry("a"),)).unlocked()
    with pytest.raises(KeyPasswordWrong, match="the key of 'b' is locked: its password is another one"):
        Contents((key_entry("a"), locked_entry("b"))).unlocked()
