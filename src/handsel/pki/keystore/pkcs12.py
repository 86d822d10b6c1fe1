"""PKCS12 (RFC 7292), read whole: what is checked, what is opened, and how it is kept.

The file's form is in `pkcs12_bags`, the ciphers in `pbe`, what bags become in `pkcs12_entries`, and `write` in
`pkcs12_writing`.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field

from handsel.errors import StorePasswordWrong, StoreRefused, StoreUnreadable
from handsel.pki.keystore import pkcs12_bags, pkcs12_entries
from handsel.pki.keystore.derivation import Derivations, Spelling, spellings
from handsel.pki.keystore.model import MOST_ENTRIES, Integrity, Passwords, Store, StoreKind, duplicates
from handsel.pki.keystore.notes import Notes
from handsel.pki.keystore.pkcs12_bags import Bag, Part, Pfx
from handsel.pki.keystore.pkcs12_writing import write
from handsel.pki.keystore.shrouded import Opener

__all__ = ["read", "write"]


def read(content: bytes, passwords: Passwords) -> Store:
    """A PKCS12 store.

    Raises `StoreUnreadable` for what is damaged, `StorePasswordWrong`, `StoreRefused` for what asks for too much or is
    kept in a way that is not known here.
    """
    try:
        pfx, derivations = pkcs12_bags.read_pfx(content), Derivations()
        _plan(pfx, derivations)
        spelled = spellings(passwords.store) if passwords.store else (None,)
        for spelling in spelled[:-1]:
            try:
                return _Reading(pfx, passwords, derivations, spelling).store()
            except StorePasswordWrong:  # perhaps it is right, but was written as another program writes it
                continue
        return _Reading(pfx, passwords, derivations, spelled[-1]).store()
    except ValueError as error:
        raise StoreUnreadable(f"it is no PKCS12 file, or a damaged one: {error}") from error


def _plan(pfx: Pfx, derivations: Derivations) -> None:
    """Count the rounds of all that is to be seen, before any is done."""
    if pfx.mac:
        derivations.plan(pfx.mac.derivation)
    for part in pfx.parts:
        if part.scheme:
            derivations.plan(*part.scheme.derivations)


@dataclass(frozen=True)
class _Reading:
    """One way through the file, with one spelling of its password."""

    pfx: Pfx
    passwords: Passwords
    derivations: Derivations
    spelling: Spelling | None
    notes: Notes = field(default_factory=Notes)

    def store(self) -> Store:
        """All of it."""
        integrity = self._check()
        bags = list(self._bags())
        opener = Opener(self.passwords, self.derivations, self.spelling)
        entries = tuple(pkcs12_entries.entries(bags, opener, self.notes))
        if len(entries) > MOST_ENTRIES:
            raise StoreRefused(f"it has more than {MOST_ENTRIES} entries")
        for alias in duplicates(entries):
            self.notes.odd(f"several entries have the alias {alias!r}: Java shows one of them")
        self.notes.odd(*self.pfx.notes)
        return Store(StoreKind.PKCS12, entries, integrity, self.notes.lines)

    def _check(self) -> Integrity:
        """Whether nobody without the password has changed it (RFC 7292, section 5.1, step 3)."""
        mac = self.pfx.mac
        if mac is None:
            self.notes.odd("it carries no check: whoever can write it can change it unseen")
            return Integrity.NONE
        self.notes.kept(f"check: HMAC-{mac.digest.upper()}, {mac.derivation}")
        self.notes.weak(*mac.derivation.faults)
        if mac.digest == "sha1":
            self.notes.weak("its check is made with SHA-1")
        if self.spelling is None:
            return Integrity.NOT_CHECKED
        key = self.derivations.key(mac.derivation, self.spelling)
        if not hmac.compare_digest(hmac.digest(key, self.pfx.checked, mac.digest), mac.value):
            raise StorePasswordWrong("its password is wrong, or the file was changed")
        return Integrity.CHECKED

    def _bags(self) -> Iterator[Bag]:
        """The bags of all parts that open. Raises `StorePasswordWrong`, also when none does without a password."""
        shut = sum(part.scheme is not None for part in self.pfx.parts) if self.spelling is None else 0
        bags = [bag for part in self.pfx.parts for bag in self._of(part)]
        if shut and not bags:
            raise StorePasswordWrong("it needs a password")
        if shut:
            self.notes.odd(f"{shut} of its parts, with its certificates as a rule, cannot be read without a password")
        yield from bags

    def _of(self, part: Part) -> list[Bag]:
        scheme = part.scheme
        if scheme is None:
            return pkcs12_bags.read_bags(part.content)
        self.notes.weak(*scheme.faults)
        if self.spelling is None:
            self.notes.kept(f"a part: {scheme.name}")
            return []
        try:
            bags = pkcs12_bags.read_bags(scheme.decrypt(part.content, self.derivations, self.spelling))
        except ValueError as error:
            if self.pfx.mac is None:
                raise StorePasswordWrong("its password is wrong, or the file is damaged") from error
            raise StorePasswordWrong("a part of it has another password than its check") from error
        only_certificates = all(each.kind == pkcs12_bags.CERTIFICATE_BAG for each in bags)
        self.notes.kept(f"{'certificates' if only_certificates else 'a part'}: {scheme.name}")
        return bags
