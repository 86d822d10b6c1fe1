"""Roots in the stores that a machine has: find the stores, put roots in, take out exactly what was put in."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handsel.errors import StateError, UsageError
from handsel.pki.certificate import Certificate, parse_pem
from handsel.store.adapters.backup import read_password
from handsel.wiring.ca import read_bundle
from handsel.wiring.trust_stores import DebianStore, Entry, JavaStore, NssStore, RedHatStore, Store, make_nss_database

KINDS = ("system", "java", "nss")
_JAVA_PASSWORD = "changeit"  # noqa: S105  # what every JDK comes with
_LARGEST_FILE = 1 << 20
_MOST_ROOTS = 32
_LONGEST_DOMAIN = 100
"""Of the trust domain in a name: a file's name ends at 255 bytes."""
_FIREFOX = (".mozilla/firefox", ".config/mozilla/firefox", "snap/firefox/common/.mozilla/firefox",
            ".var/app/org.mozilla.firefox/.mozilla/firefox")  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """Which stores are meant. What is None is looked for where it usually is."""

    kinds: tuple[str, ...] = KINDS
    anchors: Path | None = None
    """The system's folder for roots that an administrator adds, and the one that its tool makes of them."""
    certificates: Path | None = None
    java_keystore: Path | None = None
    java_password: str = _JAVA_PASSWORD
    nss_database: Path | None = None
    nss_password_file: Path | None = None
    create_nss: bool = False


@dataclass(frozen=True)
class Line:
    """What there is to say about one root in one store.

    `state`: `trusted`, `absent`, `other` (trusted under a name that somebody else gave), `former` (of this trust domain,
    and not among the roots), `missing` (there is no such store), `failed`. `did`: what was done, or would be.
    """

    store: str
    place: str
    root: str
    state: str
    did: str
    next_step: str = ""


def read_roots(file: Path | None, state: Path | None) -> tuple[Certificate, ...]:
    """The roots in a PEM file, else of the authority with this state folder. Raises `UsageError` or `StateError`."""
    if file is None:
        return parse_pem(read_bundle(state)) if state else ()
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_FILE + 1)
        roots = tuple(dict.fromkeys(parse_pem(content)))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{file} holds no certificates that can be read, as PEM") from error
    if len(content) > _LARGEST_FILE or len(roots) > _MOST_ROOTS:
        raise UsageError(f"{file} is too large: at most {_MOST_ROOTS} roots can be given")
    for root in roots:
        if not root.is_ca:
            raise UsageError(f"{file} has '{root.subject}' in it, which is no CA")
    return roots


def name_of(root: Certificate) -> str:
    """What a root is called in every store: its trust domain and the first 64 bits of its fingerprint."""
    return f"{_prefix(root)}{root.fingerprint[:16]}"


def _prefix(root: Certificate) -> str:
    domain = str(root.spiffe_id.trust_domain) if root.spiffe_id else re.sub(r"[^a-z0-9]+", "-", root.subject.lower())
    return f"handsel-{domain[:_LONGEST_DOMAIN]}-"


def install(roots: Sequence[Certificate], wanted: Wanted, *, dry_run: bool) -> list[Line]:
    """Each root in each store that is not trusted there yet. What fails in one store is a line, and the others go on."""
    told = []
    for store in find(wanted, dry_run=dry_run):
        told += [store] if isinstance(store, Line) else _each(store, roots, lambda *it: _install(*it, dry_run=dry_run))
    return told


def uninstall(roots: Sequence[Certificate], wanted: Wanted, *, former: bool, dry_run: bool) -> list[Line]:
    """What `install` put in for these roots, and with `former` for those that the trust domain had before."""
    told = []
    for store in find(wanted, dry_run=True):
        if isinstance(store, Line):
            told.append(store)
            continue
        told += _each(store, roots, lambda *it: _uninstall(*it, dry_run=dry_run))
        if former:
            told += _formers(store, roots, take=True, dry_run=dry_run)
    return told


def status(roots: Sequence[Certificate], wanted: Wanted) -> list[Line]:
    """Where each root is, and where not; and which of the trust domain's former roots are still there."""
    told = []
    for store in find(wanted, dry_run=True):
        if isinstance(store, Line):
            told.append(store)
            continue
        told += _each(store, roots, lambda store, root, name, held: (_state(root, name, held), _as(root, name, held)))
        told += _formers(store, roots, take=False, dry_run=True)
    return told


def _each(store: Store, roots: Sequence[Certificate], act: _Act) -> Iterator[Line]:
    for root in roots:
        name = name_of(root)
        try:
            held = store.entries()
            if any(entry.name == name and entry.fingerprint != root.fingerprint for entry in held):
                raise StateError(f"{name} is another certificate there, and was left alone")
            state, did = act(store, root, name, held)
            yield Line(store.kind, str(store.place), name, state, did)
        except StateError as error:
            yield _failed(store.kind, str(store.place), name, error)


def _install(store: Store, root: Certificate, name: str, held: list[Entry], *, dry_run: bool) -> tuple[str, str]:
    state = _state(root, name, held)
    if state != "absent":
        return state, _as(root, name, held) or "was there already"
    if dry_run:
        return state, "would be installed"
    if any(entry.name == name for entry in held):  # there, but not trusted
        store.take(name)
    store.put(name, root)
    if not any(entry == Entry(name, root.fingerprint, trusted=True) for entry in store.entries()):
        raise StateError(f"the tool of this store said nothing, but {name} is not trusted there")
    return "trusted", "installed"


def _uninstall(store: Store, root: Certificate, name: str, held: list[Entry], *, dry_run: bool) -> tuple[str, str]:
    state = _state(root, name, held)
    if all(entry.name != name for entry in held):
        return state, _as(root, name, held) or "was not there"
    if dry_run:
        return state, "would be taken out"
    store.take(name)
    left = store.entries()
    return _state(root, name, left), _as(root, name, left) or "taken out"


def _state(root: Certificate, name: str, held: list[Entry]) -> str:
    trusted = {entry.name for entry in held if entry.trusted and entry.fingerprint == root.fingerprint}
    return "trusted" if name in trusted else "other" if trusted else "absent"


def _as(root: Certificate, name: str, held: list[Entry]) -> str:
    """Under which name somebody else put it in, when it is not there under ours."""
    if _state(root, name, held) != "other":
        return ""
    names = [entry.name for entry in held if entry.trusted and entry.fingerprint == root.fingerprint]
    return f"is there as {names[0]}, which was not put in here"


def _formers(store: Store, roots: Sequence[Certificate], *, take: bool, dry_run: bool) -> Iterator[Line]:
    """Roots under a name that only `install` gives for this trust domain, and that are not among `roots`."""
    known, prefixes = {root.fingerprint for root in roots}, {_prefix(root) for root in roots}
    try:
        held = [entry for entry in store.entries() if entry.fingerprint not in known]
    except StateError:
        return  # its line says so already
    for entry in held:
        if not any(entry.name == f"{prefix}{entry.fingerprint[:16]}" for prefix in prefixes):
            continue
        try:
            if take and not dry_run:
                store.take(entry.name)
            did = "a former root" if not take else "would be taken out" if dry_run else "taken out"
            state = "former" if dry_run or not take else "absent"
            yield Line(store.kind, str(store.place), entry.name, state, did)
        except StateError as error:
            yield _failed(store.kind, str(store.place), entry.name, error)
