"""Carries out the proof: real requests and real probes, read back from the proxies' logs and configuration."""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from handsel.diagnose import evidence, policy, proof
from handsel.diagnose.adapters import probe
from handsel.diagnose.adapters.impostor import Impostor
from handsel.diagnose.adapters.logs import LogTail
from handsel.diagnose.adapters.probe import Answer, PairFiles
from handsel.diagnose.evidence import Line, TlsSeen
from handsel.diagnose.foreign import impostor as foreign_pair
from handsel.diagnose.proof import Attempt, EdgeAttempts, Expected
from handsel.envoy.adapters import admin
from handsel.model.graph import Protocol
from handsel.pki.certificate import to_pem

# Proxies write their logs every 0.2 s.
_LINE_SECONDS = 1.5
_LOG_SECONDS = 6.0
_EXTERNAL_SECONDS = 8.0
_LONGEST_SECONDS = 60.0
_PAUSE_SECONDS = 0.2
PATH = "/handsel.Proof/"
"""What the paths of its requests begin with."""
Address = tuple[str, int]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Workload:
    """One end of an edge: who it is, its files, its proxy."""

    service: str
    identity: str
    pair: PairFiles
    access_log: Path
    admin: Path
    mesh: Address
    proxy: Address


@dataclass(frozen=True)
class Edge:
    """A call between two services: `entry` is the loopback port at the caller of the name that it calls.

    `name`: that one, when it is not the callee's own. `cluster`: through which the caller's proxy reaches the callee.
    `share`: of the requests, where rules send others elsewhere.
    """

    caller: Workload
    callee: Workload
    protocol: Protocol
    requests_seen: bool
    entry: Address
    allowed: frozenset[str]
    name: str = ""
    cluster: str = ""
    share: float = 1.0

    @property
    def seconds(self) -> float:
        """How long to try: the fewer requests come this way, the longer."""
        return min(_LOG_SECONDS / self.share, _LONGEST_SECONDS)

    @property
    def http2_inside(self) -> bool:
        """Whether the proxies speak HTTP/2 to each other, so that a probe must too."""
        return self.requests_seen and self.protocol is not Protocol.TCP


@dataclass(frozen=True)
class ExternalEdge:
    """A call to the outside."""

    caller: Workload
    external: str
    host: str
    protocol: Protocol
    entry: Address
    encrypted: bool


@dataclass(frozen=True)
class DeniedPair:
    """A call that nobody declared, or (`declared`) that a policy keeps out."""

    caller: Workload
    callee: Workload
    http2_inside: bool
    declared: bool = False


Place = Callable[[str, Callable[[], Answer]], Answer]
"""(caller, request): the request, made from where the caller's program is."""
Swap = Callable[[str, str, int], AbstractAsyncContextManager[None]]
"""(caller, callee, port): while it is open, the caller's proxy has a loopback port as the callee's endpoint."""


class Prover:
    """Proves edges one after another. `other` is a valid certificate of the same CA that no service may call with."""

    def __init__(self, swap: Swap, other: PairFiles, place: Place = lambda _, request: request()) -> None:
        self._swap = swap
        self._place = place
        self._other = other
        self.first_request: float | None = None
        """`time.time()` at which the first request over an edge had been answered."""

    async def prove(
        self, edges: Sequence[Edge], externals: Sequence[ExternalEdge], denied: Sequence[DeniedPair]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The entries of `edges` and `denied`, in order."""
        proven = [await self._edge(edge) for edge in edges]
        proven += [await self._external(edge) for edge in externals]
        return proven, [await self._denied(pair) for pair in denied]

    async def _edge(self, edge: Edge) -> dict[str, Any]:
        seen = await self._real_request(edge)
        address, http2, own = edge.callee.mesh, edge.http2_inside, edge.caller.pair
        listeners = await _dump(edge.callee.admin, "dynamic_listeners")
        attempts = EdgeAttempts(
            seen=seen,
            control=await asyncio.to_thread(probe.tls, address, own, http2=http2),
            plaintext=await asyncio.to_thread(probe.plaintext, address),
            tls12=await asyncio.to_thread(probe.tls, address, own, http2=http2, newest=False),
            no_certificate=await asyncio.to_thread(probe.tls, address, None, http2=http2),
            foreign=await asyncio.to_thread(_with_foreign_certificate, address, edge.caller.identity, http2=http2),
            other_identity=await asyncio.to_thread(probe.tls, address, self._other, http2=http2),
            wrong_callee_refused=await self._wrong_callee(edge),
            policy=policy.allowed_callers(listeners),
            certificate_demanded=policy.demands_certificate(listeners),
        )
        expected = Expected(edge.caller.identity, edge.callee.identity, edge.allowed)
        return proof.judge_edge(edge.caller.service, edge.callee.service, attempts, expected)

    async def _real_request(self, edge: Edge) -> TlsSeen | None:
        """A request of the program's kind over the edge, and what both proxies say of it.

        Tried again for a moment: a program may listen and yet not answer in the second of its start.
        """
        return await _until(lambda: self._one_request(edge), edge.seconds)

    async def _one_request(self, edge: Edge) -> TlsSeen | None:
        outbound_log, inbound_log = LogTail(edge.caller.access_log), LogTail(edge.callee.access_log)
        path = _path()
        answer = await self._ask(edge, path, edge.name or edge.callee.service)
        if not answer.received:
            return None
        if self.first_request is None:
            self.first_request = time.time()
        outbound = await outbound_log.find(lambda lines: evidence.outbound_line(lines, answer.client), _LINE_SECONDS)
        if outbound is None or (edge.share < 1 and not _came_to(edge.callee, outbound)):
            return None
        if outbound.get("event") == "outbound_request":
            # Many requests share a connection, whose line at the callee may be an old one.
            inbound_log = LogTail(edge.callee.access_log, whole=True)
        local = str(outbound.get("upstream_local"))
        inbound = await inbound_log.find(lambda lines: evidence.inbound_line(lines, local, path), _LINE_SECONDS)
        return evidence.join(outbound, inbound) if inbound else None

    async def _wrong_callee(self, edge: Edge) -> bool:
        """Whether the caller's proxy refuses a callee with a valid certificate of another identity."""
        with Impostor(self._other.chain, self._other.key).listening() as impostor:
            async with self._swap(edge.caller.service, edge.cluster or edge.callee.service, impostor.port):
                refused = await _until(lambda: self._refused_by_name(edge), edge.seconds)
            return bool(refused) and not impostor.application_bytes

    async def _refused_by_name(self, edge: Edge) -> bool:
        """One request; False also when it still went over a connection that stood before the exchange."""
        log = LogTail(edge.caller.access_log)
        answer = await self._ask(edge, _path(), edge.name or edge.callee.service)

        def seen(lines: list[Line]) -> bool | None:
            if evidence.refused_by_name(lines, answer.client):
                return True
            # Where rules share, this one went to another: there is nothing to wait for.
            return False if edge.share < 1 and evidence.outbound_line(lines, answer.client) else None

        return bool(await log.find(seen, _LINE_SECONDS))

    async def _external(self, edge: ExternalEdge) -> dict[str, Any]:
        # The other side may still be starting, or writing the certificates that we are to show.
        found = await _until(lambda: self._outside_request(edge), _EXTERNAL_SECONDS)
        line: Line = found or {}
        return proof.judge_external(
            edge.caller.service, edge.external, answered=bool(line),
            tls_expected=edge.encrypted, line=line,
        )  # fmt: skip

    async def _outside_request(self, edge: ExternalEdge) -> Line | None:
        log = LogTail(edge.caller.access_log)
        answer = await self._ask(edge, "/", edge.host)
        if not answer.received:
            return None
        return await log.find(lambda lines: evidence.outbound_line(lines, answer.client), _LINE_SECONDS)

    async def _ask(self, edge: Edge | ExternalEdge, path: str, authority: str) -> Answer:
        request = partial(_ask, edge.protocol, edge.entry, path, authority)
        return await asyncio.to_thread(self._place, edge.caller.service, request)

    async def _denied(self, pair: DeniedPair) -> dict[str, Any]:
        attempt: Attempt = await asyncio.to_thread(
            probe.tls, pair.callee.mesh, pair.caller.pair, http2=pair.http2_inside
        )
        callee = pair.callee.service
        listeners = policy.names(await _dump(pair.caller.admin, "dynamic_listeners"))
        clusters = policy.names(await _dump(pair.caller.admin, "dynamic_active_clusters"))
        has_way = f"outbound.{callee}" in listeners or callee in clusters
        return proof.judge_denied(pair.caller.service, callee, attempt, has_way=has_way and not pair.declared)


async def _until(attempt: Callable[[], Awaitable[Found]], seconds: float) -> Found:
    """The first true answer of `attempt`, or its last one when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        found = await attempt()
        if found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_PAUSE_SECONDS)


def _came_to(callee: Workload, outbound: Line) -> bool:
    """Whether it was this callee that the caller's proxy asked."""
    return str(outbound.get("upstream")).rpartition(":")[2] == str(callee.mesh[1])


def _path() -> str:
    """A path that no program has and no two requests share."""
    return f"{PATH}{secrets.token_hex(6)}"


def _ask(protocol: Protocol, entry: Address, path: str, authority: str) -> Answer:
    if protocol is Protocol.TCP:
        return probe.open_tcp(entry)
    if protocol.is_http2:
        return probe.request_http2(entry, path, authority)
    return probe.request_http1(entry, path, authority)


def _with_foreign_certificate(address: Address, identity: str, *, http2: bool) -> Attempt:
    pair = foreign_pair(identity, datetime.now(UTC))
    with tempfile.TemporaryDirectory() as folder:
        files = PairFiles(Path(folder) / "chain.pem", Path(folder) / "key.pem")
        files.chain.write_bytes(to_pem(pair.chain))
        files.key.write_bytes(pair.key.pem().reveal())
        return probe.tls(address, files, http2=http2)


async def _dump(socket: Path, resource: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(await admin.get(socket, f"/config_dump?resource={resource}"))
    return content
