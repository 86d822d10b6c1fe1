"""The intermediate representation: who talks to whom and how it is verified. Knows nothing of Envoy's words.

`TlsIntent` is the only origin of TLS contexts, so that none ever rests on a proxy's defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from handsel.pki.names import SpiffeId


class Layer(IntEnum):
    """How deep a proxy looks into a connection."""

    TCP = 4
    HTTP = 7


@dataclass(frozen=True)
class TlsParameters:
    """Versions and key-exchange groups, in order of preference."""

    minimum: str
    maximum: str
    groups: tuple[str, ...]


MESH_TLS = TlsParameters("TLSv1_3", "TLSv1_3", ("X25519MLKEM768", "X25519"))
"""Between our own proxies: no downgrade, post-quantum first."""

EXTERNAL_TLS = TlsParameters("TLSv1_2", "TLSv1_3", ("X25519MLKEM768", "X25519", "P-256"))
"""Towards third parties, which may have no more than TLS 1.2 and P-256."""


@dataclass(frozen=True)
class PeerIds:
    """The peer must carry exactly one of these SPIFFE IDs. Never empty: an empty list would admit all."""

    allowed: tuple[SpiffeId, ...]

    def __post_init__(self) -> None:
        if not self.allowed:
            raise ValueError("name at least one identity; TrustDomain.nobody when none is allowed")


@dataclass(frozen=True)
class PeerHosts:
    """The peer is of a foreign PKI and must carry one of these DNS names (or IP addresses)."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class TlsIntent:
    """One side of a TLS connection: what we show, whom we believe, whom we expect.

    `identity_secret` empty shows no certificate. `application_protocols` are ALPN names.
    """

    identity_secret: str
    trust_secret: str
    peer: PeerIds | PeerHosts
    parameters: TlsParameters
    server_name: str = ""
    application_protocols: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inbound:
    """The mesh port of a workload. `revocation`: the number of the last one of a caller; a new one drains the port."""

    address: str
    mesh_port: int
    application_port: int
    layer: Layer
    application_http2: bool
    tls: TlsIntent
    callers: tuple[SpiffeId, ...]
    revocation: int = 0


@dataclass(frozen=True)
class Upstream:
    """Where a call goes: a cluster. `endpoints` are addresses; `dns` True means that they are names to resolve.

    `by_eds` True lets the addresses change without touching the rest. `revocation`: as `Inbound` has it, of the callee.
    """

    name: str
    tls: TlsIntent | None
    http2: bool
    endpoints: tuple[tuple[str, int], ...]
    by_eds: bool
    connect_timeout: timedelta
    dns: bool = False
    revocation: int = 0


@dataclass(frozen=True)
class Outbound:
    """A callee as its caller sees it: a loopback port, and host names at the proxy port.

    `host` and `host_port` are what programs write in `http://host:host_port/` (80 goes without saying);
    `named`: more addresses and ports, to which its name leads. `rewrite_host` True sends it without a port.
    `request_timeout` None or zero is no limit.
    """

    callee: str
    port: int
    layer: Layer
    listener_http2: bool
    via_proxy: bool
    host: str
    host_port: int
    rewrite_host: bool
    request_timeout: timedelta | None
    upstream: Upstream
    named: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class WorkloadPlan:
    """Everything that one proxy does."""

    service: str
    identity: SpiffeId
    access_log: str
    proxy_port: int
    inbound: Inbound
    outbounds: tuple[Outbound, ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that this proxy may ask for."""
        intents = [self.inbound.tls, *(outbound.upstream.tls for outbound in self.outbounds)]
        names = {name for intent in intents if intent for name in (intent.identity_secret, intent.trust_secret)}
        return tuple(sorted(names - {""}))
