"""Services outside the mesh: each host and port of a ServiceEntry is an external of the graph.

It is called like the entry; where the entry has several hosts or ports, `ENTRY-HOST`, `ENTRY-PORT`, `ENTRY-HOST-PORT`,
by the names of its ports. What TLS is spoken there comes from the DestinationRules (see `origination`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from handsel.documents.yaml import Path
from handsel.mesh.istio.findings import RESOLVED_BY_DNS, SET_ASIDE, UNKNOWN_PORT
from handsel.mesh.istio.hosts import KnownHost, KnownPort
from handsel.mesh.istio.names import Names, graph_name, label
from handsel.mesh.istio.ports import ports_of_service
from handsel.mesh.istio.reading import Found, Reading
from handsel.mesh.istio.resources import kubernetes
from handsel.mesh.istio.resources.protocols import PROTOCOLS
from handsel.mesh.istio.resources.service_entry import Location, Resolution, ServiceEntry, ServicePort
from handsel.mesh.istio.resources.workload import Endpoint, WorkloadEntry
from handsel.mesh.istio.services import pairs
from handsel.model.faults import HOST, did_you_mean, short
from handsel.model.graph import External, ExternalTls, is_address

_NO_LIMIT = timedelta(0)
"""Istio's: requests may take as long as they like unless a VirtualService says otherwise."""


@dataclass
class Outside:
    """What the resources declare outside the mesh. `entries`: what declares each external, by its name."""

    externals: list[External] = field(default_factory=list)
    hosts: list[KnownHost] = field(default_factory=list)
    entries: dict[str, Found[ServiceEntry]] = field(default_factory=dict)
    written: dict[str, KnownPort] = field(default_factory=dict)


def read_externals(reading: Reading, names: Names) -> Outside:
    """The externals, as yet without TLS."""
    outside = Outside()
    for found in reading.resources.of(ServiceEntry):
        if found.resource.spec.location is Location.MESH_EXTERNAL:
            _entry(reading, names, found, outside)
    for service in reading.resources.of(kubernetes.Service):
        if service.resource.spec.type == "ExternalName":
            _external_name(reading, names, service, outside)
    return outside


def selected_entries(reading: Reading, found: Found[ServiceEntry]) -> Sequence[Found[WorkloadEntry]]:
    """The workload entries that a ServiceEntry selects."""
    selector = found.resource.spec.workload_selector
    if selector is None or not selector.labels:
        return ()
    wanted = selector.labels.items()
    return [
        each
        for each in reading.resources.of(WorkloadEntry)
        if each.namespace == found.namespace and wanted <= each.resource.spec.labels.items()
    ]


def _entry(reading: Reading, names: Names, found: Found[ServiceEntry], outside: Outside) -> None:
    spec = found.resource.spec
    endpoints = [*spec.endpoints, *(each.resource.spec for each in selected_entries(reading, found))]
    if not _can_be_resolved(reading, found, endpoints):
        return
    plain = [host for host in spec.hosts if _is_one_host(reading, found, host)]
    for host in plain:
        ports = []
        for index, port in enumerate(spec.ports):
            name = graph_name(
                found.name,
                found.namespace,
                label(host) if len(spec.hosts) > 1 else "",
                label(port.name) if len(spec.ports) > 1 else "",
            )
            path: Path = ("spec", "ports", index) if len(spec.ports) > 1 else ("metadata", "name")
            if not names.external(name, found, path) or not names.addresses([host], port.number, found, path):
                continue
            known = KnownPort(port.number, name, PROTOCOLS[port.protocol], port.target, port.protocol)
            ports.append(known)
            outside.written[name] = known
            outside.entries[name] = found
            outside.externals.append(_external(found, name, host, port, endpoints))
        behind = tuple(pairs(each.labels) for each in endpoints)
        outside.hosts.append(
            KnownHost(
                host,
                found.namespace,
                tuple(ports),
                f"{found.resource.kind} {found.name!r}",
                behind,
                tuple(spec.export_to),
                outside=True,
                origin=found.origin,
            )
        )


def _is_one_host(reading: Reading, found: Found[ServiceEntry], host: str) -> bool:
    if host.startswith("*"):
        path: Path = ("spec", "hosts", found.resource.spec.hosts.index(host))
        text = f"{host}: a wildcard needs the address that a program wrote, and is not carried out"
        reading.findings.add(found, path, SET_ASIDE, text)
        return False
    return True


def _can_be_resolved(reading: Reading, found: Found[ServiceEntry], endpoints: Sequence[Endpoint]) -> bool:
    spec, path = found.resource.spec, ("spec", "resolution")
    if spec.resolution is Resolution.DYNAMIC_DNS:
        reading.findings.add(found, path, SET_ASIDE, "DYNAMIC_DNS is not carried out")
        return False
    if spec.resolution is Resolution.STATIC and not endpoints:
        reading.findings.add(found, path, SET_ASIDE, "STATIC needs endpoints: name an address, or say DNS")
        return False
    if spec.resolution is Resolution.DNS_ROUND_ROBIN and len(endpoints) > 1:
        reading.findings.add(found, ("spec", "endpoints"), SET_ASIDE, "DNS_ROUND_ROBIN has one endpoint, not several")
        return False
    if spec.resolution is Resolution.NONE:
        text = "NONE: handsel asks DNS for the host, whatever address a program had for it"
        reading.findings.add(found, path, RESOLVED_BY_DNS, text)
    return all(list(_endpoint_is_right(reading, found)))


def _endpoint_is_right(reading: Reading, found: Found[ServiceEntry]) -> Iterator[bool]:
    spec = found.resource.spec
    ports = [port.name for port in spec.ports]
    for index, endpoint in enumerate(spec.endpoints):
        path: Path = ("spec", "endpoints", index)
        if not endpoint.address:
            reading.findings.add(found, path, SET_ASIDE, "an endpoint outside the mesh has an address")
            yield False
        elif not is_address(endpoint.address):
            wrong = f"{short(endpoint.address)} is no IP address"
            if spec.resolution is Resolution.STATIC:
                text = f"{wrong}: where endpoints have names, say resolution DNS"
                reading.findings.add(found, (*path, "address"), SET_ASIDE, text)
                yield False
            elif not HOST.fullmatch(endpoint.address):
                reading.findings.add(found, (*path, "address"), SET_ASIDE, f"{wrong} and no host name in lower case")
                yield False
        for name in endpoint.ports:
            if name not in ports:
                text = f"the ServiceEntry has no port of this name, {did_you_mean(name, ports, known_here=True)}"
                reading.findings.add(found, (*path, "ports", name), UNKNOWN_PORT, text)
                yield False


def _external(
    found: Found[ServiceEntry], name: str, host: str, port: ServicePort, endpoints: Sequence[Endpoint]
) -> External:
    spec = found.resource.spec
    where = tuple((each.address, each.ports.get(port.name, port.target)) for each in endpoints)
    labels = tuple(pairs(each.labels) for each in endpoints)
    weights = tuple(each.weight or 1 for each in endpoints)
    return External(
        name=name,
        host=host,
        port=port.target_port or (where[0][1] if where else port.number),
        plain_port=port.number,
        protocol=PROTOCOLS[port.protocol],
        endpoints=where,
        tls=ExternalTls.DISABLE,
        client_certificate="",
        private_key="",
        ca_certificates="",
        server_name=host,
        server_names=tuple(spec.subject_alt_names) or (host,),
        origin=found.origin,
        request_timeout=_NO_LIMIT,
        namespace=found.namespace,
        endpoint_labels=labels if any(labels) else (),
        weights=weights if len(set(weights)) > 1 else (),
        one_address=spec.resolution is Resolution.DNS_ROUND_ROBIN,
    )


def _external_name(reading: Reading, names: Names, found: Found[kubernetes.Service], outside: Outside) -> None:
    """A Kubernetes Service that is another name for something outside."""
    target = (found.resource.spec.external_name or "").rstrip(".").lower()
    path: Path = ("spec", "externalName")
    if not HOST.fullmatch(target):
        reading.findings.add(found, path, SET_ASIDE, f"{short(target)} is no host name")
        return
    full = f"{found.name}.{found.namespace}.svc.cluster.local"
    known = []
    for number, port in enumerate(ports_of_service(reading, found)):
        name = graph_name(found.name, found.namespace, label(port.name) if number else "")
        if not names.external(name, found, port.path) or not names.addresses([full], port.number, found, port.path):
            continue
        where = port.target if isinstance(port.target, int) else port.number
        known.append(KnownPort(port.number, name, port.protocol, where, port.written))
        outside.written[name] = known[-1]
        outside.externals.append(
            External(
                name,
                full,
                where,
                port.number,
                port.protocol,
                ((target, where),),
                ExternalTls.DISABLE,
                "",
                "",
                "",
                target,
                (target,),
                found.origin,
                _NO_LIMIT,
                found.namespace,
                (full.removesuffix(".cluster.local"), f"{found.name}.{found.namespace}", found.name),
            )
        )
    outside.hosts.append(
        KnownHost(full, found.namespace, tuple(known), found.subject, outside=True, origin=found.origin)
    )
