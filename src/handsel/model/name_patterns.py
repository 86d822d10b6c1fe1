"""Patterns of names, as people write them in a policy and in a profile.

| kind | written as | means |
|---|---|---|
| dns | `a.pay.internal` | this name alone |
| dns | `*.pay.internal` | one label more: `a.pay.internal`, not `pay.internal`, not `a.b.pay.internal` |
| dns | `**.pay.internal`, `.pay.internal` | one or more labels more |
| dns | `*`, `**` | any name of one label; any name |
| ip | `10.0.0.0/8`, `10.0.0.7`, `::/0` | the addresses of this network |
| uri | `https://a.internal/x`, `https://a.internal/*` | this URI alone; every URI that begins so |
| mail | `a@pay.internal`, `pay.internal`, `@pay.internal` | this mailbox alone; every mailbox at this host |

A name may itself stand for many: the wildcard `*.pay.internal` for each name with one label more (RFC 6125, 6.4.3). To
allow it, a pattern must `cover` all of them; to deny it, it is enough that one of them is `touched`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

from handsel.pki.names import dns_name

Kind = Literal["dns", "ip", "uri", "mail"]
KINDS: tuple[Kind, ...] = ("dns", "ip", "uri", "mail")

_SCHEME_AND_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_REMEMBERED = 4096
"""Patterns, and names of one request, are compared many times; taking them apart costs more than comparing."""
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Pattern:
    """One pattern. `text` is how it was written. Raises `ValueError` when it is none; see `parse`."""

    kind: Kind
    text: str

    def __post_init__(self) -> None:
        _CHECKS[self.kind](self.text)

    def __str__(self) -> str:
        return self.text

    def covers(self, name: str) -> bool:
        """Whether every name that `name` stands for matches. `name` is of this kind, in canonical form."""
        return _matches(self, name, all_of_them=True)

    def touches(self, name: str) -> bool:
        """Whether at least one name that `name` stands for matches."""
        return _matches(self, name, all_of_them=False)


def parse(text: str) -> Pattern:
    """A pattern whose kind is not said: with `://` it is of URIs, with `@` of mailboxes, else an address or a name."""
    if "://" in text:
        return Pattern("uri", text)
    if "@" in text:
        return Pattern("mail", text)
    try:
        return Pattern("ip", text)
    except ValueError:
        return Pattern("dns", text)


def kind_of(name: str) -> Kind:
    """The kind of a single name that somebody typed."""
    return parse(name).kind


def cover(patterns: Iterable[Pattern], kind: str, name: str) -> bool:
    """Whether one of the patterns covers a name."""
    return any(pattern.kind == kind and pattern.covers(name) for pattern in patterns)


def _matches(pattern: Pattern, name: str, *, all_of_them: bool) -> bool:
    match pattern.kind:
        case "dns":
            return _dns_covers(pattern.text, name) or (not all_of_them and _dns_touches(pattern.text, name))
        case "ip":
            return _in_network(pattern.text, name, mapped=not all_of_them)
        case "uri":
            return _uri_matches(pattern.text, name)
        case "mail":
            return _mail_matches(pattern.text, name, any_case=not all_of_them)


# DNS names


@lru_cache(maxsize=_REMEMBERED)
def _take_apart(pattern: str) -> tuple[str, str]:
    """A pattern of DNS names as (how many labels more: ``, `*` or `**`; the base, empty for any)."""
    text = pattern.lower()
    if text in ("*", "**"):
        return text, ""
    for prefix, more in (("**.", "**"), ("*.", "*"), (".", "**")):
        if text.startswith(prefix):
            return more, text.removeprefix(prefix)
    return "", text


def _check_dns(text: str) -> None:
    _, base = _take_apart(text)
    if "*" in base:
        raise ValueError(f"{text!r} is no pattern of DNS names: *. or **. stand at its beginning, and nowhere else")
    if text not in ("*", "**"):
        dns_name(base)


def _dns_covers(pattern: str, name: str) -> bool:
    more, base = _take_apart(pattern)
    if not more:
        return name == base
    if more == "*":
        return name.partition(".")[2] == base
    return not base or name.endswith(f".{base}")


def _dns_touches(pattern: str, name: str) -> bool:
    """Whether a wildcard stands, among others, for a name that the pattern covers."""
    more, base = _take_apart(pattern)
    return not more and name.startswith("*.") and base.partition(".")[2] == name.removeprefix("*.")


# Addresses


def _check_ip(text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address and no network: {error}") from None


_network: Callable[[str], _Network] = lru_cache(maxsize=_REMEMBERED)(ipaddress.ip_network)
_address: Callable[[str], _Address] = lru_cache(maxsize=_REMEMBERED)(ipaddress.ip_address)


def _in_network(pattern: str, name: str, *, mapped: bool) -> bool:
    network, address = _network(pattern), _address(name)
    # A denied IPv4 address is denied as well where it is written as an IPv6 one (RFC 4291, section 2.5.5.2).
    inner = address.ipv4_mapped if mapped and isinstance(address, ipaddress.IPv6Address) else None
    return address in network or (inner is not None and inner in network)


# URIs and mailboxes


def _check_uri(text: str) -> None:
    if not _SCHEME_AND_HOST.match(text) or "*" in text.removesuffix("/*"):
        raise ValueError(f"{text!r} is no pattern of URIs: write the whole URI, or its beginning up to /*")


def _uri_matches(pattern: str, name: str) -> bool:
    wanted, found = _canonical_uri(pattern), _canonical_uri(name)
    if wanted.endswith("/*"):
        return found.startswith(wanted.removesuffix("*"))
    return found == wanted


def _canonical_uri(text: str) -> str:
    """Scheme and host in lower case (RFC 3986, section 6.2.2.1)."""
    found = _SCHEME_AND_HOST.match(text)
    return text if found is None else found[0].lower() + text[found.end() :]


def _check_mail(text: str) -> None:
    mailbox, _, host = text.rpartition("@")
    if "@" in mailbox or any(each.isspace() for each in text):
        raise ValueError(f"{text!r} is no mailbox and no host of mailboxes")
    dns_name(host)


def _mail_matches(pattern: str, name: str, *, any_case: bool) -> bool:
    mailbox, _, host = pattern.rpartition("@")
    found_mailbox, _, found_host = name.rpartition("@")
    if host.lower() != found_host.lower():
        return False
    # RFC 5280, section 7.5: the mailbox is compared exactly. In practice hosts do not, so a denial takes any case.
    return not mailbox or mailbox == found_mailbox or (any_case and mailbox.lower() == found_mailbox.lower())


_CHECKS = {"dns": _check_dns, "ip": _check_ip, "uri": _check_uri, "mail": _check_mail}


def patterns_of(kind: str, texts: Iterable[str]) -> tuple[Pattern, ...]:
    """Patterns of one kind. Raises `ValueError`."""
    return tuple(Pattern(cast("Kind", kind), text) for text in texts)
