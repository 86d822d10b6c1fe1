"""Who may reach what: modes of mutual TLS, authorization, tokens.

What Istio's security resources and the mesh file say. A text in a list of values is exact, or with one `*` at an end a
prefix or suffix, or `*` alone: present (Istio's AuthorizationPolicy, "Value matching").
"""

from __future__ import annotations

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

    `mode` None: as the next larger scope has it. `ports`: by the port at which the program listens.
    """

    name: str
    namespace: str
    selector: Labels
    mode: Mode | None
    ports: tuple[tuple[int, Mode | None], ...] = ()
    created: str = ""
    origin: Origin = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Source:
    """Who calls: each list that is not empty must have one that fits, each `not_` list none."""

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


class Action(StrEnum):
    """What a policy does with what fits. DENY is asked before ALLOW."""

    ALLOW = "allow"
    DENY = "deny"
    AUDIT = "audit"


@dataclass(frozen=True)
class Policy:
    """Istio's AuthorizationPolicy. `namespace` empty: of every namespace. ALLOW without rules allows nothing."""

    name: str
    namespace: str
    selector: Labels
    action: Action
    rules: tuple[Rule, ...]
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
    """The issuers that some workloads know (Istio's RequestAuthentication). `namespace` empty: of every namespace."""

    name: str
    namespace: str
    selector: Labels
    issuers: tuple[TokenIssuer, ...]
    origin: Origin = field(default=NOWHERE, compare=False)
