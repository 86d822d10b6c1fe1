"""What `handsel cert store` does, an act a function: open, decide, write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from handsel.errors import StoreRefused, UsageError
from handsel.pki.inspect import printable
from handsel.pki.keystore import assemble
from handsel.pki.keystore.edit import Contents
from handsel.pki.keystore.formats import detect, read
from handsel.pki.keystore.model import KeyEntry, Passwords, SecretEntry, StoreKind, TrustedEntry
from handsel.pki.keystore.report import StoreReport, report
from handsel.pki.secret import Secret
from handsel.wiring.stores import (
    VARIABLE,
    Ask,
    Opened,
    Subject,
    Target,
    check_free,
    content_of,
    is_read_by_others,
    naming,
    new_password,
    open_content,
    open_store,
    password_in,
    who_could_read,
    write_store,
)

PasswordOf = Callable[[Opened], Secret | None]
"""The password of what is written, by what was opened."""


@dataclass(frozen=True)
class Done:
    """What was written, or would be: where, in which format, the aliases. `notes`: what a person should know."""

    file: Path
    kind: StoreKind
    aliases: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pieces:
    """The PEM files of a new store. `key_password_file` is for the key in its file."""

    key: Path | None = None
    chain: Path | None = None
    trust: tuple[Path, ...] = ()
    alias: str = ""
    key_password_file: Path | None = None


def show(subject: Subject, now: datetime) -> StoreReport:
    """Everything there is to say about a store, as far as the passwords go."""
    return show_content(content_of(subject.file), subject, now, read_by_others=is_read_by_others(subject.file))


def show_content(content: bytes, subject: Subject, now: datetime, *, read_by_others: bool = False) -> StoreReport:
    """The same of bytes that are here already. `read_by_others`: users other than its owner may read the file."""
    found = report(open_content(content, subject, whole=False).store, now)
    if read_by_others and any(each.kind != "trusted" for each in found.entries):
        return replace(found, notes=(*found.notes, "it holds keys, and others may read it: chmod 600"))
    return found


def create(target: Target, pieces: Pieces, password_file: Path | None, ask: Ask | None, now: datetime) -> Done:
    """A new store. A PEM file gets a password only when one is named."""
    check_free(target)
    if pieces.key is None and not pieces.trust:
        raise UsageError("there is nothing to put in", next_step="name a key (--key), or certificates (--trust)")
    if pieces.chain is not None and pieces.key is None:
        raise UsageError("--chain is the chain of a key, and there is none", next_step="name it: --key")
    contents, notes = Contents(()), list[str]()
    if pieces.key is not None:
        entry, notes = _key_entry(pieces.key, pieces, ask)
        contents = Contents((entry,))
    for file in pieces.trust:
        with naming(file):
            found = assemble.certificates(_open_pem(Subject(file)).store)
            contents = contents.take(Contents(tuple(assemble.trusted(found, contents.entries))))
    password = _new_store_password(target, password_file, ask)
    write_store(target, contents, password, now)
    return _done(target, contents, notes)


def take_in(
    subject: Subject, other: Subject, names: Sequence[str], now: datetime, *, force: bool, dry_run: bool
) -> Done:
    """Entries of another store, all or those named as `ALIAS` or `ALIAS=NEW`, go into a store that is there."""
    mine, theirs = open_store(subject, whole=True), open_store(other, whole=True)
    with naming(other.file):
        taken = theirs.contents
        if names:
            pairs = [_pair(each) for each in names]
            taken = taken.pick(old for old, _ in pairs)
            taken = taken.rename([(old, new) for old, new in pairs if new != old])
        taken = Contents(taken.unlocked("--from-key-password-file").entries)  # its keys take this store's password
    with naming(subject.file):
        contents = mine.contents.take(taken, replacing=force)
    return _write_back(subject, mine, contents, mine.passwords.store, now, dry_run=dry_run)


def export(
    subject: Subject, aliases: Sequence[str], target: Target, password: PasswordOf, now: datetime, *, with_key: bool
) -> Done:
    """Certificates of entries as PEM, with their keys if that is wanted."""
    check_free(target)
    opened = open_store(subject, whole=with_key)
    with naming(subject.file):
        contents = opened.contents.pick(aliases)
        if with_key:
            contents = Contents(contents.unlocked().entries)
            if any(isinstance(each, SecretEntry) for each in contents.entries):
                raise StoreRefused("PEM holds no secret keys")
        else:
            contents = Contents(tuple(_only_certificates(contents)))
            if not contents.entries:
                raise StoreRefused("there is no certificate in what was named")
    write_store(target, contents, password(opened) if with_key else None, now)
    return _done(target, contents, [])


def convert(subject: Subject, target: Target, password: PasswordOf, now: datetime, *, lossy: bool) -> Done:
    """The whole store in another format."""
    check_free(target)
    opened = open_store(subject, whole=True)
    with naming(subject.file):
        contents, said = opened.contents.fit(target.kind, lossy=lossy)
        contents = contents.unlocked()
    write_store(target, contents, password(opened), now)
    return _done(target, contents, said)


def change_aliases(
    subject: Subject, renamed: Sequence[str], removed: Sequence[str], now: datetime, *, dry_run: bool
) -> Done:
    """Entries get other names (`OLD=NEW`), or go."""
    if not renamed and not removed:
        raise UsageError("there is nothing to do", next_step="--rename OLD=NEW, or --remove ALIAS")
    pairs = [_pair(each, wanted=True) for each in renamed]
    opened = open_store(subject, whole=True)
    with naming(subject.file):
        if pairs and opened.store.kind is StoreKind.PEM:
            raise StoreRefused(
                "PEM has no aliases", next_step="handsel cert store convert makes a format that has them"
            )
        contents = opened.contents.remove(removed).rename(pairs)
    return _write_back(subject, opened, contents, opened.passwords.store, now, dry_run=dry_run)


def change_password(subject: Subject, new_file: Path | None, now: datetime, *, dry_run: bool) -> Done:
    """The store's password, and that of the keys that had the same. Keys with their own keep it."""
    opened = open_store(subject, whole=True)
    if opened.store.kind is StoreKind.PEM and not opened.store.keys:
        raise StoreRefused(f"{subject.file}: there is no key in it, and nothing else in PEM has a password")
    password = new_password(new_file, subject.ask, subject.file)
    notes = [f"the key of {alias!r} keeps its own password" for alias in opened.contents.own]
    done = _write_back(subject, opened, opened.contents, password, now, dry_run=dry_run)
    return replace(done, notes=(*notes, *done.notes))


def password_of_output(target: Target, new_file: Path | None, ask: Ask | None, *, plain: bool) -> PasswordOf:
    """What keeps a store that is made of another: the new password, else the old one; none for `plain` keys in PEM."""
    if plain and (target.kind is not StoreKind.PEM or new_file is not None):
        raise UsageError("--plain is for keys in PEM that get no password")

    def choose(opened: Opened) -> Secret | None:
        if plain:
            return None
        if new_file is not None:
            return password_in(new_file)
        if opened.passwords.store is not None or target.kind is StoreKind.PEM:
            return opened.passwords.store
        return new_password(None, ask, target.file)

    return choose


def _key_entry(file: Path, pieces: Pieces, ask: Ask | None) -> tuple[KeyEntry, list[str]]:
    subject = Subject(file, pieces.key_password_file, ask=ask)
    store = _open_pem(subject).store
    beside = []
    if pieces.chain is not None:
        with naming(pieces.chain):
            beside = assemble.certificates(_open_pem(Subject(pieces.chain)).store)
    with naming(file):
        entry, rest = assemble.key_entry(store, beside, pieces.alias)
    left = f"{len(rest)} certificates beside the chain are left out: none of them signed it"
    return entry, [left] if rest else []


def _open_pem(subject: Subject) -> Opened:
    """A file of PEM. Its key may have a password, which is not the new store's: the variable is not asked."""
    password = password_in(subject.password_file) if subject.password_file else None
    content = content_of(subject.file)
    with naming(subject.file):
        if detect(content) is not StoreKind.PEM:
            raise StoreRefused(
                "PEM is expected here, and it is a key store",
                next_step="handsel cert store import takes entries of stores",
            )
        store = read(content, Passwords(password))
        if password is None and subject.ask and any(each.key is None for each in store.keys):
            password = subject.ask(f"Password of {subject.file}")
            store = read(content, Passwords(password))
    return Opened(store, Passwords(password))


def _new_store_password(target: Target, file: Path | None, ask: Ask | None) -> Secret | None:
    found = Subject(target.file, file).password()
    if found is not None or target.kind is StoreKind.PEM:
        return found
    if ask is None:
        raise UsageError(f"{target.file} needs a password", next_step=f"--password-file FILE, or set {VARIABLE}")
    return ask(f"New password of {target.file}", twice=True)


def _pair(text: str, *, wanted: bool = False) -> tuple[str, str]:
    """`OLD=NEW`; without a new name the old one stays."""
    old, equals, new = text.partition("=")
    if not old or (equals and not new) or (wanted and not equals):
        raise UsageError(f"{printable(text[:80])!r} is not written as OLD=NEW")
    return old, new or old


def _only_certificates(contents: Contents) -> Iterator[TrustedEntry]:
    for each in contents.entries:
        if isinstance(each, KeyEntry):
            yield from (TrustedEntry(each.alias, one) for one in each.chain)
        elif isinstance(each, TrustedEntry):
            yield each


def _write_back(
    subject: Subject, opened: Opened, contents: Contents, password: Secret | None, now: datetime, *, dry_run: bool
) -> Done:
    """The store itself, changed: in its own format."""
    with naming(subject.file):
        contents, said = _as_before(contents, opened.store.kind)
    target = Target(subject.file, opened.store.kind, force=True, dry_run=dry_run)
    said += who_could_read(subject.file)
    write_store(target, contents, password, now)
    return _done(target, contents, said)


def _as_before(contents: Contents, kind: StoreKind) -> tuple[Contents, list[str]]:
    """A format holds what it held; but what is not read of a file would be gone. Raises `StoreRefused`."""
    if contents.unread:
        raise StoreRefused(
            f"something would be lost: {contents.unread[0]}", next_step="convert it to a new file, --lossy"
        )
    return contents.fit(kind, lossy=kind is StoreKind.PEM)


def _done(target: Target, contents: Contents, notes: Sequence[str]) -> Done:
    return Done(target.file, target.kind, tuple(each.alias for each in contents.entries), tuple(notes))
