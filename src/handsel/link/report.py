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
    callee, to which the callee's name leads in its program.
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


@dataclass(frozen=True)
class Report:
    workloads: tuple[WorkloadReport, ...]

    def encode(self) -> bytes:
        return wire.Report(workloads=[_encode_workload(w) for w in self.workloads]).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> Report:
        return decode(wire.Report, body, lambda m: cls(tuple(_decode_workload(w) for w in m.workloads)))


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
    )
