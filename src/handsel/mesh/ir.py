"""The intermediate representation: who talks to whom and how it is verified. Knows nothing of Envoy's words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from handsel.mesh.balancing import Balancing
from handsel.mesh.intent import (
    PeerAnyone,
    PeerIds,
    TlsIntent,
)
from handsel.model.access import Mode, Rule, TokenIssuer
from handsel.model.routing import UNCHANGED, Cors, Fault, Headers, Redirect, RequestMatch, Response, Retry, Rewrite
from handsel.model.telemetry import Tracing
from handsel.model.traffic import NOTHING_SAID, Sticky, TrafficPolicy
from handsel.pki.names import SpiffeId


class Layer(IntEnum):
    """How deep a proxy looks into a connection."""

    TCP = 4
    HTTP = 7


@dataclass(frozen=True)
class Access:
    """Who may do what at a port: what fits `deny` is refused; then one of `calls`, who may do everything, gets through,
    and what fits one of `allow`. Both None: whatever was not refused.

    Of `audit` only a note is taken. `tokens`: the issuers of tokens that are checked before. Each rule with a name.
    """

    allow: tuple[tuple[str, Rule], ...] | None = None
    deny: tuple[tuple[str, Rule], ...] = ()
    audit: tuple[tuple[str, Rule], ...] = ()
    tokens: tuple[TokenIssuer, ...] = ()
    calls: tuple[SpiffeId, ...] | None = None


@dataclass(frozen=True)
class Near:
    """Whom a port lets in from the addresses of a block (CIDR): the smallest block with an address counts."""

    block: str
    peer: PeerIds | PeerAnyone
    plaintext: bool


@dataclass(frozen=True)
class Behind:
    """What an adapter stands before in place of a program: an address or a name for DNS, and the TLS towards it.

    `authority`: the Host that it knows. `http10`: it reads no chunks, and answers one request a connection.
    """

    host: str
    port: int
    tls: TlsIntent | None
    authority: str
    http10: bool = False


@dataclass(frozen=True)
class Inbound:
    """A mesh port of a workload. `name`: `inbound`, or `inbound.PORT` for one of its further ports.

    `callers`: exactly who may call, empty where that is not decided by names. `access`: what is asked beyond that.
    `server_first`: its program may speak first. `plaintext`: what is asked of whoever comes without TLS, None: nobody
    does. `near`: the addresses for which the handshake decides otherwise. `behind`: what is there instead of a program.
    `from_gateway`: callers are gateways too, which tell of clients. `revocation`: the number of the last one of a
    caller; a new one drains the port.
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
    server_first: bool = False
    plaintext: Access | None = None
    near: tuple[Near, ...] = ()
    behind: Behind | None = None
    from_gateway: bool = False
    revocation: int = 0


PROGRAM = "_application"
"""The cluster of the proxy's own program, at its main port."""


@dataclass(frozen=True)
class Upstream:
    """Where a call goes: a cluster. `endpoints` are addresses; `dns` True means that they are names to resolve.

    `one_address`: of all that DNS has the first only. `weights`: one an endpoint, empty when all are alike. `by_eds`
    True lets the addresses change without touching the rest. `plain`: the endpoints that take no TLS, where others do.
    `policy`: how requests are spread and limited; its TLS is in `tls`. `revocation`: as in `Inbound`, of the callee.
    """

    name: str
    tls: TlsIntent | None
    http2: bool
    endpoints: tuple[tuple[str, int], ...]
    by_eds: bool
    connect_timeout: timedelta
    dns: bool = False
    one_address: bool = False
    weights: tuple[int, ...] = ()
    policy: TrafficPolicy = NOTHING_SAID
    plain: tuple[tuple[str, int], ...] = ()
    revocation: int = 0


@dataclass(frozen=True)
class Weighted:
    """A share of the requests, for the cluster `upstream`. Weights are relative. `host`: as `Route` has it."""

    upstream: str
    weight: int = 1
    headers: Headers = UNCHANGED
    host: str = ""


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
class ByServerName:
    """Where the bytes of a TLS connection go, by the name in its greeting (SNI, perhaps `*.example.com`)."""

    server_names: tuple[str, ...]
    to: tuple[Weighted, ...]


@dataclass(frozen=True)
class Outbound:
    """A callee as its caller sees it: a loopback port, and host names at the proxy port.

    `hosts` and `host_port` are what programs write in `http://host:host_port/` (80 goes without saying); the first of
    them goes along. `named`: more addresses and ports, to which its name leads. `layer` TCP passes bytes to `to`;
    HTTP, and the proxy port always, goes by `routes`. The last fields are of layer 4: connections that go elsewhere by
    their server name, when an idle or an old one is closed, and whether those of one address go to one endpoint.
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
    by_server_name: tuple[ByServerName, ...] = ()
    idle_timeout: timedelta | None = None
    maximum_age: timedelta | None = None
    by_source: bool = False

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The clusters that it may lead to, each once."""
        found = [each.upstream for each in self.to] if self.layer is Layer.TCP else []
        found += [each.upstream for rule in self.by_server_name for each in rule.to]
        for route in self.routes:
            found += [each.upstream for each in route.to]
            found += [each.upstream for each in route.mirrors]
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Site:
    """Host names that are answered alike, perhaps `*.example.com` or `*`."""

    name: str
    hosts: tuple[str, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True)
class Chain:
    """What becomes of the connections of some server names (SNI, perhaps `*.example.com`; none: of all others).

    `tls` None: they are plain, or pass as they are. Their requests go by `sites`; without these their bytes go `to`.
    A request for another host is misdirected (421) where it is one of `elsewhere`, or where the chain has server names
    of its own; else it is not found. `tells_client`: the program learns what the client's certificate says. `access`:
    what is asked of each request. `closed`: such a connection is ended at once.
    """

    name: str
    server_names: tuple[str, ...] = ()
    tls: TlsIntent | None = None
    sites: tuple[Site, ...] = ()
    to: tuple[Weighted, ...] = ()
    elsewhere: tuple[str, ...] = ()
    tells_client: bool = False
    subnets: tuple[str, ...] = ()
    access: Access = Access()
    closed: bool = False
    revocation: int = 0


@dataclass(frozen=True)
class Front:
    """A port for whoever comes from outside the proxy's own program: of a gateway, or one that a service exposes."""

    name: str
    address: str
    port: int
    chains: tuple[Chain, ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets of its chains."""
        return tuple(dict.fromkeys(name for each in self.chains if each.tls for name in each.tls.secrets))


@dataclass(frozen=True)
class WorkloadPlan:
    """Everything that one proxy does. `inbounds`: none for an ambassador; the first is the main one.

    `calls` False: there is no program that could call anybody.
    """

    service: str
    identity: SpiffeId
    access_log: str
    proxy_port: int
    inbounds: tuple[Inbound, ...]
    outbounds: tuple[Outbound, ...]
    upstreams: tuple[Upstream, ...]
    fronts: tuple[Front, ...] = ()
    calls: bool = True
    balancing: Balancing | None = None
    tracing: Tracing | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that this proxy may ask for."""
        intents = [*(each.tls for each in self.inbounds), *(each.tls for each in self.upstreams)]
        intents += [each.behind.tls for each in self.inbounds if each.behind]
        names = {name for intent in intents if intent for name in intent.secrets}
        names.update(*(each.secrets for each in self.fronts), self.balancing.secrets if self.balancing else ())
        return tuple(sorted(names))

    def revocation_of(self, outbound: Outbound) -> int:
        """The number of the last revocation of a peer behind a callee."""
        reached = outbound.upstreams
        return max((each.revocation for each in self.upstreams if each.name in reached), default=0)
