"""What the agent holds, and what follows from it: the ports to choose, the snapshot of a proxy, the report."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from handsel.agent.acme import secret_names
from handsel.agent.layout import Layout
from handsel.agent.model import Holdings, Ports, Workload
from handsel.agent.workload import federated_with
from handsel.errors import Bug
from handsel.link.messages import (
    AssignedWorkload,
    Assignment,
    Bundle,
    Frame,
    Index,
    PublishedResource,
    Resources,
    digest_of,
    fingerprint_of,
)
from handsel.link.report import Rejection, WorkloadReport
from handsel.model.acme_client import SECRET_NAME
from handsel.pki.certificate import to_pem
from handsel.xds import secret
from handsel.xds.names import Names
from handsel.xds.partial import without_chains
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource
from handsel.xds.snapshot import Snapshot, snapshot

FRONT = "front."
"""How the listeners of gateways are called, whose doors open one by one."""
# Inherited proxies would lead calls past the sidecar.
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy")


def take(holdings: Holdings, frame: Frame) -> Holdings:
    """The holdings after a frame of the watch. Unknown kinds are left alone. Raises `ProtocolError`."""
    if not frame.sequence:
        return holdings
    taken = holdings
    if frame.kind == Assignment.KIND:
        taken = _assign(holdings, Assignment.decode(frame.body))
    elif frame.kind == Bundle.KIND:
        taken = replace(holdings, bundle=Bundle.decode(frame.body))
    elif frame.kind == Resources.KIND and frame.key in holdings.workloads:
        resources = Resources.decode(frame.body) if frame.body else None
        taken = holdings.with_workload(replace(holdings.workloads[frame.key], resources=resources))
    digests = {**holdings.digests, (frame.kind, frame.key): digest_of(frame.body)}
    return replace(taken, sequence=max(holdings.sequence, frame.sequence), digests=digests)


def disagrees(holdings: Holdings, index: Index) -> bool:
    """Whether the server believes that this host has something else than it has: then all of it is asked for again."""
    return any(holdings.digests.get(key) != digest for key, digest in index.digests.items())


def choose_ports(
    workload: Workload, free: Callable[[], int], free_address: Callable[[], str] | None = None
) -> Workload:
    """The workload with a port for everything that needs one; those that it has stay.

    `free_address` gives loopback addresses; None: this host's rights do not reach so far.
    """
    assigned, ports = workload.assigned, workload.ports
    if ports is None:
        ports = Ports(assigned.port or free(), free(), free(), {})
    if assigned.port and ports.application != assigned.port:
        ports = replace(ports, application=assigned.port)
    callees = {callee: ports.callees.get(callee) or free() for callee in assigned.callees}
    addresses = _choose_addresses(assigned, ports, free_address) if free_address else {}
    more = {port: ports.more.get(port) or free() for port in assigned.more_ports}
    return replace(workload, ports=replace(ports, callees=callees, addresses=addresses, more=more))


def _choose_addresses(assigned: AssignedWorkload, ports: Ports, free_address: Callable[[], str]) -> dict[str, str]:
    """A loopback address for each callee; callees of one name share theirs, since a name leads to one address."""
    known_as = {callee: assigned.hosts.get(callee, callee) for callee in assigned.callees}
    by_name = {known_as[callee]: address for callee, address in ports.addresses.items() if callee in known_as}
    for name in known_as.values():
        if name not in by_name:
            by_name[name] = free_address()
    return {callee: by_name[name] for callee, name in known_as.items()}


def replace_ports(workload: Workload, refused: Iterable[str], free: Callable[[], int]) -> Workload:
    """New ports for listeners that the proxy could not bind, by the listeners' names.

    An address is given up, so that the next `choose_ports` finds another.
    """
    ports = workload.ports
    if ports is None:
        return workload
    for listener in refused:
        if listener == "inbound":
            ports = replace(ports, mesh=free())
        elif listener == "proxy":
            ports = replace(ports, proxy=free())
        elif (port := listener.removeprefix("inbound.")).isdecimal() and int(port) in ports.more:
            ports = replace(ports, more={**ports.more, int(port): free()})
        elif (callee := listener.removeprefix("outbound.")) in ports.callees:
            ports = replace(ports, callees={**ports.callees, callee: free()})
        elif (callee := listener.removeprefix("name.")) in ports.addresses:
            given_up = ports.addresses[callee]
            ports = replace(ports, addresses={k: v for k, v in ports.addresses.items() if v != given_up})
    return replace(workload, ports=ports)


def proxy_snapshot(workload: Workload, holdings: Holdings, files: Mapping[str, Resource], now: datetime) -> Snapshot:
    """What the workload's proxy gets now. What needs a secret that is not there is held back.

    `files` has the secrets that were read from files of the host, or came as credentials, by name.
    """
    allowed = workload.resources.secrets if workload.resources else ()
    secrets = {each.name: each for each in _own_secrets(workload, holdings, now)}
    secrets |= {name: resource for name, resource in files.items() if name in allowed}
    wanted = workload.resources.resources if workload.resources else ()
    ready = [made for each in wanted if (made := _ready(each, secrets))]
    there = {each.key for each in ready}
    return snapshot([*secrets.values(), *(each for each in ready if _is_named(each, there))])


def _ready(published: PublishedResource, secrets: Collection[str]) -> Resource | None:
    """A resource whose secrets are there; of a port with several doors those of which they are."""
    made = _resource(published)
    if set(published.needs) <= set(secrets):
        return made
    has_doors = published.type_url == LISTENER and published.name.startswith(FRONT)
    return without_chains(made, secrets) if has_doors else None


def _is_named(resource: Resource, there: Collection[tuple[str, str]]) -> bool:
    """Whether what names it is there: of endpoints their cluster, of routes their listener."""
    if resource.type_url == ENDPOINT:
        return (CLUSTER, resource.name) in there
    return resource.type_url != ROUTE or (LISTENER, resource.name.partition("#")[0]) in there


def _own_secrets(workload: Workload, holdings: Holdings, now: datetime) -> Iterator[Resource]:
    """What a workload may have whatever its proxy's configuration says: its certificate, and whom it believes."""
    yield secret.validation_context(secret.TRUST, to_pem(holdings.roots), crls=holdings.crls)
    for each in federated_with(workload.service, holdings):
        if each.x509_authorities:
            yield secret.validation_context(f"spiffe://{each.trust_domain}", to_pem(each.x509_authorities))
    pair = workload.key_pair
    if pair is not None and pair.leaf.not_before <= now < pair.leaf.not_after:
        staple = workload.staple_at(now)
        yield secret.tls_certificate(secret.IDENTITY, to_pem(pair.chain), pair.key.pem(), now=now, staple=staple)
    yield from _of_acme(workload, now)


def _of_acme(workload: Workload, now: datetime) -> Iterator[Resource]:
    """The certificate of the ACME CA, under each name that it is good for."""
    pair = workload.acme
    if pair is None or workload.assigned.acme is None or not pair.leaf.not_before <= now < pair.leaf.not_after:
        return
    made = secret.tls_certificate(SECRET_NAME, to_pem(pair.chain), pair.key.pem(), now=now)
    for name in secret_names(workload, covered=pair.leaf):
        yield secret.renamed(made, name)


def names(workload: Workload, holdings: Holdings) -> Names:
    """Under which names a workload's socket serves secrets."""
    identity, of_acme = workload.assigned.identity, secret_names(workload)
    return Names(
        identity=str(identity),
        dns_names=tuple(each for each in workload.key_pair.leaf.dns_names if each not in of_acme)
        if workload.key_pair
        else (),
        trust_domain=str(identity.trust_domain),
        federated=tuple(str(each.trust_domain) for each in federated_with(workload.service, holdings)),
        files=(*(workload.resources.secrets if workload.resources else ()), *of_acme),
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
    trust: Bundle | None = None,
) -> WorkloadReport | None:
    """What the server is told of a workload; None until its ports are chosen.

    `trust` is what its proxy was given last: it uses that once it is in sync.
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
        bundle=fingerprint_of(trust.roots) if in_sync and trust else "",
        certificate_issuer=(pair.leaf.authority_key_id or b"").hex() if in_sync and pair else "",
        revocation_lists=trust.list_issuers if in_sync and trust else (),
        callee_addresses=ports.addresses,
        more_ports=ports.more,
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
    variables["HANDSEL_SECRETS"] = str(place.secrets)
    # The standard's own variable (SPIFFE Workload Endpoint, section 4): where a SPIFFE library finds the Workload API.
    variables["SPIFFE_ENDPOINT_SOCKET"] = f"unix://{place.sockets.ads.absolute()}"
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


def host_entries(workload: Workload) -> str:
    """The lines of a hosts file (hosts(5)) that lead a program's calls to its sidecar; empty where there are none."""
    return "".join(f"{address} {name}\n" for name, address in callee_names(workload).items())


def callee_names(workload: Workload) -> dict[str, str]:
    """The names that a program calls, each with the loopback address to which it leads; none where rights are few."""
    addresses = workload.ports.addresses if workload.ports else {}
    hosts = workload.assigned.hosts
    return {name: address for callee, address in addresses.items() for name in hosts.get(callee, callee).split()}


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
