"""Who talked to whom: what the proxies of all hosts counted, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from handsel.link.report import Edge

_MOST_EDGES = 2000
"""Of one host: what a host reports more is not kept."""
Pair = tuple[str, str]


@dataclass
class Reported:
    """The newest edges of each host. A proxy that starts again counts from zero, and so does its part here."""

    by_host: dict[str, tuple[Edge, ...]] = field(default_factory=dict)

    def take(self, host: str, edges: Iterable[Edge], *, callers: Collection[str]) -> None:
        """What a host says. Of other services than `callers`, those that it may run, it cannot speak."""
        kept = [edge for edge in edges if edge.caller in callers]
        self.by_host[host] = tuple(kept[:_MOST_EDGES])

    def keep_only(self, hosts: Collection[str]) -> None:
        """Forget hosts that are no longer there."""
        self.by_host = {host: edges for host, edges in self.by_host.items() if host in hosts}

    def total(self) -> dict[Pair, Edge]:
        """All hosts together, by caller and callee."""
        return total(edge for edges in self.by_host.values() for edge in edges)


def total(edges: Iterable[Edge]) -> dict[Pair, Edge]:
    """Edges of the same pair, added up."""
    found: dict[Pair, Edge] = {}
    for edge in edges:
        pair = (edge.caller, edge.callee)
        found[pair] = _add(found[pair], edge) if pair in found else edge
    return found


def _add(one: Edge, other: Edge) -> Edge:
    return Edge(
        one.caller,
        one.callee,
        one.connections + other.connections,
        one.requests + other.requests,
        one.errors + other.errors,
        one.failures + other.failures,
        one.bytes + other.bytes,
        _merge(one.tls_versions, other.tls_versions),
        _merge(one.tls_groups, other.tls_groups),
    )


def _merge(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(one) + Counter(other))


@dataclass
class PlaintextReported:
    """Connections without TLS as each host adds them up: what is new since it said so last."""

    _by_host: dict[str, dict[Pair, int]] = field(default_factory=dict)

    def new(self, host: str, edges: Iterable[Edge]) -> dict[Pair, int]:
        """By address and service. What a host says first is no news: it may have told another server before."""
        found = {(edge.caller, edge.callee): edge.connections for edge in edges}
        found = dict(list(found.items())[:_MOST_EDGES])
        before = self._by_host.get(host)
        self._by_host[host] = found
        if before is None:
            return {}
        # An agent that began anew counts from zero.
        grown = {pair: n - before.get(pair, 0) if n >= before.get(pair, 0) else n for pair, n in found.items()}
        return {pair: number for pair, number in grown.items() if number}
