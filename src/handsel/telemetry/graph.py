"""The graph of the mesh as it is: what is declared, joined with what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from handsel.link.report import Edge
from handsel.telemetry.edges import Pair


class Encryption(StrEnum):
    """How a hop is protected. `MUTUAL`: both ends showed a certificate; `SIMPLE`: the callee alone."""

    MUTUAL = "mutual TLS"
    SIMPLE = "TLS"
    PLAIN = "plaintext"


@dataclass(frozen=True)
class Declared:
    """A call that the mesh file allows, and how its hop is to be protected."""

    caller: str
    callee: str
    protocol: str
    encryption: Encryption
    external: bool = False


@dataclass(frozen=True)
class Link:
    """One edge of the graph.

    `versions` and `groups` are what handshakes agreed on, the most frequent first. `share` is of the bytes of all
    edges, 0 to 1. `connections` may be used by many `requests`, which are seen on layer 7 only.
    """

    caller: str
    callee: str
    protocol: str
    encryption: Encryption
    versions: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    connections: int = 0
    requests: int = 0
    errors: int = 0
    failures: int = 0
    bytes: int = 0
    share: float = 0.0
    declared: bool = True
    external: bool = False

    @property
    def used(self) -> bool:
        return self.connections > self.failures or self.requests > 0

    @property
    def protection(self) -> str:
        """How it is encrypted, in words: `mutual TLS 1.3, X25519MLKEM768`."""
        version = self.versions[0].removeprefix("TLSv") if self.versions else ""
        group = f", {self.groups[0]}" if self.groups else ""
        return f"{self.encryption} {version}{group}".strip() if version else str(self.encryption)

    @property
    def standing(self) -> str:
        """What is remarkable: declared and never used, or seen and not declared."""
        if not self.declared:
            return "not declared"
        return "" if self.used else "never used"


@dataclass(frozen=True)
class Graph:
    """The whole graph. `refused`: connections and requests that were refused at a service's own port, by service.

    `hosts` have joined, of which `hosts_heard` said what their proxies counted.
    """

    links: tuple[Link, ...]
    refused: Mapping[str, int]
    services: tuple[str, ...]
    hosts: int = 0
    hosts_heard: int = 0


def build(
    declared: Iterable[Declared], counted: Mapping[Pair, Edge], plaintext: Mapping[Pair, int], services: Iterable[str],
    *, hosts: int = 0, hosts_heard: int = 0,
) -> Graph:  # fmt: skip
    """The graph. `plaintext`: how many connections without TLS came from whom to which service."""
    everything = sum(edge.bytes for edge in counted.values()) or 1
    by_pair = {(each.caller, each.callee): each for each in declared}
    links = [_link(each, counted.get(pair), everything) for pair, each in by_pair.items()]
    for pair, edge in counted.items():
        if pair not in by_pair and edge.callee:
            seen = Encryption.MUTUAL if edge.tls_versions else Encryption.PLAIN
            undeclared = Declared(*pair, "", seen)
            links.append(_link(undeclared, edge, everything, declared=False))
    links += [
        Link(caller, callee, "", Encryption.PLAIN, connections=number, declared=(caller, callee) in by_pair)
        for (caller, callee), number in plaintext.items()
    ]
    refused = {edge.caller: edge.failures for edge in counted.values() if not edge.callee}
    return Graph(tuple(links), refused, tuple(services), hosts, hosts_heard)


def _link(wanted: Declared, edge: Edge | None, everything: int, *, declared: bool = True) -> Link:
    link = Link(
        wanted.caller, wanted.callee, wanted.protocol, wanted.encryption, declared=declared, external=wanted.external
    )
    if edge is None:
        return link
    return Link(
        link.caller, link.callee, link.protocol, link.encryption, _most_first(edge.tls_versions),
        _most_first(edge.tls_groups), edge.connections, edge.requests, edge.errors, edge.failures, edge.bytes,
        edge.bytes / everything, declared, link.external,
    )  # fmt: skip


def _most_first(counts: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(sorted(counts, key=lambda name: (-counts[name], name)))


def to_json(graph: Graph) -> dict[str, Any]:
    """The graph as the server answers it."""
    links = [
        {**asdict(link), "encryption": str(link.encryption), "share": round(link.share, 4), "used": link.used,
         "versions": list(link.versions), "groups": list(link.groups)}
        for link in graph.links
    ]  # fmt: skip
    return {
        "services": list(graph.services), "edges": links, "refused": dict(graph.refused), "hosts": graph.hosts,
        "hosts_heard": graph.hosts_heard,
    }  # fmt: skip


def from_json(content: Mapping[str, Any]) -> Graph:
    """The graph that a server answered."""
    links = []
    for each in content["edges"]:
        known = {name: value for name, value in each.items() if name in Link.__dataclass_fields__}
        words = {name: tuple(each[name]) for name in ("versions", "groups")}
        links.append(Link(**{**known, **words, "encryption": Encryption(each["encryption"])}))
    return Graph(
        tuple(links), dict(content["refused"]), tuple(content["services"]), content["hosts"], content["hosts_heard"]
    )


HEAD = ("FROM", "TO", "PROTOCOL", "ENCRYPTION", "SHARE", "REQUESTS", "ERRORS", "FAILED", "NOTE")


def rows(graph: Graph) -> list[tuple[str, ...]]:
    """The graph as a table under `HEAD`, the busiest first."""
    ordered = sorted(graph.links, key=lambda link: (-link.share, link.caller, link.callee))
    return [
        (
            link.caller, link.callee, link.protocol or "-", link.protection, f"{link.share:.0%}" if link.used else "-",
            _requests(link), str(link.errors), str(link.failures), link.standing or "-",
        )
        for link in ordered
    ]  # fmt: skip


def _requests(link: Link) -> str:
    if not link.requests and link.connections:
        return f"{link.connections - link.failures} connections"
    return str(link.requests)
