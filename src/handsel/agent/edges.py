"""What the proxies of a host counted, as it is reported: an edge for each callee, and what was refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from handsel.envoy.stats import Counts, ProxyCounts
from handsel.link.report import Edge


def edges(counted: Mapping[str, ProxyCounts]) -> tuple[Edge, ...]:
    """The edges of all proxies, by the name of their service. What was never used is left out."""
    return tuple(edge for service, counts in sorted(counted.items()) for edge in _of_proxy(service, counts))


def _of_proxy(service: str, counts: ProxyCounts) -> Iterator[Edge]:
    for callee, side in sorted(counts.callees.items()):
        if side.connections or side.failures:
            yield Edge(
                service, callee,
                connections=side.connections,
                # Of answers, since on layer 4 Envoy counts a connection as a request.
                requests=sum(side.responses.values()),
                errors=side.errors,
                failures=max(side.failures, _refused(side)),
                bytes=side.received + side.sent,
                tls_versions=side.tls_versions,
                tls_groups=side.tls_groups,
            )  # fmt: skip
    if _refused(counts.inbound):
        yield Edge(service, "", failures=_refused(counts.inbound))


def _refused(side: Counts) -> int:
    return sum(side.refused.values())
