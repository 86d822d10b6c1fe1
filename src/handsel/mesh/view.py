"""What the plan of one proxy is made from, and nothing else: as long as its view is the same, so is its plan.

That is what makes compiling after a change cheap: views are compared, and only what has another one is made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property

from handsel.link.report import WorkloadReport
from handsel.mesh.edge import Guarded, Served
from handsel.mesh.intent import EDGE_TLS, EXTERNAL_TLS, MESH_TLS, TlsParameters
from handsel.model.access import Labels, Mode, Policy, Tokens
from handsel.model.balancer import Balancer
from handsel.model.gateway import GatewayPort
from handsel.model.graph import Callee, External, Service
from handsel.model.routing import Routes
from handsel.model.telemetry import Tracing
from handsel.model.traffic import TrafficPolicy
from handsel.pki.names import SpiffeId, TrustDomain

Address = tuple[str, int]


@dataclass(frozen=True)
class Seat:
    """What the agent chose for a workload: the part of its report on which configuration depends."""

    address: str
    application_port: int
    mesh_port: int
    proxy_port: int
    access_log: str
    callee_ports: tuple[tuple[str, int], ...]
    callee_addresses: tuple[tuple[str, str], ...]
    more_ports: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Reached:
    """A cluster before it has a shape: a callee or a subset of it, who answers, where, and how it is spoken to.

    `services`: those of the mesh that answer; none for what is outside. `plain`: the endpoints that take no TLS.
    `door`: the port of a gateway at which they are. `labels`: of what is outside, those that its endpoints must have.
    """

    name: str
    callee: Callee
    services: tuple[Service, ...]
    endpoints: tuple[Address, ...]
    policy: TrafficPolicy
    plain: tuple[Address, ...] = ()
    door: GatewayPort | None = None
    labels: Labels = ()


@dataclass(frozen=True)
class Called:
    """A callee of a workload: its loopback port and address there, and the rules for requests to it, if any."""

    callee: Callee
    port: int
    address: str
    routes: Routes | None


@dataclass(frozen=True)
class View:
    """Everything on which one proxy's configuration depends.

    `modes`: what each port takes (0: the main one). `known`: the identities of the mesh, where policies are asked.
    `keys`: where the keys of tokens are fetched. `served` and `guarded`: of a gateway. `credentials`: those that it
    uses, each with the unit in which it comes.
    """

    trust_domain: TrustDomain
    service: Service
    seat: Seat
    callers: tuple[Service, ...]
    called: tuple[Called, ...]
    reached: tuple[Reached, ...]
    policies: tuple[Policy, ...]
    modes: tuple[tuple[int, Mode], ...]
    tokens: tuple[Tokens, ...]
    known: tuple[SpiffeId, ...]
    keys: tuple[Reached, ...]
    mesh: Usual
    withdrawn: tuple[tuple[str, int], ...]
    served: tuple[Served, ...] = ()
    guarded: tuple[Guarded, ...] = ()
    credentials: tuple[tuple[str, str], ...] = ()
    balancer: Balancer | None = None
    behind_gateway: bool = False

    @cached_property
    def policy_of(self) -> Mapping[str, TrafficPolicy]:
        """How each cluster is spoken to, by its name."""
        return {each.name: each.policy for each in self.reached}

    def newest(self, peers: Iterable[object] | None) -> int:
        """The number of the last revocation among these identities; None: among all that are known."""
        known = None if peers is None else {str(each) for each in peers}
        return max((number for name, number in self.withdrawn if known is None or name in known), default=0)


@dataclass(frozen=True)
class Usual:
    """What holds for the whole mesh. TLS between proxies, towards third parties, and at the edge."""

    requests_seen: bool
    root_namespace: str
    tracing: Tracing | None = None
    within: TlsParameters = MESH_TLS
    outside: TlsParameters = EXTERNAL_TLS
    edge: TlsParameters = EDGE_TLS


def credential_of(reached: Reached) -> str:
    """The credential that a callee is shown, if any."""
    if reached.policy.tls is not None:
        return reached.policy.tls.credential
    return reached.callee.credential if isinstance(reached.callee, External) else ""


def cluster_name(callee: str, subset: str) -> str:
    """The name of the cluster of a callee, or of a subset of it. No callee has a dot in its name."""
    return f"{callee}.{subset}" if subset else callee


def passing_name(service: str) -> str:
    """The name of the cluster to which connections pass with the TLS that they bring. No callee has an underscore."""
    return f"passed_{service}"


def over(below: TrafficPolicy, above: TrafficPolicy) -> TrafficPolicy:
    """Field by field, what `above` says, and where it says nothing what `below` does (a subset's policy)."""
    said = {each.name: getattr(above, each.name) for each in fields(above)}
    return replace(below, **{name: value for name, value in said.items() if value is not None})


def written_ports(callee: Callee) -> tuple[int, ...]:
    """The ports that programs write for a callee, by which rules go. `http://name/` leads to a service as well."""
    if isinstance(callee, External):
        return (callee.plain_port,)
    return (callee.port, 80) if isinstance(callee, Service) else (callee.port,)


def for_port(
    said: tuple[tuple[int, TrafficPolicy], ...], ports: tuple[int, ...], otherwise: TrafficPolicy
) -> TrafficPolicy:
    """The policy that was said for one of these ports."""
    return next((policy for port, policy in said if port in ports), otherwise)


def seat_of(report: WorkloadReport) -> Seat:
    """What a report says of where things are."""
    return Seat(
        report.address,
        report.application_port,
        report.mesh_port,
        report.proxy_port,
        report.access_log,
        tuple(sorted(report.callee_ports.items())),
        tuple(sorted(report.callee_addresses.items())),
        tuple(sorted(report.more_ports.items())),
    )
