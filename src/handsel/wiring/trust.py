"""Roots in the stores that a machine has: find the stores, put roots in, take out exactly what was put in."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from handsel.errors import StateError, UsageError
from handsel.pki.certificate import Certificate, parse_pem
from handsel.pki.secret import Secret
from handsel.store.adapters.files import read_password
from handsel.wiring.ca import read_bundle
from handsel.wiring.trust_stores import DebianStore, Entry, JavaStore, NssStore, RedHatStore, Store, make_nss_database

KINDS = ("system", "java", "nss")
_JAVA_PASSWORD = Secret(b"changeit")  # what every JDK comes with
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
    java_password: Secret = _JAVA_PASSWORD
    nss_database: Path | None = None
    nss_password_file: Path | None = None
    create_nss: bool = False


@dataclass(frozen=True)
class Line:
    """What there is to say about one root in one store.

    `state`: `trusted`, `absent`, `other` (trusted under a name that somebody else gave), `former` (of this trust
    domain, and not among the roots), `missing` (there is no such store), `failed`. `did`: what was done, or would be.
    """

    store: str
    place: str
    root: str
    state: str
    did: str
    next_step: str = ""


_Act = Callable[[Store, Certificate, str, list[Entry]], tuple[str, str]]
"""What is done for one root: the store, the root, its name there, what the store holds. Returns `state` and `did`."""


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


def java_password(file: Path | None, variable: str | None) -> Secret:
    """The password of Java's store: in a private file, else in a variable, else Java's own. Raises `UsageError`."""
    if file is not None:
        return read_password(file)
    return Secret(os.fsencode(variable)) if variable else _JAVA_PASSWORD


def name_of(root: Certificate) -> str:
    """What a root is called in every store: its trust domain and the first 64 bits of its fingerprint."""
    return f"{_prefix(root)}{root.fingerprint[:16]}"


def _prefix(root: Certificate) -> str:
    domain = str(root.spiffe_id.trust_domain) if root.spiffe_id else re.sub(r"[^a-z0-9]+", "-", root.subject.lower())
    return f"handsel-{domain[:_LONGEST_DOMAIN]}-"


def install(roots: Sequence[Certificate], wanted: Wanted, *, dry_run: bool) -> list[Line]:
    """Each root in each store that is not trusted there yet. A failure is a line, and the others go on."""
    told: list[Line] = []
    for store in find(wanted, dry_run=dry_run):
        told += [store] if isinstance(store, Line) else _each(store, roots, partial(_install, dry_run=dry_run))
    return told


def uninstall(roots: Sequence[Certificate], wanted: Wanted, *, former: bool, dry_run: bool) -> list[Line]:
    """What `install` put in for these roots, and with `former` for those that the trust domain had before."""
    told: list[Line] = []
    for store in find(wanted, dry_run=True):
        if isinstance(store, Line):
            told.append(store)
            continue
        told += _each(store, roots, partial(_uninstall, dry_run=dry_run))
        if former:
            told += _formers(store, roots, take=True, dry_run=dry_run)
    return told


def status(roots: Sequence[Certificate], wanted: Wanted) -> list[Line]:
    """Where each root is, and where not; and which of the trust domain's former roots are still there."""
    told: list[Line] = []
    for store in find(wanted, dry_run=True):
        if isinstance(store, Line):
            told.append(store)
            continue
        told += _each(store, roots, lambda _store, root, name, held: (_state(root, name, held), _as(root, name, held)))
        told += _formers(store, roots, take=False, dry_run=True)
    return told


def find(wanted: Wanted, *, dry_run: bool) -> Iterator[Store | Line]:
    """The stores that are meant, or why one cannot be used. A database of NSS is made when that was asked for."""
    if "system" in wanted.kinds:
        yield _system(wanted)
    if "java" in wanted.kinds:
        yield _java(wanted)
    if "nss" in wanted.kinds:
        yield from _nss(wanted, dry_run=dry_run)


def _system(wanted: Wanted) -> Store | Line:
    debian, red_hat = _tool("update-ca-certificates"), _tool("update-ca-trust")
    if debian and wanted.anchors and wanted.certificates:
        nowhere = wanted.anchors / "no-hooks"  # other packages' hooks are about the system's own folders
        return DebianStore(debian, wanted.anchors.absolute(), wanted.certificates.absolute(), nowhere.absolute())
    if debian:
        return DebianStore(debian)
    if red_hat and wanted.anchors:
        return _without(wanted, "system", str(wanted.anchors), "update-ca-trust has only the system's own folders")
    if red_hat:
        return RedHatStore(red_hat)
    neither = "neither update-ca-certificates nor update-ca-trust is here"
    return _without(wanted, "system", "", neither, "apt or dnf install ca-certificates")


def _java(wanted: Wanted) -> Store | Line:
    keytool = _tool("keytool")
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "keytool").exists():
        keytool = str(Path(home) / "bin" / "keytool")
    if wanted.java_keystore:
        places = [wanted.java_keystore]
    else:
        java = _tool("java") or keytool
        homes = [Path(home)] if home else [Path(java).resolve().parent.parent] if java else []
        places = [each / "lib/security/cacerts" for folder in homes for each in (folder, folder / "jre")]
    place = next((each for each in places if each.is_file()), None)
    if place is None:
        why = f"there is no {places[0]}" if places else "no Java is here"
        return _without(wanted, "java", str(wanted.java_keystore or ""), why, "name the store with --java-keystore")
    if keytool is None:
        return _failure("java", str(place), "", "keytool is not here", "apt install default-jre-headless")
    return JavaStore(keytool, place.absolute(), wanted.java_password)


def _nss(wanted: Wanted, *, dry_run: bool) -> Iterator[Store | Line]:
    home = Path.home()
    usual = wanted.nss_database or home / ".pki" / "nssdb"
    firefox = [] if wanted.nss_database else sorted(each for at in _FIREFOX for each in (home / at).glob("*"))
    folders = [each.absolute() for each in (usual, *firefox) if (each / "cert9.db").is_file()]
    certutil = _tool("certutil")
    create = wanted.create_nss and usual.absolute() not in folders
    if not folders and not create:
        yield _without(
            wanted, "nss", str(wanted.nss_database or ""), "no database is here", "install --create-nss makes one"
        )
    elif certutil is None:
        yield _failure("nss", str(folders[0] if folders else usual), "", "certutil is not here",
                       "apt install libnss3-tools, or dnf install nss-tools")  # fmt: skip
    else:
        if create and dry_run:
            yield Line("nss", str(usual.absolute()), "", "missing", "the database would be made")
        elif create:
            try:
                make_nss_database(certutil, usual.absolute())
                folders.insert(0, usual.absolute())
            except StateError as error:
                yield _failure("nss", str(usual), "", str(error), error.next_step)
        yield from (NssStore(certutil, folder, wanted.nss_password_file) for folder in folders)


def _tool(name: str) -> str | None:
    """A tool of the system, also where only root's PATH leads."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))


def _without(wanted: Wanted, kind: str, place: str, why: str, next_step: str = "") -> Line:
    """There is no such store: a failure only when this very one was asked for."""
    asked = wanted.kinds == (kind,) or bool(place)
    return Line(kind, place, "", "failed" if asked else "missing", why, next_step)


def _failure(kind: str, place: str, root: str, why: str, next_step: str) -> Line:
    return Line(kind, place, root, "failed", why, next_step)


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
            yield _failure(store.kind, str(store.place), name, str(error), error.next_step)


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
        store.take(name)
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
    """Under which name it is there, when not under ours: a hook fills Debian's cacerts from the system's store."""
    if _state(root, name, held) != "other":
        return ""
    names = [entry.name for entry in held if entry.trusted and entry.fingerprint == root.fingerprint]
    by = "by the system's store" if name in names[0] else "which was not put in here"
    return f"is there as {names[0]}, {by}"


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
            yield _failure(store.kind, str(store.place), entry.name, str(error), error.next_step)
