"""What is done to the entries of a key store: given another name, taken out, taken in, made to fit another format.

Everything here decides and nothing is written. A refusal is a `StoreRefused` in one line, without the file's name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from handsel.errors import KeyPasswordWrong, StoreRefused
from handsel.pki.keystore.model import Entry, KeyEntry, Passwords, SecretEntry, Store, StoreKind, TrustedEntry
from handsel.pki.secret import Secret

_MOST_NAMED = 8
_NOT_READ = " is not read"
"""So end the notes about what a reader passes over."""
WRITTEN = (StoreKind.JKS, StoreKind.PKCS12, StoreKind.PEM)
"""The formats that are written."""


@dataclass(frozen=True)
class Contents:
    """Entries in their order. `own`: the passwords of keys that have another one than the store, by alias.

    `unread`: what else lies in the file, a line each; whoever writes it anew loses that.
    """

    entries: tuple[Entry, ...]
    own: Mapping[str, Secret] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    @classmethod
    def of(cls, store: Store, passwords: Passwords) -> Contents:
        """Those of a store that these passwords opened."""
        keys = [each for each in store.entries if not isinstance(each, TrustedEntry) and each.key is not None]
        opened = {each.alias: passwords.of_key(each.alias) for each in keys}
        own = {alias: key for alias, key in opened.items() if key is not None and key != passwords.store}
        # What lies there in clear has no password, whatever was tried.
        keeps_own = store.kind in (StoreKind.JKS, StoreKind.JCEKS, StoreKind.BCFKS)
        unread = tuple(each for each in store.notes if each.endswith(_NOT_READ))
        return cls(store.entries, own if keeps_own else {}, unread)

    def find(self, alias: str) -> Entry:
        """The entry of this name: just so, else without regard to case, as Java looks."""
        exact = [each for each in self.entries if each.alias == alias]
        found = exact or [each for each in self.entries if each.alias.lower() == alias.lower()]
        if not found:
            names = ", ".join(repr(each.alias) for each in self.entries[:_MOST_NAMED]) or "nothing"
            more = ", …" if len(self.entries) > _MOST_NAMED else ""
            raise StoreRefused(f"there is no entry {alias!r}", next_step=f"it has {names}{more}")
        if len(found) > 1:
            raise StoreRefused(f"{len(found)} entries are called {alias!r}, so it is not clear which one is meant")
        return found[0]

    def rename(self, names: Sequence[tuple[str, str]]) -> Contents:
        """Each old name becomes the new one, all at once: two may be exchanged. No two may then be the same."""
        new = _each_once((id(self.find(old)), name) for old, name in names)
        if any(not name for name in new.values()):
            raise StoreRefused("an alias has at least one letter")
        entries = tuple(replace(each, alias=new.get(id(each), each.alias)) for each in self.entries)
        changed = {each.alias: new[id(each)] for each in self.entries if id(each) in new}
        own = {changed.get(alias, alias): key for alias, key in self.own.items()}
        _refuse_same(entries, [name for _, name in names])
        return replace(self, entries=entries, own=own)

    def remove(self, aliases: Iterable[str]) -> Contents:
        """Without these."""
        gone = [self.find(alias) for alias in aliases]
        return self._only([each for each in self.entries if not any(each is one for one in gone)])

    def pick(self, aliases: Iterable[str]) -> Contents:
        """Only these, in the order in which they are named."""
        return self._only(list({id(found): found for found in map(self.find, aliases)}.values()))

    def take(self, other: Contents, *, replacing: bool = False) -> Contents:
        """These and those of another store. An alias that is there is refused, or its entry gives way."""
        theirs = {each.alias.lower() for each in other.entries}
        taken = [each for each in self.entries if each.alias.lower() in theirs]
        if taken and not replacing:
            raise StoreRefused(
                f"it has an entry {taken[0].alias!r} already",
                next_step="take it in under another name, or let it be replaced with --force",
            )
        kept = self._only([each for each in self.entries if each.alias.lower() not in theirs])
        both = (*kept.entries, *other.entries)
        _refuse_same(both, [each.alias for each in other.entries])
        return replace(kept, entries=both, own={**kept.own, **other.own})

    def fit(self, kind: StoreKind, *, lossy: bool) -> tuple[Contents, list[str]]:
        """What a format can hold of it, and what a person should know of that, a line each.

        Raises `StoreRefused` for a format that is not written, and for any loss unless it is `lossy`.
        """
        if kind not in WRITTEN:
            raise StoreRefused(
                f"{kind.upper()} is read here and not written",
                next_step="handsel cert store convert makes PKCS12 of it, which Java reads too",
            )
        losses = [*(f"{each.alias!r} is left out: {why}" for each in self.entries if (why := _no_place(kind, each)))]
        losses += [*self._told_in_none_of(kind), *self.unread]
        if losses and not lossy:
            more = f" (and {len(losses) - 1} more)" if len(losses) > 1 else ""
            raise StoreRefused(
                f"something would be lost: {losses[0]}{more}",
                next_step="--lossy does it all the same; with --dry-run it shows all that is lost",
            )
        kept = self._only([each for each in self.entries if not _no_place(kind, each)])
        own = {} if kind is StoreKind.PKCS12 else kept.own
        return replace(kept, own=own), [*losses, *self._changed_in(kind)]

    def _told_in_none_of(self, kind: StoreKind) -> Iterator[str]:
        """What a format cannot say about entries that it holds."""
        keys = [each for each in self.entries if isinstance(each, KeyEntry)]
        if kind is StoreKind.PKCS12:
            yield from (f"the key of {alias!r} loses its own password: PKCS12 has one for all" for alias in self.own)
        if kind is StoreKind.PEM and len(keys) > 1:
            yield f"{len(keys)} keys: PEM does not say which chain is whose, and programs take the first key"
        if kind is StoreKind.PEM and keys and any(isinstance(each, TrustedEntry) for each in self.entries):
            yield "that certificates are trusted: in PEM they lie beside the key's chain"

    def _changed_in(self, kind: StoreKind) -> Iterator[str]:
        """What is another afterwards, and nobody misses."""
        if kind is StoreKind.PEM and self.entries:
            yield "PEM has no aliases: entries are called by their certificates; text around them is not kept"
        if kind is StoreKind.JKS:
            yield from (
                f"{each.alias!r} is written in small letters, as Java does"
                for each in self.entries
                if each.alias != each.alias.lower()
            )

    def unlocked(self, option: str = "--key-password-file") -> Contents:
        """Itself, when every key is open. Raises `KeyPasswordWrong`: a shut key cannot be written again.

        `option`: names the file with the password.
        """
        for each in self.entries:
            if not isinstance(each, TrustedEntry) and each.key is None:
                raise KeyPasswordWrong(
                    f"the key of {each.alias!r} is locked: {each.locked or 'it did not open'}",
                    next_step=f"name the file with its password: {option}",
                )
        return self

    def _only(self, entries: Sequence[Entry]) -> Contents:
        aliases = {each.alias for each in entries}
        own = {alias: key for alias, key in self.own.items() if alias in aliases}
        return replace(self, entries=tuple(entries), own=own)


def _refuse_same(entries: Sequence[Entry], aliases: Iterable[str]) -> None:
    """Raises `StoreRefused` when one of these aliases is there more than once."""
    counts = Counter(each.alias.lower() for each in entries)
    for alias in aliases:
        if counts[alias.lower()] > 1:
            raise StoreRefused(f"two entries would be called {alias!r}; case does not count")


def _each_once(pairs: Iterable[tuple[int, str]]) -> dict[int, str]:
    found: dict[int, str] = {}
    for key, name in pairs:
        if key in found:
            raise StoreRefused(f"an entry cannot be called both {found[key]!r} and {name!r}")
        found[key] = name
    return found


def _no_place(kind: StoreKind, entry: Entry) -> str:
    """Why a format cannot hold an entry; empty when it can."""
    if isinstance(entry, SecretEntry) and kind is not StoreKind.PKCS12:
        return f"{kind.upper()} holds no secret keys"
    if isinstance(entry, KeyEntry) and not entry.chain and kind is StoreKind.JKS:
        return "JKS holds no key without a certificate"
    return ""
