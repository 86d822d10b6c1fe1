"""Who may reach what: modes of mutual TLS, authorization, tokens.

What Istio's security resources and the mesh file say. A text in a list of values is exact, or with one `*` at an end a
prefix or suffix, or `*` alone: present (Istio's AuthorizationPolicy, "Value matching").
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from handsel.model.origin import NOWHERE, Origin

Labels = tuple[tuple[str, str], ...]
"""Labels as sorted pairs. As a selector: all of them; none: everything."""


class Mode(StrEnum):
    """What a port takes. `PERMISSIVE`: plaintext beside mutual TLS, for moving; `DISABLE`: plaintext only."""

    STRICT = "strict"
    PERMISSIVE = "permissive"
    DISABLE = "disable"


@dataclass(frozen=True)
class PeerMode:
    """The mode of some workloads (Istio's PeerAuthentication). `namespace` empty: of the whole mesh.

    `mode` None: as the next larger scope has it. `ports`: by the port at which the program listens. `services`: who is
    meant, by name (the mesh file says so; Istio by `selector`).
    """

    name: str
    namespace: str
    selector: Labels
    mode: Mode | None
    ports: tuple[tuple[int, Mode | None], ...] = ()
    created: str = ""
    services: tuple[str, ...] = ()
    origin: Origin = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Source:
    """Who calls: each list that is not empty must have one that fits, each `not_` list none.

    `callers`: those that name the service in their calls. Where there are no identities, on a port that takes
    plaintext, that is not asked.
    """

    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    not_service_accounts: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()
    not_trust_domains: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()
    not_request_principals: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()
    not_remote_ip_blocks: tuple[str, ...] = ()
    callers: bool = False


@dataclass(frozen=True)
class Operation:
    """What is asked for, likewise. Ports are those at which the program listens."""

    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    not_ports: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Condition:
    """One `when`: an attribute such as `request.headers[x-token]`, and its values."""

    key: str
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """Some source, some operation, and every condition must fit; a part of which nothing is said always fits."""

    sources: tuple[Source, ...] = ()
    operations: tuple[Operation, ...] = ()
    conditions: tuple[Condition, ...] = ()
    origin: Origin = field(default=NOWHERE, compare=False)


_KEYS = (
    *("source.ip", "remote.ip", "source.namespace", "source.principal", "source.serviceAccount"),
    *("request.auth.principal", "request.auth.audiences", "request.auth.presenter"),
    *("destination.ip", "destination.port", "connection.sni"),
)
# A header's name is a token (RFC 9110, section 5.6.2); `:authority` and its like are HTTP/2's.
HEADER = re.compile(r":?[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
LONGEST_VALUE = 1024
"""Of a text that is compared: longer ones are no names of anything, and patterns cost memory."""
_KEYS_WITH_NAMES = re.compile(
    rf"request\.headers\[{HEADER.pattern}\]" r"|request\.auth\.claims(?:\[[^\[\]]{1,256}\]){1,8}"
)
_ADDRESSES = ("source.ip", "remote.ip", "destination.ip")
_MAXIMUM_PORT = 65535


def condition_fault(key: str, values: Sequence[str]) -> str:
    """What is wrong with a condition: an attribute that there is not, or values that can be none of it."""
    if key not in _KEYS and not _KEYS_WITH_NAMES.fullmatch(key):
        close = difflib.get_close_matches(key, (*_KEYS, "request.headers[NAME]", "request.auth.claims[NAME]"), n=1)
        return f"no attribute is called {key[:60]!r}" + (f', did you mean "{close[0]}"?' if close else "")
    if not values:
        return f"{key} needs a value"
    return next((fault for fault in (_value_fault(key, value) for value in values) if fault), "")


def _value_fault(key: str, value: str) -> str:
    if key in _ADDRESSES:
        return "" if _is_block(value) else f"{value[:40]!r} is no IP address and no block such as 10.0.0.0/8"
    if key == "destination.port" and not (value.isdecimal() and 0 < int(value) <= _MAXIMUM_PORT):
        return f"{value[:40]!r} is no port"
    if key == "source.serviceAccount" and "*" in value:
        return "a service account is written out"
    return length_fault(value)


def pattern_fault(text: str) -> str:
    """What is wrong with a text that is compared."""
    if fault := length_fault(text):
        return fault
    if "*" in re.sub(r"\{\*\*?\}", "", text)[1:-1] or (len(text) > 1 and text[0] == text[-1] == "*"):
        return f"{text[:40]!r}: a * stands for anything at the start or at the end only, or alone"
    return ""


def length_fault(text: str) -> str:
    """What is wrong with the length of a text that is compared."""
    if not text:
        return "an empty text fits nothing"
    return f"a text that is compared has at most {LONGEST_VALUE} characters" if len(text) > LONGEST_VALUE else ""


def _is_block(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


class Action(StrEnum):
    """What a policy does with what fits. DENY is asked before ALLOW."""

    ALLOW = "allow"
    DENY = "deny"
    AUDIT = "audit"


@dataclass(frozen=True)
class Policy:
    """Istio's AuthorizationPolicy. `namespace` empty: of every namespace. ALLOW without rules allows nothing.

    `services`: who is meant, by name. Such an ALLOW takes the place of what the calls of others allow by themselves.
    """

    name: str
    namespace: str
    selector: Labels
    action: Action
    rules: tuple[Rule, ...]
    services: tuple[str, ...] = ()
    origin: Origin = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class TokenIssuer:
    """One issuer of tokens (JWT, RFC 7519) that requests may bring; a token of it that is not valid is refused.

    Keys are `jwks` as text, or fetched from `jwks_uri`. Without a place said, the token is in `Authorization: Bearer`.
    """

    issuer: str
    audiences: tuple[str, ...] = ()
    jwks: str = ""
    jwks_uri: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """(header, what stands before the token)."""
    parameters: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()
    payload_header: str = ""
    claim_headers: tuple[tuple[str, str], ...] = ()
    """(header, claim)."""
    forward: bool = False
    timeout: timedelta | None = None
    space_delimited_claims: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tokens:
    """The issuers that some workloads know (Istio's RequestAuthentication). `namespace` empty: of every namespace.

    `services`: who is meant, by name.
    """

    name: str
    namespace: str
    selector: Labels
    issuers: tuple[TokenIssuer, ...]
    services: tuple[str, ...] = ()
    origin: Origin = field(default=NOWHERE, compare=False)
