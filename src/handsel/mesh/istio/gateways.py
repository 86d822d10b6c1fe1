"""Gateways: what proxies at the edge listen for, and which VirtualServices hold there.

A gateway is named `namespace/name`. A host of a server may be `namespace/host`: then it is for VirtualServices of that
namespace, `.` its own. A VirtualService whose hosts no server takes does nothing there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from handsel.documents.yaml import Path
from handsel.mesh.istio.credentials import check_credential
from handsel.mesh.istio.findings import NO_WORKLOAD, NOT_AT_GATEWAY, SAME_PORT, SHARED_CERTIFICATE
from handsel.mesh.istio.hosts import fits
from handsel.mesh.istio.reading import Found, Reading
from handsel.mesh.istio.resources.gateway import Gateway, Server, ServerTls
from handsel.mesh.istio.resources.virtual_service import VirtualService
from handsel.mesh.istio.services import Workload, pairs
from handsel.model import gateway as model
from handsel.model.access import Labels
from handsel.model.faults import did_you_mean
from handsel.model.gateway import GatewayPort, KeyFiles, Role, ServerTlsMode
from handsel.model.routing import MESH_GATEWAY

_CHECKING = (ServerTlsMode.MUTUAL, ServerTlsMode.OPTIONAL_MUTUAL)


@dataclass(frozen=True)
class KnownGateways:
    """The gateways by `namespace/name`."""

    reading: Reading
    known: Mapping[str, Found[Gateway]] = field(default_factory=dict)

    def find(self, name: str, namespace: str) -> str | None:
        """The full name of a gateway that a namespace names."""
        full = name if "/" in name else f"{namespace}/{name}"
        return full if full in self.known else None

    def full_names(self, names: Sequence[str], namespace: str) -> tuple[str, ...]:
        """Names as they are written, in full."""
        return tuple(name if name == MESH_GATEWAY or "/" in name else f"{namespace}/{name}" for name in names)

    def hint(self, name: str) -> str:
        hint = did_you_mean(name, [*self.known, *(each.partition("/")[2] for each in self.known)])
        return f", {hint}" if hint else ""

    def takes(self, full: str, found: Found[VirtualService]) -> bool:
        """Whether a gateway takes one of the hosts of a VirtualService; those that it does not are found."""
        gateway = self.known[full]
        servers = [host for server in gateway.resource.spec.servers for host in server.hosts]
        taken = [
            any(_takes(gateway, each, host, found.namespace) for each in servers) for host in found.resource.spec.hosts
        ]
        for index, host in enumerate(found.resource.spec.hosts):
            if not taken[index]:
                text = f"{gateway.subject} ({gateway.origin}) does not list {host}, so nothing happens there"
                self.reading.findings.add(found, ("spec", "hosts", index), NOT_AT_GATEWAY, text)
        return any(taken)


def _takes(gateway: Found[Gateway], listed: str, host: str, namespace: str) -> bool:
    space, slash, name = listed.rpartition("/")
    if slash and space not in ("*", namespace) and not (space == "." and namespace == gateway.namespace):
        return False
    return fits(name, host) or fits(host, name)


def read_gateways(reading: Reading) -> tuple[tuple[model.Gateway, ...], KnownGateways]:
    """The gateways."""
    gateways: list[model.Gateway] = []
    known: dict[str, Found[Gateway]] = {}
    taken = _Taken(reading)
    for found in reading.resources.of(Gateway):
        known.setdefault(f"{found.namespace}/{found.name}", found)
        selector = pairs(found.resource.spec.selector)
        ports = [
            _port(reading, found, server, ("spec", "servers", index))
            for index, server in enumerate(found.resource.spec.servers)
            if taken.by(found, selector, server, ("spec", "servers", index))
        ]
        if ports:
            gateways.append(model.Gateway(found.name, found.namespace, selector, tuple(ports), origin=found.origin))
    return tuple(gateways), KnownGateways(reading, known)


def role_of(workload: Workload, gateways: Sequence[model.Gateway]) -> Role:
    """A workload that a Gateway selects is one; it is for leaving the mesh when its labels say so."""
    labels = set(workload.labels)
    if not any(each.selector and set(each.selector) <= labels for each in gateways):
        return Role.SIDECAR
    return Role.EGRESS if any("egress" in value for _, value in workload.labels) else Role.INGRESS


def note_idle(reading: Reading, gateways: Sequence[model.Gateway], workloads: Sequence[Workload]) -> None:
    """A gateway that nobody is."""
    behind: list[Labels] = [each.labels for each in workloads] + [
        each.labels for each in reading.around.services if each.role.is_gateway
    ]
    by_name = {(each.namespace, each.name): each for each in gateways}
    for found in reading.resources.of(Gateway):
        gateway = by_name.get((found.namespace, found.name))
        if gateway and not any(set(gateway.selector) <= set(labels) for labels in behind):
            text = f"no workload has the labels {dict(gateway.selector)}"
            reading.findings.add(found, ("spec", "selector"), NO_WORKLOAD, text)


class _Taken:
    """Which gateway has a port for a host, and which a certificate."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._ports: dict[tuple[Labels, int, str, str], Found[Gateway]] = {}
        self._certificates: dict[tuple[Labels, str], Found[Gateway]] = {}

    def by(self, found: Found[Gateway], selector: Labels, server: Server, path: Path) -> bool:
        """Whether this server can have its port."""
        self._note_certificates(found, selector, server, path)
        for host in server.hosts:
            first = self._ports.setdefault((selector, server.port.number, server.bind, host), found)
            if first is not found:
                text = f"{first.subject} ({first.origin}) has port {server.port.number} for {host} already"
                self._reading.findings.add(found, path, SAME_PORT, text)
                return False
        return True

    def _note_certificates(self, found: Found[Gateway], selector: Labels, server: Server, path: Path) -> None:
        if server.tls is None:
            return
        for name in [server.tls.credential_name, *server.tls.credential_names]:
            first = self._certificates.setdefault((selector, name), found) if name else found
            if first is not found:
                text = f"{first.subject} ({first.origin}) has the certificate {name!r} too: HTTP/2 clients mix them up"
                self._reading.findings.add(found, (*path, "tls"), SHARED_CERTIFICATE, text)


def _port(reading: Reading, found: Found[Gateway], server: Server, path: Path) -> GatewayPort:
    tls = server.tls
    return GatewayPort(
        number=server.port.number,
        protocol=server.port.protocol,
        hosts=tuple(dict.fromkeys(host.rpartition("/")[2] for host in server.hosts)),
        tls=_tls(reading, found, tls, (*path, "tls")) if tls and tls.is_said else None,
        https_redirect=bool(tls and tls.https_redirect),
        bind=server.bind,
        name=server.name or server.port.name,
        origin=found.at(path),
    )


def _tls(reading: Reading, found: Found[Gateway], said: ServerTls, path: Path) -> model.ServerTls:
    names = [said.credential_name] if said.credential_name else said.credential_names
    certificates = [KeyFiles(credential=name) for name in names]
    certificates += [
        KeyFiles(reading.path(each.server_certificate), reading.path(each.private_key))
        for each in said.tls_certificates
    ]
    if said.server_certificate:
        certificates.append(KeyFiles(reading.path(said.server_certificate), reading.path(said.private_key)))
    roots = said.ca_certificates or next((each.ca_certificates for each in said.tls_certificates), "")
    # The roots for clients are in the same Secret as the certificate, or in the one beside it.
    ca_credential = said.ca_cert_credential_name
    if said.mode in _CHECKING and not roots and names:
        ca_credential = ca_credential or names[0]
    for name in names:
        check_credential(reading, found, name, path)
    return model.ServerTls(
        mode=said.mode,
        certificates=tuple(certificates),
        ca_certificates=reading.path(roots),
        ca_credential=ca_credential,
        crl=reading.path(said.ca_crl),
        names=tuple(said.subject_alt_names),
        spki=tuple(said.verify_certificate_spki),
        hashes=tuple(each.replace(":", "").lower() for each in said.verify_certificate_hash),
        minimum=said.min_protocol_version,
        maximum=said.max_protocol_version,
        ciphers=tuple(said.cipher_suites),
        insecure=said.insecure_skip_verify,
    )
