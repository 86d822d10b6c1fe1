"""The stories of secrets: put, grant, take back, delete. Plain and synchronous."""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from handsel.errors import SecretMissing, SecretRefused
from handsel.model.context import Contexts
from handsel.model.secret import SECRET_NAME, Declared, group_of, unit_of
from handsel.pki.secret import Secret
from handsel.secrets import checks, envelope
from handsel.secrets.checks import Beside
from handsel.secrets.envelope import KeyEncryptionKey, Random
from handsel.secrets.model import (
    KEPT,
    LARGEST,
    MOST_KEPT,
    Deleted,
    Entry,
    Grant,
    Granted,
    GrantTaken,
    Kind,
    Version,
    VersionPut,
)
from handsel.store.journal import JournalEntry, entry
from handsel.store.outcome import Outcome

LENGTHS = range(12, 1025)
"""Characters of a password that is made here."""
DEFAULT_LENGTH = 32
_ALPHABET = string.ascii_letters + string.digits + "-_"  # 64 characters: a byte gives one without any bias
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}=[A-Za-z0-9._/:@ -]{0,253}")
_MOST_LABELS = 50
_MOST_AT_ONCE = 50


@dataclass(frozen=True)
class Wish:
    """One secret that somebody puts. What is None stays as it was, or is the usual.

    `value` None: a password is made, `length` characters long. `password`: of a key store or trust store.
    """

    name: str
    value: Secret | None
    kind: Kind | None = None
    length: int = DEFAULT_LENGTH
    expires: timedelta | None = None
    labels: Mapping[str, str] | None = None
    keep: int | None = None
    password: Secret | None = None


@dataclass(frozen=True)
class Known:
    """What is there already: the secrets, the contexts and the secrets of the mesh file."""

    entries: Mapping[str, Entry]
    contexts: Contexts = field(default_factory=dict)
    declared: Declared = field(default_factory=dict)


def put(
    wishes: Sequence[Wish], known: Known, kek: KeyEncryptionKey, *, by: str, now: datetime, random: Random,
    must_exist: bool = False,
) -> Outcome[list[Version]]:  # fmt: skip
    """New versions of secrets, all of them or none. Secrets that are not there are made, unless they `must_exist`.

    Raises `SecretRefused`, `SecretMissing`, `StateError`, or the error of a key store.
    """
    values = [_value(wish, random) for wish in wishes]
    if sum(len(value.reveal()) for value in values) > LARGEST:
        raise SecretRefused(f"what is put at once has at most {LARGEST >> 20} MiB")
    if len(wishes) > _MOST_AT_ONCE or len({wish.name for wish in wishes}) < len(wishes):
        raise SecretRefused(f"at most {_MOST_AT_ONCE} secrets are put at once, each once")
    names = {*known.entries, *(wish.name for wish in wishes)}
    writes: list[VersionPut | JournalEntry] = []
    versions = []
    for wish, value in zip(wishes, values, strict=True):
        check_name(wish.name, names)
        before = known.entries.get(wish.name)
        if before is None and must_exist:
            raise missing(wish.name, known.entries)
        after = _entry(wish, before, by, now)
        found = checks.check(wish.name, after.kind, value, Beside(wish.password, known.contexts, names))
        version = Version(
            wish.name, after.number, random(8).hex(), after.kind, len(value.reveal()),
            _expiry(wish, known.declared, found.ends, now), found.facts, now, by,
        )  # fmt: skip
        writes.append(VersionPut(after, version, envelope.seal(value, version, kek, random)))
        kind = "secret rotated" if must_exist else "secret put"
        writes.append(entry(kind, now, secret=wish.name, version=str(after.number), secret_kind=str(after.kind), by=by))
        versions.append(version)
    return Outcome(tuple(writes), versions)


def grant(name: str, grantee: str, known: Known, *, by: str, now: datetime) -> Outcome[Grant]:
    """Somebody gets a unit from now on. Whether there is such a service was looked at. Raises `SecretMissing`."""
    unit = unit_named(name, known.entries)
    given = Grant(unit, grantee, now, by)
    return Outcome((Granted(given), entry("secret granted", now, secret=unit, to=grantee, by=by)), given)


def take_back(
    name: str, grantee: str, known: Known, grants: Collection[Grant], *, by: str, now: datetime
) -> Outcome[str]:
    """Somebody does not get a unit any more. Raises `SecretRefused` when the mesh file grants it, or nobody does."""
    unit = unit_of(name)
    for each in known.declared.values():
        if each.unit == unit and grantee in each.grant:
            raise SecretRefused(
                f"{each.grant[grantee]} grants {unit} to {grantee}", next_step="take it out of the mesh file"
            )
    if (unit, grantee) not in {(each.unit, each.grantee) for each in grants}:
        raise SecretRefused(f"{unit} is not granted to {grantee}", next_step="see: handsel secret list -o yaml")
    return Outcome((GrantTaken(unit, grantee), entry("secret revoked", now, secret=unit, to=grantee, by=by)), unit)


def delete(name: str, known: Known, grants: Collection[Grant], *, by: str, now: datetime) -> Outcome[list[str]]:
    """A secret is gone, or a whole group; the last one of a unit takes its grants along. Raises `SecretMissing`."""
    names = [each for each in known.entries if each == name or group_of(each) == name]
    if not names:
        raise missing(name, known.entries)
    unit = unit_of(name)
    stays = any(unit_of(each) == unit for each in known.entries.keys() - set(names))
    ended = [] if stays else [GrantTaken(unit, each.grantee) for each in grants if each.unit == unit]
    lines = [entry("secret deleted", now, secret=each, by=by) for each in names]
    return Outcome((*(Deleted(each) for each in names), *ended, *lines), names)


def read(version: Version, *, by: str, now: datetime) -> Outcome[None]:
    """Somebody gets to see a value."""
    return Outcome((entry("secret read", now, secret=version.name, version=str(version.number), by=by),), None)


def check_name(name: str, names: Collection[str]) -> None:
    """Raises `SecretRefused` for what is no name, or would be a secret and a group at the same time."""
    if not SECRET_NAME.fullmatch(name):
        raise SecretRefused(
            f"{name[:60]!r} is no name of a secret",
            next_step="letters, digits, dots and dashes, at most 100, perhaps GROUP/ before it",
        )
    if group_of(name):
        if group_of(name) in names:
            raise SecretRefused(f"{group_of(name)} is a secret already, and no group")
    elif any(group_of(each) == name for each in names):
        raise SecretRefused(f"{name} is a group already", next_step=f"put it as {name}/NAME")


def unit_named(name: str, entries: Mapping[str, Entry]) -> str:
    """The unit of a secret, or of a group by its name. Raises `SecretMissing`."""
    if name in entries or any(group_of(each) == name for each in entries):
        return unit_of(name)
    raise missing(name, entries)


def missing(name: str, entries: Collection[str]) -> SecretMissing:
    near = [each for each in entries if name in each or each in name][:3]
    hint = f"did you mean {', '.join(near)}?" if near else "see: handsel secret list"
    return SecretMissing(f"there is no secret {name[:210]!r}", next_step=hint)


def read_labels(texts: Sequence[str]) -> dict[str, str]:
    """Labels as people write them, `key=value`. Raises `SecretRefused`."""
    for text in texts:
        if not _LABEL.fullmatch(text):
            raise SecretRefused(f"{text[:60]!r} is no label, as in team=payments")
    if len(texts) > _MOST_LABELS:
        raise SecretRefused(f"a secret has at most {_MOST_LABELS} labels")
    return {key: value for key, _, value in sorted(text.partition("=") for text in texts)}


def _value(wish: Wish, random: Random) -> Secret:
    if wish.value is not None:
        return wish.value
    if wish.length not in LENGTHS:
        raise SecretRefused(f"a password that is made here has {LENGTHS[0]} to {LENGTHS[-1]} characters")
    return Secret("".join(_ALPHABET[byte & 63] for byte in random(wish.length)).encode())


def _entry(wish: Wish, before: Entry | None, by: str, now: datetime) -> Entry:
    keep = wish.keep if wish.keep is not None else before.keep if before else KEPT
    if not 1 <= keep <= MOST_KEPT:
        raise SecretRefused(f"1 to {MOST_KEPT} versions are kept, not {keep}")
    labels = wish.labels if wish.labels is not None else before.labels if before else {}
    kind = wish.kind or (before.kind if before else Kind.PASSWORD if wish.value is None else Kind.OPAQUE)
    if before is not None and kind is not before.kind:
        raise SecretRefused(f"{wish.name} is {before.kind}, not {kind}", next_step="delete it first, or name another")
    if wish.value is None and kind is not Kind.PASSWORD:
        raise SecretRefused(f"{wish.name} is {kind}: only passwords are made here", next_step="give it: --file FILE")
    if before is None:
        return Entry(wish.name, kind, labels, keep, 1, now, by)
    return Entry(wish.name, kind, labels, keep, before.number + 1, before.created, before.created_by)


def _expiry(wish: Wish, declared: Declared, ends: datetime | None, now: datetime) -> datetime | None:
    """What somebody says, or else the mesh file; never later than the content's own end. Raises `SecretRefused`."""
    lifetime = wish.expires
    if lifetime is None and wish.name in declared:
        lifetime = declared[wish.name].expires
    if ends is not None and ends <= now:
        raise SecretRefused(f"{wish.name} has ended at {ends:%Y-%m-%d %H:%M} UTC")
    if lifetime is None:
        return ends
    try:
        until = now + lifetime
    except OverflowError:
        raise SecretRefused(f"{wish.name} would expire after the end of all time") from None
    if until <= now:
        raise SecretRefused(f"{wish.name} would be expired at once")
    return min(until, ends) if ends else until
