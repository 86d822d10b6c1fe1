"""What a server knows of its mesh, for `status` and for a scrape: rooms' values joined."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from handsel.authority.model import Host, Issuer, Standing
from handsel.link.report import WorkloadReport
from handsel.mesh.scope import Places
from handsel.mesh.translate import layer_of
from handsel.model.graph import Mesh
from handsel.model.telemetry import AlertKind
from handsel.pki.certificate import Certificate
from handsel.telemetry.model import CertificateEnd, Measured

# From this OpenSSL on, a server offers X25519MLKEM768 by itself.
_POST_QUANTUM_OPENSSL = (3, 5, 0)


def describe(
    mesh: Mesh, places: Places, issuer: Issuer, hosts: list[Host], url: str, metrics: str, issued: int, lint: str = ""
) -> dict[str, Any]:
    """The server's part of `handsel status`."""
    return {
        "trust_domain": str(mesh.trust_domain),
        "server": url,
        "metrics": metrics,
        "server_post_quantum": ssl.OPENSSL_VERSION_INFO[:3] >= _POST_QUANTUM_OPENSSL,
        "authority": {
            "root_not_after": issuer.root.not_after.isoformat(),
            "issuing_not_after": issuer.certificate.not_after.isoformat(),
            "issued": issued,
            "profiles": lint,
        },
        "hosts": [describe_host(host) for host in hosts],
        "workloads": [
            _workload(mesh, host, report) for host, report in _reports(places) if report.service in mesh.members
        ],
        "not_reported": sorted(mesh.members.keys() - {report.service for _, report in _reports(places)}),
    }


def describe_host(host: Host) -> dict[str, Any]:
    """A host that has joined, as it is listed."""
    return {
        "agent": host.agent_id,
        "host": host.name,
        "services": list(host.services),
        "joined": host.joined.isoformat(),
        "standing": str(host.standing),
        "cause": host.cause,
    }


def measure(
    mesh: Mesh, places: Places, issuer: Issuer, own: Certificate, hosts: list[Host], issued: int,
    alerts: Mapping[str, int],
) -> Measured:  # fmt: skip
    """The same as numbers."""
    reports = [report for _, report in _reports(places)]
    ends = [
        CertificateEnd("", "root", issuer.root.not_after),
        CertificateEnd("", "issuing", issuer.certificate.not_after),
        CertificateEnd("", "server", own.not_after),
    ]
    ends += [CertificateEnd(r.service, "workload", r.certificate_not_after) for r in reports if r.certificate_not_after]
    return Measured(
        trust_domain=str(mesh.trust_domain),
        ends=tuple(ends),
        hosts=len(hosts),
        proxies=len(reports),
        proxies_in_sync=sum(report.in_sync for report in reports),
        rejections=sum(len(report.rejections) for report in reports),
        issued=issued,
        hosts_in_quarantine=sum(host.standing is Standing.QUARANTINED for host in hosts),
        alerts={str(kind): alerts.get(str(kind), 0) for kind in AlertKind},
    )


def _workload(mesh: Mesh, host: str, report: WorkloadReport) -> dict[str, Any]:
    service = mesh.members[report.service]
    return {
        "host": host,
        "service": service.name,
        "identity": str(service.identity),
        "protocol": str(service.protocol),
        "layer": int(layer_of(mesh, service)),
        "mesh_address": f"{report.address}:{report.mesh_port}",
        "certificate_not_after": report.certificate_not_after.isoformat() if report.certificate_not_after else None,
        "in_sync": report.in_sync,
        "rejections": [{"names": r.names, "reason": r.reason} for r in report.rejections],
        "calls": list(service.calls),
        "callers": [caller.name for caller in mesh.callers_of(service.name)],
    }


def _reports(places: Places) -> Iterator[tuple[str, WorkloadReport]]:
    for host, workloads in sorted(places.items()):
        for report in workloads.values():
            yield host, report
