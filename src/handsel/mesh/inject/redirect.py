"""The rules of nftables that lead a pod's connections through its sidecar.

One table of both address families, made anew as a whole each time, so that an init container that runs again changes
nothing. The sidecar's own connections are known by its user and group. Ports and order are Istio's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from handsel.model.pod import (
    DNS_PORT,
    HEALTH_PORT,
    INBOUND_PORT,
    OUTBOUND_PORT,
    SIDECAR_USER,
    STATUS_PORT,
    TUNNEL_PORT,
    Interception,
)

# Where Envoy connects from when it hands a connection to the program (Istio's InboundPassthroughBindIpv4).
_PASSTHROUGH = "127.0.0.6"
_MARK = 1337
_DNS = 53

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Redirect:
    """What is led through the sidecar. `None` instead of a list: everything."""

    mode: Interception = Interception.REDIRECT
    outbound_ranges: tuple[Network, ...] | None = None
    without_outbound_ranges: tuple[Network, ...] = ()
    outbound_ports: tuple[int, ...] | None = ()
    """Led through whatever their address is, beside `outbound_ranges`."""
    without_outbound_ports: tuple[int, ...] = ()
    inbound_ports: tuple[int, ...] | None = None
    without_inbound_ports: tuple[int, ...] = ()
    """Counts only where `inbound_ports` is everything."""
    without_interfaces: tuple[str, ...] = ()
    dns: bool = False


def rules(redirect: Redirect) -> str:
    """The rules as text for nft(8). Nothing for `NONE`."""
    if redirect.mode is Interception.NONE:
        return ""
    lines = [
        "table inet handsel",
        "delete table inet handsel",
        "table inet handsel {",
        *_chain("output", "type nat hook output priority -100", _output(redirect)),
        *_chain("prerouting", _PREROUTING[redirect.mode], _prerouting(redirect)),
        "}",
    ]
    return "\n".join(lines) + "\n"


_PREROUTING = {
    Interception.REDIRECT: "type nat hook prerouting priority -100",
    Interception.TPROXY: "type filter hook prerouting priority -150",
}


def _chain(name: str, hook: str, body: Iterable[str]) -> list[str]:
    return [f"  chain {name} {{", f"    {hook}; policy accept;", *(f"    {line}" for line in body), "  }"]


def _output(redirect: Redirect) -> list[str]:
    to_outbound = f"redirect to :{OUTBOUND_PORT}"
    lines = [f'oifname "lo" ip saddr {_PASSTHROUGH} return']
    lines += [f"oifname {_set(_quoted(redirect.without_interfaces))} return"] if redirect.without_interfaces else []
    # The pod calls itself by its own address: that comes in by the inbound listener, as from anybody else.
    for who in ("skuid", "skgid"):
        own = f'oifname "lo" meta {who} {SIDECAR_USER}'
        mine = f"tcp dport != {_set([_DNS, TUNNEL_PORT])} redirect to :{INBOUND_PORT}"
        lines += [f"{own} ip daddr != 127.0.0.0/8 {mine}", f"{own} ip6 daddr != ::1 {mine}"]
    lines += [f"meta {who} {SIDECAR_USER} return" for who in ("skuid", "skgid")]
    if redirect.dns:
        lines += [f"{protocol} dport {_DNS} redirect to :{DNS_PORT}" for protocol in ("udp", "tcp")]
    lines += ['oifname "lo" return', "ip daddr 127.0.0.0/8 return", "ip6 daddr ::1 return"]
    if redirect.without_outbound_ports:
        lines.append(f"tcp dport {_set(redirect.without_outbound_ports)} return")
    lines += [f"{each} return" for each in _to_ranges(redirect.without_outbound_ranges)]
    if redirect.outbound_ports is None or redirect.outbound_ranges is None:
        return [*lines, f"meta l4proto tcp {to_outbound}"]
    if redirect.outbound_ports:
        lines.append(f"tcp dport {_set(redirect.outbound_ports)} {to_outbound}")
    return lines + [f"{each} meta l4proto tcp {to_outbound}" for each in _to_ranges(redirect.outbound_ranges)]


def _prerouting(redirect: Redirect) -> list[str]:
    lines = ['iifname "lo" return']
    lines += [f"iifname {_set(_quoted(redirect.without_interfaces))} return"] if redirect.without_interfaces else []
    end = f"redirect to :{INBOUND_PORT}"
    if redirect.mode is Interception.TPROXY:
        lines.append("ct direction reply return")  # answers to what the pod itself began
        end = f"tproxy to :{INBOUND_PORT} meta mark set {_MARK} accept"
    if redirect.inbound_ports is None:
        without = sorted({TUNNEL_PORT, STATUS_PORT, HEALTH_PORT, *redirect.without_inbound_ports})
        return [*lines, f"tcp dport {_set(without)} return", f"meta l4proto tcp {end}"]
    return [*lines, f"tcp dport {_set(redirect.inbound_ports)} {end}"] if redirect.inbound_ports else lines


def _to_ranges(ranges: Sequence[Network]) -> list[str]:
    # A set must not overlap itself.
    four = list(collapse_addresses(each for each in ranges if isinstance(each, IPv4Network)))
    six = list(collapse_addresses(each for each in ranges if isinstance(each, IPv6Network)))
    return [f"{family} daddr {_set(found)}" for family, found in (("ip", four), ("ip6", six)) if found]


def _quoted(names: Iterable[str]) -> list[str]:
    return [f'"{name}"' for name in names]


def _set(items: Iterable[object]) -> str:
    return f"{{ {', '.join(dict.fromkeys(str(each) for each in items))} }}"
