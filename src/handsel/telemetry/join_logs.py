"""Records of both ends of a call, joined: the caller's `upstream_local` is the callee's `peer` (`mesh/render/log.py`).

A half waits for a moment for the other one, which another proxy writes; then it goes on alone. The clock is handed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Record = Mapping[str, Any]
_OUTBOUND = ("outbound", "outbound_request")
_REQUESTS = ("outbound_request", "inbound_request")
# What `flushAccessLogOnConnected` writes beside the record at the end.
_BEGINNINGS = ("TcpUpstreamConnected", "TcpConnectionEstablished")
_MOST_WAITING = 10_000


@dataclass(frozen=True)
class Half:
    """What one proxy wrote of a call; `service` is whose proxy it is."""

    service: str
    record: Record

    @property
    def is_callers(self) -> bool:
        return self.record.get("event") in _OUTBOUND

    @property
    def key(self) -> tuple[str, ...]:
        """What both ends of it have in common: the connection, and of a request its id, else method and path."""
        record = self.record
        address = record.get("upstream_local") if self.is_callers else record.get("peer")
        if record.get("event") not in _REQUESTS:
            return (str(address), "connection")
        request = record.get("request_id")
        return (
            (str(address), str(request)) if request else (str(address), _text(record, "method"), _text(record, "path"))
        )


@dataclass(frozen=True)
class Call:
    """A request, or a connection on layer 4, as the caller's and the callee's proxy saw it; one may be missing."""

    caller: Half | None
    callee: Half | None

    def of(self, field_name: str) -> Any:
        """A field of the caller's record, else of the callee's."""
        halves = [half for half in (self.caller, self.callee) if half is not None]
        return next((half.record[field_name] for half in halves if half.record.get(field_name) is not None), None)


def is_call(record: Record) -> bool:
    """Whether a record is a request, a connection that has begun, or one that was refused.

    A connection of layer 4 is told when it begins: it may live for days.
    """
    event, kind = record.get("event"), record.get("type")
    if event in _REQUESTS:
        return True
    if event == "inbound":
        return bool(record.get("tls_failure"))
    if event == "inbound_connected":
        return kind in _BEGINNINGS
    # The connection to a callee: when it stands, or when it could not be made.
    failed = bool(record.get("tls_failure")) or not record.get("upstream_local")
    return event == "outbound" and (kind in _BEGINNINGS or failed)


@dataclass
class _Waiting:
    half: Half
    until: float
    gone: bool = False


@dataclass
class Joiner:
    """Takes halves, gives calls. `patience`: seconds that a half waits, as long as its other end is on this host."""

    here: frozenset[str]
    patience: float = 1.0
    _by_key: dict[tuple[str, ...], deque[_Waiting]] = field(default_factory=dict)
    _in_order: deque[_Waiting] = field(default_factory=deque)

    def take(self, half: Half, now: float) -> Iterator[Call]:
        """The calls that are whole now."""
        if not self._may_have_other(half):
            yield _alone(half)
            return
        for other in self._by_key.get(half.key, ()):
            if not other.gone and other.half.is_callers != half.is_callers and other.half.service != half.service:
                other.gone = True
                yield Call(half, other.half) if half.is_callers else Call(other.half, half)
                return
        waiting = _Waiting(half, now + self.patience)
        self._by_key.setdefault(half.key, deque()).append(waiting)
        self._in_order.append(waiting)
        if len(self._in_order) > _MOST_WAITING:
            yield from self._next()

    def over(self, now: float) -> Iterator[Call]:
        """The calls of which no other half came in time."""
        while self._in_order and (self._in_order[0].gone or self._in_order[0].until <= now):
            yield from self._next()

    def end(self) -> Iterator[Call]:
        """All that still wait."""
        while self._in_order:
            yield from self._next()

    def _next(self) -> Iterable[Call]:
        first = self._in_order.popleft()
        same = self._by_key[first.half.key]
        same.remove(first)
        if not same:
            del self._by_key[first.half.key]
        return () if first.gone else (_alone(first.half),)

    def _may_have_other(self, half: Half) -> bool:
        """Whether the other end's proxy may be on this host, and have written of it."""
        if half.is_callers:
            return (
                bool(half.record.get("upstream_local"))
                and str(half.record.get("callee")).partition(".")[0] in self.here
            )
        return half.record.get("event") != "inbound"


def _alone(half: Half) -> Call:
    return Call(half, None) if half.is_callers else Call(None, half)


def _text(record: Record, name: str) -> str:
    return str(record.get(name) or "")
