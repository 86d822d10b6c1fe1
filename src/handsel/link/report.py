"""What an agent reports of its workloads, as values: where they are, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from handsel.link import wire_pb2 as wire
from handsel.link.codec import decode


@dataclass(frozen=True)
class Rejection:
    """A proxy's NACK: the resources that it refused, and its own words why."""

    type_url: str
    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class WorkloadReport:
    """What an agent chose for one workload (address, ports, log), and how it is.

    `callee_ports` has one loopback port a callee. `certificate_not_after` is None until there is a certificate.
    `bundle`: the fingerprint of the roots that its proxy has loaded and verifies with, see `fingerprint_of`.
    `certificate_issuer`: the key id of the CA that signed what its proxy shows now, hex; empty: not known.
    `revocation_lists`: the key ids of the CAs whose lists of revoked identities its proxy verifies with, hex; a proxy
    with some refuses what a CA signed that is not among them. `callee_addresses`: a loopback address of its own for a
    callee, to which the callee's name leads in its program. `more_ports`: the mesh port before each further port of
    the program.
    """

    service: str
    address: str
    application_port: int
    mesh_port: int
    proxy_port: int
    callee_ports: Mapping[str, int]
    access_log: str
    certificate_serial: str = ""
    certificate_not_after: datetime | None = None
    in_sync: bool = False
    rejections: tuple[Rejection, ...] = ()
    bundle: str = ""
    certificate_issuer: str = ""
    revocation_lists: tuple[str, ...] = ()
    callee_addresses: Mapping[str, str] = field(default_factory=dict)
    more_ports: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """What one proxy has counted since it started: of its service's calls to one callee.

    `callee` empty: what was refused at the service's own port, from whomever. `errors`: requests that failed;
    `failures`: connections that could not be made or were refused; `bytes`: both ways; `tls_versions` and
    `tls_groups` count handshakes.
    """

    caller: str
    callee: str
    connections: int = 0
    requests: int = 0
    errors: int = 0
    failures: int = 0
    bytes: int = 0
    tls_versions: Mapping[str, int] = field(default_factory=dict)
    tls_groups: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    workloads: tuple[WorkloadReport, ...]
    edges: tuple[Edge, ...] = ()

    def encode(self) -> bytes:
        workloads, edges = map(_encode_workload, self.workloads), map(_encode_edge, self.edges)
        return wire.Report(workloads=workloads, edges=edges).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> Report:
        return decode(
            wire.Report,
            body,
            lambda m: cls(tuple(map(_decode_workload, m.workloads)), tuple(map(_decode_edge, m.edges))),
        )


_COUNTED = ("caller", "callee", "connections", "requests", "errors", "failures", "bytes")


def _encode_edge(edge: Edge) -> wire.Edge:
    plain = {name: getattr(edge, name) for name in _COUNTED}
    return wire.Edge(**plain, tls_versions=dict(edge.tls_versions), tls_groups=dict(edge.tls_groups))


def _decode_edge(message: wire.Edge) -> Edge:
    plain = {name: getattr(message, name) for name in _COUNTED}
    return Edge(**plain, tls_versions=dict(message.tls_versions), tls_groups=dict(message.tls_groups))


def _encode_workload(report: WorkloadReport) -> wire.WorkloadReport:
    ends = report.certificate_not_after
    return wire.WorkloadReport(
        service=report.service,
        address=report.address,
        application_port=report.application_port,
        mesh_port=report.mesh_port,
        proxy_port=report.proxy_port,
        callee_ports=dict(report.callee_ports),
        access_log=report.access_log,
        certificate_serial=report.certificate_serial,
        certificate_not_after=int(ends.timestamp()) if ends else 0,
        in_sync=report.in_sync,
        rejections=[wire.Rejection(type_url=r.type_url, names=r.names, reason=r.reason) for r in report.rejections],
        bundle=report.bundle,
        certificate_issuer=report.certificate_issuer,
        revocation_lists=report.revocation_lists,
        callee_addresses=dict(report.callee_addresses),
        more_ports=dict(report.more_ports),
    )


def _decode_workload(message: wire.WorkloadReport) -> WorkloadReport:
    ends = message.certificate_not_after
    return WorkloadReport(
        service=message.service,
        address=message.address,
        application_port=message.application_port,
        mesh_port=message.mesh_port,
        proxy_port=message.proxy_port,
        callee_ports=dict(message.callee_ports),
        access_log=message.access_log,
        certificate_serial=message.certificate_serial,
        certificate_not_after=datetime.fromtimestamp(ends, UTC) if ends else None,
        in_sync=message.in_sync,
        rejections=tuple(Rejection(r.type_url, tuple(r.names), r.reason) for r in message.rejections),
        bundle=message.bundle,
        certificate_issuer=message.certificate_issuer,
        revocation_lists=tuple(message.revocation_lists),
        callee_addresses=dict(message.callee_addresses),
        more_ports=dict(message.more_ports),
    )
