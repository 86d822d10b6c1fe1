"""Secrets of this host's services: which ones should be here now, given what the server said and what is held."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from handsel.link.secrets import MOST_AT_ONCE, SecretRef, SecretRefs
from handsel.model.secret import unit_of

Key = tuple[str, str, str]
"""Service, name and version of a value."""
Unit = tuple[str, str]
"""Service, and a group or a secret without one: what is whole on the host or not there."""


def key_of(ref: SecretRef) -> Key:
    return ref.service, ref.name, ref.version


def unit_on_host(ref: SecretRef) -> Unit:
    return ref.service, unit_of(ref.name)


def living(refs: Iterable[SecretRef], now: datetime) -> list[SecretRef]:
    """What has not expired: from that moment on it is taken away, also when the server is away."""
    return [ref for ref in refs if ref.expires is None or ref.expires > now]


def by_unit(refs: Iterable[SecretRef]) -> dict[Unit, tuple[SecretRef, ...]]:
    found: dict[Unit, tuple[SecretRef, ...]] = {}
    for ref in refs:
        found[unit_on_host(ref)] = (*found.get(unit_on_host(ref), ()), ref)
    return found


def target(
    wanted: Sequence[SecretRef], placed: Sequence[SecretRef], held: Collection[Key], now: datetime
) -> tuple[SecretRef, ...]:
    """What of one unit should lie on the host now.

    All of its newest versions once every value is there. Until then what lies there stays, but for what is not wanted
    any more, which goes at once.
    """
    if wanted and all(key_of(ref) in held for ref in wanted):
        return tuple(wanted)
    names = {ref.name for ref in wanted}
    return tuple(ref for ref in living(placed, now) if ref.name in names and key_of(ref) in held)


def clashes(refs: Iterable[SecretRef]) -> dict[Unit, str]:
    """Units of which a file would lie where another secret of the service lies: the first by name has the place."""
    entries: dict[tuple[str, str], Unit] = {}
    files: dict[tuple[str, str, str], str] = {}
    found: dict[Unit, str] = {}
    for ref in sorted(refs, key=lambda ref: (ref.service, ref.name)):
        unit = unit_on_host(ref)
        # A group is a folder: no lone secret may have a file of its name.
        holder = entries.setdefault((ref.service, ref.group or ref.file), unit)
        other = files.setdefault((ref.service, ref.group, ref.file), ref.name)
        if holder != unit:
            found[unit] = f"its file {ref.group or ref.file} is of {holder[1]}"
        elif other != ref.name:
            found[unit] = f"{ref.name} and {other} would be the same file"
    return found


def batches(keys: Sequence[Key]) -> list[tuple[Key, ...]]:
    """What is asked for in one call each."""
    return [tuple(keys[start : start + MOST_AT_ONCE]) for start in range(0, len(keys), MOST_AT_ONCE)]


def next_end(refs: Iterable[SecretRef], now: datetime) -> datetime | None:
    """When the next of them expires."""
    return min((ref.expires for ref in refs if ref.expires is not None and ref.expires > now), default=None)


def digest(refs: Sequence[SecretRef]) -> str:
    """A short name for one state of a group."""
    return hashlib.sha256(SecretRefs(tuple(refs)).encode()).hexdigest()[:16]


def sds_name(ref: SecretRef) -> str:
    """Under which name a proxy asks for it."""
    return f"secret:{ref.name}"


def missing(refs: Iterable[SecretRef], placed: Mapping[Unit, Sequence[SecretRef]], service: str) -> list[SecretRef]:
    """The secrets of a service of which no version lies on the host."""
    there = {ref.name for ref in (each for refs in placed.values() for each in refs) if ref.service == service}
    return [ref for ref in refs if ref.service == service and ref.name not in there]
