"""How the values of a rule are compared (Istio's AuthorizationPolicy, "Value matching")."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from handsel.pki.names import SpiffeId

_SCHEME = "spiffe://"
_WORKLOAD = re.compile(r"/ns/([^/]+)/sa/([^/]+)")
_ENTRY = re.compile(r"\[([^\]]+)\]")
_VARIABLE = re.compile(r"\{\*\*?\}")


def fits(pattern: str, value: str) -> bool:
    """Exact, or with one `*` at an end a prefix or suffix; `*` alone: anything that is not empty."""
    if pattern == "*":
        return value != ""
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    return value == pattern


def host_fits(pattern: str, value: str) -> bool:
    """Host names know no case."""
    return fits(pattern.lower(), value.lower())


def path_fits(pattern: str, value: str) -> bool:
    """Paths may have `{*}` for one segment and `{**}` for any number of them."""
    if "{" not in pattern:
        return fits(pattern, value)
    return re.fullmatch(path_expression(pattern), value) is not None


def path_expression(pattern: str) -> str:
    """A path with `{*}` or `{**}` as a regular expression."""
    fixed = _VARIABLE.split(pattern)
    found = [".*" if each == "{**}" else "[^/]+" for each in _VARIABLE.findall(pattern)]
    return re.escape(fixed[0]) + "".join(each + re.escape(part) for each, part in zip(found, fixed[1:], strict=True))


def block_has(block: str, address: str) -> bool:
    """Whether an address is in a block (CIDR, or a single address)."""
    network = ipaddress.ip_network(block, strict=False)
    found = ipaddress.ip_address(address)
    return found.version == network.version and found in network


def principal(identity: SpiffeId) -> str:
    """An identity as Istio's principals have it."""
    return str(identity).removeprefix(_SCHEME)


def without_scheme(pattern: str) -> str:
    """A pattern of principals, which people also write with the scheme."""
    return pattern.removeprefix(_SCHEME)


def namespace(identity: SpiffeId) -> str:
    """The namespace of a workload's identity; of any other nothing."""
    found = _WORKLOAD.fullmatch(identity.path)
    return found[1] if found else ""


def service_account(identity: SpiffeId) -> str:
    """The service account as `namespace/name`; of an identity that is no workload's nothing."""
    found = _WORKLOAD.fullmatch(identity.path)
    return f"{found[1]}/{found[2]}" if found else ""


def entries(key: str) -> tuple[str, ...]:
    """The names in brackets of a condition's key: `request.auth.claims[a][b]` has `a` and `b`."""
    return tuple(_ENTRY.findall(key))


def claim(token: Mapping[str, Any], path: tuple[str, ...]) -> tuple[str, ...]:
    """The values of a claim that are text: those of a list, or its only one."""
    found: Any = token
    for step in path:
        found = found.get(step) if isinstance(found, Mapping) else None
    several = found if isinstance(found, list | tuple) else [found]
    return tuple(each for each in several if isinstance(each, str))
