"""A network namespace for each workload (`--strict`): how it is called, what it has, what its firewall does.

It has a loopback interface and no other: there is no way out that would have to be forbidden. The workload's proxy
stays outside and listens inside, so that a call to a callee is taken there and goes on as mutual TLS. Every IPv4
address is local to it, so that a call to anybody else gets as far as the firewall, which leads it to one who refuses it
and says so; IPv6 has `::1` alone, and no route.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

FOLDER = "/run/netns"
"""Where iproute2 keeps network namespaces by name (ip-netns(8))."""
STUB = ("127.0.0.53", 53)
"""Where names are asked for inside, whatever resolv.conf(5) says."""
SETUP = "link set dev lo up\nroute replace local default dev lo src 127.0.0.1\n"
"""What ip(8) is told, in a batch."""
_PROGRAMS = {"ip": "iproute2", "nft": "nftables"}
_QUIET_SECONDS = 60.0
_MOST_DESTINATIONS = 256


def prefix(state: str) -> str:
    """How the namespaces of one state folder begin, so that no other's are touched."""
    return f"handsel-{hashlib.sha256(state.encode()).hexdigest()[:8]}-"


def name(state: str, service: str) -> str:
    """What the namespace of a workload is called. The same each time: programs outlive their agent."""
    return prefix(state) + service


def rules(refusing: int) -> str:
    """The firewall inside (nft(8)), taken in one step. `refusing`: the port, at the stub's address, that refuses."""
    stub, port = STUB
    return f"""\
table inet handsel
delete table inet handsel
table inet handsel {{
  chain turn_back {{
    type nat hook output priority -100; policy accept;
    udp dport 53 dnat ip to {stub}:{port}
    ip daddr != 127.0.0.0/8 meta l4proto tcp dnat ip to {stub}:{refusing}
  }}
  chain leave {{
    type filter hook output priority filter; policy drop;
    ip daddr 127.0.0.0/8 accept
    ip6 daddr ::1 accept
  }}
}}
"""


def missing(*, rights: bool, programs: Mapping[str, bool]) -> tuple[str, str]:
    """What this host lacks for `--strict`, and what to do about it; empty when it lacks nothing.

    `programs`: which of `ip` and `nft` are there.
    """
    lacking = ([] if rights else ["the rights of root (CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_SETPCAP)"]) + [
        f"the program {each}" for each in _PROGRAMS if not programs.get(each)
    ]
    packages = [package for each, package in _PROGRAMS.items() if not programs.get(each)]
    steps = ([] if rights else ["run it as root"]) + ([f"install {' and '.join(packages)}"] if packages else [])
    return " and ".join(lacking), ", ".join(steps)


@dataclass
class Refusals:
    """The calls that one workload tried past its sidecar, bounded: a program may try every address there is."""

    total: int = 0
    last: str = ""
    _said: dict[str, float] = field(default_factory=dict)

    def note(self, destination: str, now: float) -> bool:
        """Take one in. Returns whether to log it: a destination once a minute, and so many of them in that time."""
        self.total += 1
        self.last = destination
        self._said = {each: moment for each, moment in self._said.items() if now - moment < _QUIET_SECONDS}
        if destination in self._said or len(self._said) >= _MOST_DESTINATIONS:
            return False
        self._said[destination] = now
        return True
