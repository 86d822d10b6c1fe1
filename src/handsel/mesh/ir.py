"""The intermediate representation: who talks to whom and how it is verified. Knows nothing of Envoy's words.

`TlsIntent` is the only origin of TLS contexts, so that none ever rests on a proxy's defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from handsel.model.access import Mode, Rule, TokenIssuer
from handsel.model.routing import UNCHANGED, Cors, Fault, Headers, Redirect, RequestMatch, Response, Retry, Rewrite
from handsel.model.traffic import NOTHING_SAID, Sticky, TrafficPolicy
from handsel.pki.names import SpiffeId, TrustDomain


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
class PeerAnyone:
    """The peer is any workload of this trust domain: what Istio means where nothing is said about callers."""

    trust_domain: TrustDomain


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
    peer: PeerIds | PeerAnyone | PeerHosts
    parameters: TlsParameters
    server_name: str = ""
    application_protocols: tuple[str, ...] = ()


@dataclass(frozen=True)
class Access:
    """Who may do what at a port: what fits `deny` is refused, then what fits none of `allow` (None: nothing more is).

    Of `audit` only a note is taken. `tokens`: the issuers of tokens that are checked before. Each rule with a name.
    """

    allow: tuple[tuple[str, Rule], ...] | None = None
    deny: tuple[tuple[str, Rule], ...] = ()
    audit: tuple[tuple[str, Rule], ...] = ()
    tokens: tuple[TokenIssuer, ...] = ()


@dataclass(frozen=True)
class Inbound:
    """A mesh port of a workload. `name`: `inbound`, or `inbound.PORT` for one of its further ports.

    `callers`: exactly who may call, empty where that is not decided by names. `access`: what is asked beyond that.
    `revocation`: the number of the last one of a caller; a new one drains the port.
    """

    name: str
    address: str
    mesh_port: int
    application_port: int
    layer: Layer
    application_http2: bool
    tls: TlsIntent
    callers: tuple[SpiffeId, ...]
    access: Access = Access()
    mode: Mode = Mode.STRICT
    revocation: int = 0


@dataclass(frozen=True)
class Upstream:
    """Where a call goes: a cluster. `endpoints` are addresses; `dns` True means that they are names to resolve.

    `weights`: one an endpoint, empty when all are alike. `by_eds` True lets the addresses change without touching the
    rest. `policy`: how requests are spread and limited; its TLS is in `tls`. `revocation`: as `Inbound` has it, of the
    callee.
    """

    name: str
    tls: TlsIntent | None
    http2: bool
    endpoints: tuple[tuple[str, int], ...]
    by_eds: bool
    connect_timeout: timedelta
    dns: bool = False
    weights: tuple[int, ...] = ()
    policy: TrafficPolicy = NOTHING_SAID
    revocation: int = 0


@dataclass(frozen=True)
class Weighted:
    """A share of the requests, for the cluster `upstream`. Weights are relative."""

    upstream: str
    weight: int = 1
    headers: Headers = UNCHANGED


@dataclass(frozen=True)
class Mirrored:
    """A copy of this many percent of the requests, for the cluster `upstream`."""

    upstream: str
    percent: float


@dataclass(frozen=True)
class Route:
    """What happens with a request that fits one of `matches` (none: every one): the first that fits counts.

    Exactly one of `to`, `redirect`, `response` says what. `timeout` None or zero: no limit. `host`: what takes the
    place of the Host that the program wrote, empty: it stays. `sticky`: by what a request finds its endpoint again.
    """

    name: str = ""
    matches: tuple[RequestMatch, ...] = ()
    to: tuple[Weighted, ...] = ()
    redirect: Redirect | None = None
    response: Response | None = None
    timeout: timedelta | None = None
    retry: Retry | None = None
    headers: Headers = UNCHANGED
    rewrite: Rewrite | None = None
    host: str = ""
    fault: Fault | None = None
    mirrors: tuple[Mirrored, ...] = ()
    cors: Cors | None = None
    sticky: Sticky | None = None


@dataclass(frozen=True)
class Outbound:
    """A callee as its caller sees it: a loopback port, and host names at the proxy port.

    `hosts` and `host_port` are what programs write in `http://host:host_port/` (80 goes without saying); the first of
    them goes along. `named`: more addresses and ports, to which its name leads. `layer` TCP passes bytes to `to`;
    HTTP, and the proxy port always, goes by `routes`.
    """

    callee: str
    port: int
    layer: Layer
    listener_http2: bool
    via_proxy: bool
    hosts: tuple[str, ...]
    host_port: int
    routes: tuple[Route, ...]
    to: tuple[Weighted, ...]
    named: tuple[tuple[str, int], ...] = ()

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The clusters that it may lead to, each once."""
        found = [each.upstream for each in self.to]
        for route in self.routes:
            found += [each.upstream for each in route.to]
            found += [each.upstream for each in route.mirrors]
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class WorkloadPlan:
    """Everything that one proxy does. `inbounds`: none for an ambassador; the first is the main one."""

    service: str
    identity: SpiffeId
    access_log: str
    proxy_port: int
    inbounds: tuple[Inbound, ...]
    outbounds: tuple[Outbound, ...]
    upstreams: tuple[Upstream, ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that this proxy may ask for."""
        intents = [*(each.tls for each in self.inbounds), *(each.tls for each in self.upstreams)]
        names = {name for intent in intents if intent for name in (intent.identity_secret, intent.trust_secret)}
        return tuple(sorted(names - {""}))

    def revocation_of(self, outbound: Outbound) -> int:
        """The number of the last revocation of a peer behind a callee."""
        reached = outbound.upstreams
        return max((each.revocation for each in self.upstreams if each.name in reached), default=0)
