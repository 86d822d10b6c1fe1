"""Who calls a permissive port without TLS: a count that grew says that somebody did, the access log says who.

Plain: lines of the log are handed in.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from handsel.link.report import Edge

_MOST_PEERS = 10_000
_MOST_ADDRESSES = 500
# A request is logged when it ends. What never is, such as plaintext that a port closed, is not looked for for ever.
_LOOKS = 6
_MARK = '"plaintext":"yes"'


@dataclass
class PlaintextSeen:
    """Of one service. `addresses` counts connections by where they came from, `since` then (UTC, as a log has it)."""

    since: str
    counted: int = 0
    looks_left: int = 0
    addresses: Counter[str] = field(default_factory=Counter)
    _peers: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def wants_log(self, counted: int) -> bool:
        """Whether the log is to be looked at, now that the proxy has counted so many."""
        if counted != self.counted:
            self.looks_left = _LOOKS if counted else 0
        return self.looks_left > 0

    def take(self, counted: int, lines: Iterable[str]) -> None:
        """The newest lines of the log."""
        self.counted = counted
        self.looks_left -= 1
        for peer in peers(lines, self.since):
            if peer in self._peers:
                continue
            self._peers[peer] = None
            if len(self._peers) > _MOST_PEERS:
                self._peers.popitem(last=False)
            address = peer.rpartition(":")[0].strip("[]")
            if address in self.addresses or len(self.addresses) < _MOST_ADDRESSES:
                self.addresses[address] += 1

    def edges(self, service: str) -> list[Edge]:
        """As it is reported: the caller is an address."""
        return [Edge(address, service, connections=number) for address, number in sorted(self.addresses.items())]


def peers(lines: Iterable[str], since: str) -> list[str]:
    """The address and port of each connection without TLS that these lines are about, if it is not older."""
    found: dict[str, None] = {}
    for line in lines:
        if _MARK not in line:
            continue
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("plaintext") == "yes" and str(record.get("start", "")) >= since:
            found[str(record.get("peer", ""))[:100]] = None
    return list(found)
