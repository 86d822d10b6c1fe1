"""The nouns of a mesh, free of faults: every name resolves, every identity is whole.

Where something was said is no part of what was said: nouns are compared without their origins.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cached_property

from handsel.model.access import Labels, Mode, PeerMode, Policy, Tokens
from handsel.model.acme_client import AcmeClient
from handsel.model.authority import Authority
from handsel.model.balancer import Balancer
from handsel.model.context import Contexts
from handsel.model.credential import Credential
from handsel.model.delivery import Delivery
from handsel.model.federation import Federated, SpiffeSettings
from handsel.model.finding import Finding
from handsel.model.gateway import Gateway, GatewayPort, Legacy, Role
from handsel.model.origin import Origin
from handsel.model.routing import Routes
from handsel.model.secret import Declared
from handsel.model.telemetry import Telemetry
from handsel.model.tls_settings import TlsSettings
from handsel.model.traffic import Traffic
from handsel.pki.names import SpiffeId, TrustDomain


class Protocol(StrEnum):
    """What a service speaks, plain, on its own port."""

    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    TCP = "tcp"

    @property
    def is_http2(self) -> bool:
        return self in (Protocol.HTTP2, Protocol.GRPC)


@dataclass(frozen=True)
class ServicePort:
    """One more port of a program, beside its main one."""

    number: int
    protocol: Protocol
    name: str = ""


@dataclass(frozen=True)
class Service:
    """A program of the mesh, or with a role of its own a proxy that has none.

    `port` 0 lets the agent choose. `calls` names services and externals, in the order of the file, each with its
    origin. `sidecar` False: started, but no part of the mesh. `command` is split and ready to run, empty when `up`
    starts nothing. `stores`: the formats (`pkcs12`, `jks`) in which the agent also keeps its key and the roots.
    `federates_with`: the trust domains whose bundles it gets; None: all. `user`: whom its program runs as where it is
    started by root: a user's name, or `auto` for one of its own; empty: whoever starts it. `files`: what the agent
    writes for it. `acme`: a certificate that the agent takes from an ACME CA for it, beside its identity.
    `staple`: an OCSP answer goes along with its certificate. `more_ports`: where it listens beside `port`. `guarded`:
    only those may call it that name it in their calls; False: as in Istio, whoever is of the mesh, unless a policy says
    otherwise. `exposes`: ports of its own proxy for the outside. `legacy`: what its adapter stands before instead of a
    program. `listens`: of a gateway, where it really has a port that is named otherwise.
    """

    name: str
    identity: SpiffeId
    protocol: Protocol
    port: int
    command: tuple[str, ...]
    calls: Mapping[str, Origin] = field(compare=False)
    sidecar: bool
    origin: Origin = field(compare=False)
    stores: tuple[str, ...] = ()
    federates_with: tuple[str, ...] | None = None
    user: str = ""
    files: tuple[Delivery, ...] = ()
    acme: AcmeClient | None = None
    staple: bool = False
    namespace: str = "default"
    labels: Labels = ()
    more_ports: tuple[ServicePort, ...] = ()
    role: Role = Role.SIDECAR
    guarded: bool = True
    exposes: tuple[GatewayPort, ...] = ()
    legacy: Legacy | None = None
    listens: tuple[tuple[int, int], ...] = ()
    callees: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "callees", tuple(self.calls))  # what counts of them where services are compared

    def has_labels(self, wanted: Labels) -> bool:
        """Whether these are among its labels."""
        mine = dict(self.labels)
        return all(mine.get(key) == value for key, value in wanted)


def is_address(text: str) -> bool:
    """Whether this is an IP address rather than a name for DNS."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class ExternalTls(StrEnum):
    """How a sidecar speaks to the outside."""

    DISABLE = "disable"
    SIMPLE = "simple"
    MUTUAL = "mutual"


@dataclass(frozen=True)
class External:
    """A service outside the mesh, and the TLS that the sidecar makes towards it.

    Programs call `http://host/`, or `http://host:plain_port/` when that is not 80; `port` is where TLS goes.
    `endpoints` are (address, port) pairs, each address an IP address or a name for DNS; empty means `host` by DNS.
    Paths are absolute. `ca_certificates` empty means the operating system's roots. `server_names` are the names of
    which its certificate must carry one. `request_timeout` None leaves it to us, zero is no limit. `endpoint_labels`
    and `weights`: one an endpoint, empty when they say nothing. `one_address`: of all that DNS has only the first is
    used, anew for each connection. `credential` names a secret in place of the client's files and of the roots.
    """

    name: str
    host: str
    port: int
    plain_port: int
    protocol: Protocol
    endpoints: tuple[tuple[str, int], ...]
    tls: ExternalTls
    client_certificate: str
    private_key: str
    ca_certificates: str
    server_name: str
    server_names: tuple[str, ...]
    origin: Origin = field(compare=False)
    request_timeout: timedelta | None = None
    namespace: str = "default"
    aliases: tuple[str, ...] = ()
    endpoint_labels: tuple[Labels, ...] = ()
    weights: tuple[int, ...] = ()
    one_address: bool = False
    credential: str = ""

    def names_in(self, namespace: str) -> tuple[str, ...]:
        """What programs of a namespace write."""
        return _names_in(self, namespace)


@dataclass(frozen=True)
class Group:
    """A name behind which several services stand: those of `services` at their port `target_port` (0: the main one).

    `host` and `aliases` are what programs write, `port` the port they write. `target_ports`: of those that listen
    elsewhere, by name.
    """

    name: str
    host: str
    port: int
    protocol: Protocol
    services: tuple[str, ...]
    origin: Origin = field(compare=False)
    aliases: tuple[str, ...] = ()
    target_port: int = 0
    namespace: str = "default"
    target_ports: tuple[tuple[str, int], ...] = ()

    def port_of(self, service: str) -> int:
        """Where one of its services listens for it; 0: at its main port."""
        return dict(self.target_ports).get(service, self.target_port)

    def names_in(self, namespace: str) -> tuple[str, ...]:
        """What programs of a namespace write."""
        return _names_in(self, namespace)


def _names_in(callee: External | Group, namespace: str) -> tuple[str, ...]:
    """An alias without a dot is one of the callee's own namespace."""
    return (callee.host, *(each for each in callee.aliases if "." in each or namespace == callee.namespace))


Callee = Service | External | Group
"""What a call may name."""


@dataclass(frozen=True)
class Mesh:
    """The whole graph of one trust domain."""

    trust_domain: TrustDomain
    services: Mapping[str, Service]
    externals: Mapping[str, External]
    leaf_lifetime: timedelta
    renew_after: timedelta | None
    requests_seen: bool
    folder: str
    notes: tuple[str, ...] = field(default=())
    authority: Authority = field(default=Authority())
    contexts: Contexts = field(default_factory=dict)
    secrets: Declared = field(default_factory=dict)
    federation: Mapping[str, Federated] = field(default_factory=dict)
    spiffe: SpiffeSettings = field(default=SpiffeSettings())
    telemetry: Telemetry = field(default=Telemetry())
    groups: Mapping[str, Group] = field(default_factory=dict)
    routes: tuple[Routes, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    mode: Mode = Mode.STRICT
    modes: tuple[PeerMode, ...] = ()
    policies: tuple[Policy, ...] = ()
    tokens: tuple[Tokens, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    balancers: tuple[Balancer, ...] = ()
    credentials: tuple[Credential, ...] = ()
    findings: tuple[Finding, ...] = ()
    root_namespace: str = "istio-system"
    tls: TlsSettings = field(default=TlsSettings())

    def callee(self, name: str) -> Callee | None:
        """What a call of this name reaches."""
        return self.groups.get(name) or self.externals.get(name) or self.members.get(name)

    @cached_property
    def members(self) -> dict[str, Service]:
        """The services that have a sidecar, by name."""
        return {name: service for name, service in self.services.items() if service.sidecar}

    def federating_with(self, domain: str) -> tuple[str, ...]:
        """The members that get the bundle of another trust domain."""
        return tuple(
            name for name, each in self.members.items() if each.federates_with is None or domain in each.federates_with
        )

    def callers_of(self, service: str) -> list[Service]:
        """The services that may call this one, by its name or a group's, in the order of the file."""
        names = {service, *(name for name, group in self.groups.items() if service in group.services)}
        return [caller for caller in self.members.values() if not names.isdisjoint(caller.calls)]
