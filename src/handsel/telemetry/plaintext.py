"""Who still calls a service without TLS, from the lines of its proxy's access log."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_CONNECTED, _REQUEST, _ENDED = "inbound_connected", "inbound_request", "inbound"
_CAME_IN_PLAINTEXT = ("HTTP_REQUEST", "WRONG_VERSION_NUMBER", "HTTPS_PROXY_REQUEST")
_AT_THE_END = "TcpConnectionEnd"
_MOST_SENDERS = 1000


@dataclass
class Sender:
    """An address that called without TLS: how often, when last, and how often it was refused."""

    address: str
    port: int
    count: int = 0
    refused: int = 0
    last: str = ""


@dataclass
class Heard:
    """What the log of one service tells. `since`: its first line, empty when there is none yet."""

    service: str
    since: str = ""
    senders: dict[tuple[str, int], Sender] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many calls came without TLS and were taken."""
        return sum(each.count for each in self.senders.values())


def hear(service: str, lines: Iterable[str]) -> Heard:
    """The summary of a log, the oldest line first. What is no line of ours is passed over."""
    heard = Heard(service)
    # What tells TLS from plaintext leaves its finding in the log also where plaintext is taken then.
    welcome: set[str] = set()
    for line in lines:
        record = _record(line)
        if record is None:
            continue
        heard.since = heard.since or str(record.get("start", ""))
        peer = str(record.get("peer", ""))
        taken = record.get("plaintext") == "yes" and record.get("event") in (_CONNECTED, _REQUEST)
        refused = record.get("event") == _ENDED and any(w in str(record.get("tls_failure")) for w in _CAME_IN_PLAINTEXT)
        if taken:
            welcome.add(peer)
        elif not refused or peer in welcome:
            continue
        if record.get("event") == _CONNECTED and record.get("type") == _AT_THE_END:
            continue  # it was counted when it began
        _note(heard, record, peer, taken=taken)
    return heard


def _note(heard: Heard, record: Mapping[str, Any], peer: str, *, taken: bool) -> None:
    port = str(record.get("port"))
    key = peer.rpartition(":")[0].strip("[]") or "?", int(port) if port.isdecimal() else 0
    if key not in heard.senders and len(heard.senders) >= _MOST_SENDERS:
        key = "others", 0
    sender = heard.senders.setdefault(key, Sender(*key))
    sender.count += taken
    sender.refused += not taken
    sender.last = max(sender.last, str(record.get("start", "")))


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


HEAD = ("SERVICE", "PORT", "FROM", "CALLS", "REFUSED", "LAST")


def rows(heard: Iterable[Heard]) -> list[tuple[str, ...]]:
    """A line a sender, the one that was heard last first."""
    found: list[tuple[str, ...]] = []
    for each in heard:
        for sender in sorted(each.senders.values(), key=lambda one: one.last, reverse=True):
            port = str(sender.port) if sender.port else "-"
            counts = str(sender.count), str(sender.refused)
            found.append((each.service, port, sender.address, *counts, sender.last))
    return found


def verdict(heard: Heard, modes: Iterable[str]) -> str:
    """What follows for the mode of a service: whether it can be STRICT. `modes`: those of its ports."""
    still = sorted(set(modes) - {"strict"})
    if not still:
        return f"{heard.service} is strict"
    if "disable" in still:
        return f"{heard.service} (disable): takes nothing else; say permissive first, which its callers follow"
    if not heard.since:
        return f"{heard.service} ({', '.join(still)}): nothing was logged yet, so nobody knows"
    if heard.count:
        return f"{heard.service} ({', '.join(still)}): {heard.count} calls without TLS since {heard.since}, not yet"
    return f"{heard.service} ({', '.join(still)}): 0 since {heard.since}, safe to go STRICT"


def to_json(heard: Heard, modes: Collection[str]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "service": heard.service,
        "modes": sorted(set(modes)),
        "since": heard.since or None,
        "calls": heard.count,
        "safe_to_go_strict": "disable" not in modes and bool(heard.since) and heard.count == 0,
        "senders": [
            {"address": s.address, "port": s.port or None, "calls": s.count, "refused": s.refused, "last": s.last}
            for s in heard.senders.values()
        ],
    }
