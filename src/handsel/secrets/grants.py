"""Who gets what: grants of people and of the mesh file together, and the references that a host is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from handsel.link.secrets import SecretRef
from handsel.model.secret import Declared, DeliveredFile, group_of, unit_of
from handsel.secrets.model import Grant, Version

USUAL = DeliveredFile()


@dataclass(frozen=True)
class Recipient:
    """A host that may ask: the services that it runs, each with its identity."""

    agent_id: str
    services: Mapping[str, str]


@dataclass(frozen=True)
class Granting:
    """All grants together: for each unit, to whom, and who says so; `units`: the same by whom they are for."""

    by_unit: Mapping[str, Mapping[str, str]]
    units: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, grants: Iterable[Grant], declared: Declared) -> Granting:
        found: dict[str, dict[str, str]] = {}
        for grant in grants:
            found.setdefault(grant.unit, {})[grant.grantee] = grant.by
        for each in declared.values():
            found.setdefault(each.unit, {}).update(each.grant)
        units: dict[str, set[str]] = {}
        for unit, grantees in found.items():
            for grantee in grantees:
                units.setdefault(grantee, set()).add(unit)
        return cls(found, {grantee: frozenset(each) for grantee, each in units.items()})

    def using(self, uses: Mapping[str, frozenset[str]]) -> Granting:
        """Together with what services need by their configuration. `uses`: the units of each."""
        by_unit = {unit: dict(grantees) for unit, grantees in self.by_unit.items()}
        for service, units in uses.items():
            for unit in units:
                by_unit.setdefault(unit, {}).setdefault(service, "the configuration")
        nothing: frozenset[str] = frozenset()
        together = {name: self.units.get(name, nothing) | uses.get(name, nothing) for name in {*self.units, *uses}}
        return Granting(by_unit, together)

    def allows(self, name: str, service: str, identity: str) -> bool:
        """Whether a service gets this secret, by its name or its identity."""
        return unit_of(name) in self.units_of(service, identity)

    def units_of(self, service: str, identity: str) -> frozenset[str]:
        """What a service gets, by its name or its identity."""
        return self.units.get(service, frozenset()) | self.units.get(identity, frozenset())


Shelf = Mapping[str, Sequence[Version]]
"""The newest versions of all secrets, by unit."""


def shelf_of(newest: Iterable[Version], now: datetime) -> Shelf:
    """What may be delivered: what has expired is left out."""
    found: dict[str, list[Version]] = {}
    for version in newest:
        if not version.is_expired(now):
            found.setdefault(unit_of(version.name), []).append(version)
    return found


def references(recipient: Recipient, shelf: Shelf, granting: Granting, declared: Declared) -> tuple[SecretRef, ...]:
    """What a host is told: each secret of its services, by reference only."""
    found = [
        _reference(version, service, declared)
        for service, identity in recipient.services.items()
        for unit in granting.units_of(service, identity)
        for version in shelf.get(unit, ())
    ]
    return tuple(sorted(found, key=lambda ref: (ref.service, ref.name)))


def _reference(version: Version, service: str, declared: Declared) -> SecretRef:
    file = declared[version.name].file if version.name in declared else USUAL
    last = version.name.rpartition("/")[2]
    return SecretRef(
        name=version.name, version=version.version_id, service=service, file=file.name or last, owner=file.owner,
        mode=file.mode, group=group_of(version.name), expires=version.expires,
    )  # fmt: skip


def refusal(
    recipient: Recipient, service: str, version_id: str, newest: Version | None, granting: Granting, now: datetime
) -> str:
    """Why a host does not get a version for a service; empty when it does. `newest`: this secret's, if there is one."""
    if service not in recipient.services:
        return "the service is not of this host"
    if newest is None or not granting.allows(newest.name, service, recipient.services[service]):
        return "it is not granted"
    if version_id != newest.version_id:
        return "there is a newer version"
    return "it has expired" if newest.is_expired(now) else ""
