"""Key stores as files: opened with the passwords that a person names, changed, written whole or not at all.

A password comes from a file, from a variable or from a person at a terminal; never from the command line, which
everybody on the machine can read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from handsel.errors import (
    Bug,
    HandselError,
    KeyPasswordWrong,
    StorePasswordWrong,
    StoreRefused,
    StoreUnreadable,
    UsageError,
)
from handsel.pki.inspect import printable
from handsel.pki.keystore import jks, pem, pkcs12
from handsel.pki.keystore.edit import Contents
from handsel.pki.keystore.formats import read
from handsel.pki.keystore.model import LARGEST, Entry, Integrity, KeyEntry, Passwords, Store, StoreKind, TrustedEntry
from handsel.pki.secret import Secret
from handsel.store.adapters.files import read_password, write_file

VARIABLE = "HANDSEL_STORE_PASSWORD"
_LONGEST_LINE = 500
"""Of an error: it may quote an alias, which may have 64 KiB."""
_WRITERS: Mapping[StoreKind, Callable[[Sequence[Entry], Passwords, datetime], bytes]] = {
    StoreKind.JKS: jks.write,
    StoreKind.PKCS12: lambda entries, passwords, _: pkcs12.write(entries, passwords),
    StoreKind.PEM: lambda entries, passwords, _: pem.write(entries, passwords),
}


class Ask(Protocol):
    """Asks a person for a password, without showing it; `twice` for a new one."""

    def __call__(self, what: str, *, twice: bool = False) -> Secret: ...


@dataclass(frozen=True)
class Subject:
    """A store that a person named, and where its passwords are.

    `ask` None: there is nobody at a terminal. `option`: what names the file with the store's password.
    """

    file: Path
    password_file: Path | None = None
    key_password_file: Path | None = None
    ask: Ask | None = None
    option: str = "--password-file"

    def password(self) -> Secret | None:
        """The store's, as far as nobody has to be asked: from its file, else from the variable."""
        if self.password_file is not None:
            return password_in(self.password_file)
        return _as_text(Secret(os.environb[VARIABLE.encode()]), VARIABLE) if VARIABLE in os.environ else None


@dataclass(frozen=True)
class Opened:
    """A store, and the passwords that opened it."""

    store: Store
    passwords: Passwords

    @property
    def contents(self) -> Contents:
        return Contents.of(self.store, self.passwords)


@dataclass(frozen=True)
class Target:
    """Where a store is written. `force`: what is there is replaced. `dry_run`: everything is done but the writing."""

    file: Path
    kind: StoreKind
    force: bool = False
    dry_run: bool = False


# Opening


def password_in(file: Path) -> Secret:
    """The password in a private file: its first line, UTF-8. Raises `UsageError`."""
    return _as_text(read_password(file), str(file))


def _as_text(password: Secret, name: str) -> Secret:
    try:
        password.reveal().decode()
    except UnicodeDecodeError:
        raise UsageError(f"the password in {name} is not UTF-8") from None
    return password


def content_of(file: Path) -> bytes:
    """The bytes, at most one more than any store has. Raises `UsageError`."""
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero in it
        raise UsageError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def is_read_by_others(file: Path) -> bool:
    """Whether users other than its owner may read it."""
    try:
        return bool(file.stat().st_mode & 0o077)
    except OSError:
        return False


def who_could_read(file: Path) -> list[str]:
    """What a person should know when a file that others used becomes one of its writer alone: a line, or none."""
    status = file.stat()
    if status.st_uid == os.geteuid() and not status.st_mode & 0o077:
        return []
    was = f"mode {status.st_mode & 0o777:03o}, owner {status.st_uid}, group {status.st_gid}"
    return [f"it had {was}; now only who runs this can read it (600)"]


def open_store(subject: Subject, *, whole: bool) -> Opened:
    """A store. `whole`: with its integrity checked and its keys open as far as the passwords go, for what writes it.

    Without `whole`, what needs no password is read without one. Raises `UsageError`, `StoreUnreadable`, `StoreRefused`,
    `StorePasswordWrong`.
    """
    return open_content(content_of(subject.file), subject, whole=whole)


def open_content(content: bytes, subject: Subject, *, whole: bool) -> Opened:
    """The same of bytes that are here already."""
    key = password_in(subject.key_password_file) if subject.key_password_file else None
    passwords = Passwords(subject.password(), key)
    with naming(subject.file, subject.option):
        try:
            store = read(content, passwords)
            is_wanted = whole or (subject.ask is not None and store.kind is StoreKind.PKCS12)
            is_missing = is_wanted and passwords.store is None and _is_shut(store)
        except StorePasswordWrong:
            if passwords.store is not None:
                raise
            is_missing = True
        if is_missing:
            if subject.ask is None:
                raise StorePasswordWrong("it needs a password")
            passwords = replace(passwords, store=subject.ask(f"Password of {subject.file}"))
            store = read(content, passwords)
        return _with_either_password(content, store, passwords)


def _is_shut(store: Store) -> bool:
    return store.integrity is Integrity.NOT_CHECKED or any(True for _ in _shut(store))


def _shut(store: Store) -> Iterator[str]:
    """The aliases of keys that did not open."""
    return (each.alias for each in store.entries if not isinstance(each, TrustedEntry) and each.key is None)


def _with_either_password(content: bytes, store: Store, passwords: Passwords) -> Opened:
    """Keys that the one password for keys leaves shut may have the store's."""
    shut = list(_shut(store))
    if shut and passwords.key is not None and passwords.store is not None:
        other = replace(passwords, by_alias=dict.fromkeys(shut, passwords.store))
        return Opened(read(content, other), other)
    return Opened(store, passwords)


@contextlib.contextmanager
def naming(file: Path, option: str = "--password-file") -> Iterator[None]:
    """Errors about a store, with the file's name and what to do. `option`: names the file with the password."""
    try:
        yield
    except StorePasswordWrong as error:
        step = error.next_step or f"name the file with its password ({option}), or set {VARIABLE}"
        raise _named(error, file, step) from error
    except (StoreUnreadable, StoreRefused, KeyPasswordWrong) as error:
        raise _named(error, file, error.next_step) from error


def _named(error: HandselError, file: Path, next_step: str) -> HandselError:
    return type(error)(
        f"{file}: {printable(str(error))[:_LONGEST_LINE]}", next_step=printable(next_step)[:_LONGEST_LINE]
    )


# Writing


def new_password(file: Path | None, ask: Ask | None, name: Path) -> Secret:
    """For a store that is written. Raises `UsageError` when there is none."""
    if file is not None:
        return password_in(file)
    if ask is not None:
        return ask(f"New password of {name}", twice=True)
    raise UsageError(f"{name} needs a password", next_step="name a file with it: --new-password-file")


def check_free(target: Target) -> None:
    """Raises `UsageError` when something is there that must not be replaced."""
    try:
        is_there, is_file = target.file.exists(), target.file.is_file()
    except OSError as error:
        raise UsageError(f"{target.file} cannot be written: {error.strerror}") from error
    if is_there and not is_file:
        raise UsageError(f"{target.file} is no ordinary file", next_step="name another one")
    if is_there and not target.force:
        raise UsageError(f"{target.file} is there already", next_step="name a new file, or replace it with --force")


def write_store(target: Target, contents: Contents, password: Secret | None, now: datetime) -> None:
    """A store of these contents, of mode 0600, whole or not at all. It is read back before anything is replaced.

    Raises `StoreRefused`, `KeyPasswordWrong`, `StorePasswordWrong`, `UsageError`.
    """
    check_free(target)
    if target.kind is StoreKind.PEM and not contents.entries:
        raise UsageError(f"there is nothing to write to {target.file}: PEM without anything is an empty file")
    passwords = Passwords(password, by_alias=contents.own)
    with naming(target.file):
        content = _WRITERS[target.kind](contents.unlocked().entries, passwords, now)
        lower = {alias.lower(): key for alias, key in contents.own.items()}
        again = read(content, replace(passwords, by_alias={**lower, **contents.own}))
    if _essence(again.entries) != _essence(contents.entries):
        raise Bug(f"the store for {target.file} does not hold what it should; nothing was written")
    if not target.dry_run:
        try:
            write_file(target.file.resolve(), content)
        except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"{target.file} cannot be written: {why}") from error


def _essence(entries: Sequence[Entry]) -> tuple[list[bytes], list[bytes]]:
    """The keys and the certificates, however a format orders and names them."""
    keys: list[bytes] = []
    certificates: set[bytes] = set()
    for each in entries:
        if not isinstance(each, TrustedEntry) and each.key is not None:
            keys.append(each.key.pkcs8.reveal() if isinstance(each, KeyEntry) else each.key.reveal())
        if isinstance(each, KeyEntry):
            certificates.update(one.der for one in each.chain)
        if isinstance(each, TrustedEntry):
            certificates.add(each.certificate.der)
    return sorted(keys), sorted(certificates)
