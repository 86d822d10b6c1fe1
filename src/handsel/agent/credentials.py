"""The credentials of this host's proxies, made of the groups of secrets that lie here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from handsel.agent.secrets import Key, Unit, key_of
from handsel.link.secrets import SecretRef
from handsel.pki.secret import Secret
from handsel.xds import credential
from handsel.xds.resources import Resource


class Credentials:
    """The last good secrets of each group: one that is not sound takes no other one's place."""

    def __init__(self) -> None:
        self._seen: dict[Unit, tuple[SecretRef, ...]] = {}
        self._made: dict[Unit, dict[str, Resource]] = {}
        self._problems: dict[Unit, str] = {}

    def refresh(self, placed: Mapping[Unit, Sequence[SecretRef]], values: Mapping[Key, Secret], now: datetime) -> None:
        """Look at the groups that lie here now."""
        for unit in self._seen.keys() - placed.keys():
            del self._seen[unit]
            self._made.pop(unit, None)
            self._problems.pop(unit, None)
        for unit, refs in placed.items():
            if refs and refs[0].group and self._seen.get(unit) != tuple(refs):
                self._seen[unit] = tuple(refs)
                self._read(unit, {ref.name.rpartition("/")[2]: values[key_of(ref)] for ref in refs}, now)

    def resources(self, service: str) -> dict[str, Resource]:
        """The secrets of a service's proxy, by name."""
        return {name: each for (of, _), made in self._made.items() if of == service for name, each in made.items()}

    def problem(self, service: str, name: str) -> str:
        """What is wrong with a credential that is not there, or older than it should be."""
        group = credential.group_of(name)
        said = self._problems.get((service, group))
        return f"the credential {group}: {said}" if said else f"the credential {group} is not delivered yet"

    def _read(self, unit: Unit, values: Mapping[str, Secret], now: datetime) -> None:
        group, made = unit[1], self._made.setdefault(unit, {})
        self._problems.pop(unit, None)
        try:
            found = [credential.certificate(group, values, now), credential.roots(group, values)]
        except (ValueError, TypeError) as error:
            self._problems[unit] = str(error)
            return
        made.clear()
        made.update({each.name: each for each in found if each})
