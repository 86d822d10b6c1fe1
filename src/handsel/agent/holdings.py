"""What the agent holds, and what follows from it: the ports to choose, the snapshot of a proxy, the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from handsel.agent.layout import Layout
from handsel.agent.model import Holdings, Ports, Workload
from handsel.errors import Bug
from handsel.link.messages import (
    AssignedWorkload,
    Assignment,
    Bundle,
    Frame,
    PublishedResource,
    Rejection,
    Resources,
    WorkloadReport,
    fingerprint_of,
)
from handsel.pki.certificate import Certificate, to_pem
from handsel.xds import secret
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, Resource
from handsel.xds.snapshot import Snapshot, snapshot

# Inherited proxies would lead calls past the sidecar.
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy")


def take(holdings: Holdings, frame: Frame) -> Holdings:
    """The holdings after a frame of the watch. Unknown kinds are left alone. Raises `ProtocolError`."""
    taken = holdings
    if frame.kind == Assignment.KIND:
        taken = _assign(holdings, Assignment.decode(frame.body))
    elif frame.kind == Bundle.KIND:
        bundle = Bundle.decode(frame.body)
        taken = replace(holdings, roots=bundle.roots, signing=bundle.signing)
    elif frame.kind == Resources.KIND and frame.key in holdings.workloads:
        resources = Resources.decode(frame.body) if frame.body else None
        taken = holdings.with_workload(replace(holdings.workloads[frame.key], resources=resources))
    return replace(taken, sequence=max(holdings.sequence, frame.sequence))


def choose_ports(workload: Workload, free: Callable[[], int]) -> Workload:
    """The workload with a port for everything that needs one; those that it has stay."""
    assigned, ports = workload.assigned, workload.ports
    if ports is None:
        ports = Ports(assigned.port or free(), free(), free(), {})
    if assigned.port and ports.application != assigned.port:
        ports = replace(ports, application=assigned.port)
    callees = {callee: ports.callees.get(callee) or free() for callee in assigned.callees}
    return replace(workload, ports=replace(ports, callees=callees))


def replace_ports(workload: Workload, refused: Iterable[str], free: Callable[[], int]) -> Workload:
    """New ports for listeners that the proxy could not bind, by the listeners' names."""
    ports = workload.ports
    if ports is None:
        return workload
    for listener in refused:
        if listener == "inbound":
            ports = replace(ports, mesh=free())
        elif listener == "proxy":
            ports = replace(ports, proxy=free())
        elif (callee := listener.removeprefix("outbound.")) in ports.callees:
            ports = replace(ports, callees={**ports.callees, callee: free()})
    return replace(workload, ports=ports)


def proxy_snapshot(workload: Workload, holdings: Holdings, files: Mapping[str, Resource], now: datetime) -> Snapshot:
    """What the workload's proxy gets now. What needs a secret that is not there is held back.

    `files` has the secrets that were read from files of the host, by name.
    """
    if workload.resources is None:
        return snapshot([])
    allowed = set(workload.resources.secrets)
    secrets = {name: resource for name, resource in files.items() if name in allowed}
    if secret.TRUST in allowed:
        secrets[secret.TRUST] = secret.validation_context(secret.TRUST, to_pem(holdings.roots))
    if secret.IDENTITY in allowed and workload.key_pair is not None:
        pair = workload.key_pair
        if pair.leaf.not_before <= now < pair.leaf.not_after:
            secrets[secret.IDENTITY] = secret.tls_certificate(
                secret.IDENTITY, to_pem(pair.chain), pair.key.pem(), now=now
            )
    ready = [each for each in workload.resources.resources if set(each.needs) <= secrets.keys()]
    clusters = {each.name for each in ready if each.type_url == CLUSTER}
    return snapshot(
        [
            *secrets.values(),
            *(_resource(each) for each in ready if each.type_url != ENDPOINT or each.name in clusters),
        ]
    )


def wanted_files(workload: Workload) -> list[str]:
    """The names of the secrets that are to be read from files of this host."""
    names = workload.resources.secrets if workload.resources else ()
    return [name for name in names if name.startswith(("file-cert:", "file-root:"))]


def report(
    workload: Workload,
    layout: Layout,
    address: str,
    *,
    in_sync: bool,
    rejections: tuple[Rejection, ...],
    roots: tuple[Certificate, ...] = (),
) -> WorkloadReport | None:
    """What the server is told of a workload; None until its ports are chosen.

    `roots` are what its proxy was given last: it uses them once it is in sync.
    """
    if workload.ports is None:
        return None
    ports, pair = workload.ports, workload.key_pair
    return WorkloadReport(
        service=workload.service,
        address=address,
        application_port=ports.application,
        mesh_port=ports.mesh,
        proxy_port=ports.proxy,
        callee_ports=ports.callees,
        access_log=str(layout.of(workload.service).access_log),
        certificate_serial=pair.leaf.serial if pair else "",
        certificate_not_after=pair.leaf.not_after if pair else None,
        in_sync=in_sync,
        rejections=rejections,
        bundle=fingerprint_of(roots) if in_sync and roots else "",
        certificate_issuer=(pair.leaf.authority_key_id or b"").hex() if in_sync and pair else "",
    )


def environment(workload: Workload, layout: Layout) -> dict[str, str]:
    """What a program finds in its environment: its own port, where to reach each callee, plain, and its identity.

    The last is for programs that make their own TLS (`handsel.tls`): a folder with key and chain, and the roots' file.
    """
    ports = workload.ports
    if ports is None:
        raise Bug(f"a program of {workload.service} is not started before its ports are chosen")
    variables = {"PORT": str(ports.application)}
    place = layout.of(workload.service)
    variables |= {"HANDSEL_IDENTITY": str(place.folder), "HANDSEL_ROOTS": str(layout.roots)}
    if workload.assigned.stores:
        variables["HANDSEL_STORE_PASSWORD_FILE"] = str(place.store_password)
    for callee, port in ports.callees.items():
        name = callee.upper().replace("-", "_")
        variables[f"{name}_ADDR"] = f"127.0.0.1:{port}"
        variables[f"{name}_URL"] = f"http://127.0.0.1:{port}"
    proxy = f"http://127.0.0.1:{ports.proxy}"
    # Loopback stays direct: gRPC reads these variables too and would use CONNECT.
    variables |= {"http_proxy": proxy, "no_proxy": "localhost,127.0.0.1,::1"}
    return variables


def program_environment(inherited: Mapping[str, str], variables: Mapping[str, str], ours: Path) -> dict[str, str]:
    """A program's whole environment: what was inherited without its proxies, then `variables`.

    `ours` comes first on PATH, so that `python` is the one that handsel runs with.
    """
    kept = {name: value for name, value in inherited.items() if name.lower() not in _PROXY_VARIABLES}
    kept["PATH"] = f"{ours}:{kept.get('PATH', '/usr/bin:/bin')}"
    return {**kept, **variables}


def cannot_bind(rejection: Rejection) -> bool:
    """Whether the proxy refused a listener because its port is taken."""
    return rejection.type_url == LISTENER and "cannot bind" in rejection.reason


def _assign(holdings: Holdings, assignment: Assignment) -> Holdings:
    workloads = {
        assigned.service: _assigned(holdings.workloads.get(assigned.service), assigned)
        for assigned in assignment.workloads
    }
    return replace(holdings, workloads=workloads)


def _assigned(there: Workload | None, assigned: AssignedWorkload) -> Workload:
    if there is None:
        return Workload(assigned)
    if there.assigned.identity != assigned.identity:
        return replace(there, assigned=assigned, key_pair=None)
    return replace(there, assigned=assigned)


def _resource(published: PublishedResource) -> Resource:
    return Resource(published.type_url, published.name, published.body, published.version)
