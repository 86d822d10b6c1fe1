"""Everything one Envoy should have, consistent in itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from handsel.errors import Bug
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource


@dataclass(frozen=True)
class Snapshot:
    """Resources by (type URL, name). Build it with `snapshot`, which checks it."""

    resources: Mapping[tuple[str, str], Resource]

    def of_type(self, type_url: str) -> Mapping[str, Resource]:
        """The resources of one type by name."""
        return self._by_type.get(type_url, {})

    def get(self, type_url: str, name: str) -> Resource | None:
        """What a client gets that asks for this name."""
        return self.resources.get((type_url, name))

    def awaits(self, _type_url: str, _name: str) -> bool:
        """Whether a name that is not there may be so later, and is no mistake of the client's."""
        return False

    @cached_property
    def _by_type(self) -> dict[str, dict[str, Resource]]:
        by_type: dict[str, dict[str, Resource]] = {}
        for (kind, name), resource in self.resources.items():
            by_type.setdefault(kind, {})[name] = resource
        return by_type


EMPTY = Snapshot({})


def snapshot(resources: Iterable[Resource]) -> Snapshot:
    """A snapshot of these resources.

    Raises `Bug` when two share a name, an endpoint set has no cluster, or routes have no listener: routes are called as
    their listener is, with `#` and more behind it where it has several.
    """
    by_key: dict[tuple[str, str], Resource] = {}
    for each in resources:
        if each.key in by_key:
            raise Bug(f"two resources of one name: {each.type_url} {each.name}")
        by_key[each.key] = each
    for kind, name in by_key:
        if kind == ENDPOINT and (CLUSTER, name) not in by_key:
            raise Bug(f"endpoints for {name}, which is no cluster")
        if kind == ROUTE and (LISTENER, name.partition("#")[0]) not in by_key:
            raise Bug(f"routes for {name}, which is no listener")
    return Snapshot(by_key)
