"""The workloads of the mesh, and the names behind which they stand.

A Deployment (or another kind with a pod template), a Pod, a WorkloadEntry or WorkloadGroup, and each endpoint of a
ServiceEntry of the mesh is one service of the graph: everyone of the mesh may call it unless a policy says otherwise.
Its ports are those that Services and entries lead to. A Kubernetes Service, and a ServiceEntry of the mesh, is a group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from handsel.documents.yaml import Path
from handsel.mesh.istio.findings import NO_PORT, NO_WORKLOAD, OTHER_PROTOCOL, SET_ASIDE
from handsel.mesh.istio.hosts import KnownHost, KnownPort
from handsel.mesh.istio.names import Names, graph_name, label
from handsel.mesh.istio.ports import Written, ports_of_entry, ports_of_service
from handsel.mesh.istio.reading import AnyFound, Found, Reading
from handsel.mesh.istio.resources import kubernetes
from handsel.mesh.istio.resources.service_entry import Location, ServiceEntry
from handsel.mesh.istio.resources.workload import Endpoint, WorkloadEntry, WorkloadGroup
from handsel.model.access import Labels
from handsel.model.gateway import Role
from handsel.model.graph import Group, Protocol, Service, ServicePort

_INJECT = "sidecar.istio.io/inject"
_EXPORT_TO = "networking.istio.io/exportTo"
_OF_GROUP = "istio.io/autoRegistrationGroup"
_NAMESPACE_INJECTION = "istio-injection"


@dataclass(frozen=True)
class Workload:
    """A workload before its ports are known. `named`: its ports by the names it has for them."""

    name: str
    namespace: str
    account: str
    labels: Labels
    found: AnyFound
    named: Mapping[str, int] = field(default_factory=dict)
    sidecar: bool = True
    path: Path = ()


@dataclass
class Declared:
    """What the resources declare of the mesh itself."""

    workloads: list[Workload]
    groups: list[Group] = field(default_factory=list)
    hosts: list[KnownHost] = field(default_factory=list)
    ports: dict[str, dict[int, Protocol]] = field(default_factory=lambda: defaultdict(dict))
    """By workload: where it listens, and what it speaks there."""


def pairs(labels: Mapping[str, str] | None) -> Labels:
    """Labels as the graph has them."""
    return tuple(sorted((labels or {}).items()))


def read_services(reading: Reading, names: Names) -> Declared:
    """The workloads and groups."""
    declared = Declared([each for each in _workloads(reading) if names.workload(each.name, each.found)])
    index = _Index(declared.workloads)
    for found in reading.resources.of(kubernetes.Service):
        _kubernetes_service(reading, names, found, declared, index)
    for entry in reading.resources.of(ServiceEntry):
        if entry.resource.spec.location is Location.MESH_INTERNAL:
            _entry(reading, names, entry, declared, index)
    elsewhere = _outside_only(reading, index, declared)
    declared.workloads = [each for each in declared.workloads if each.name not in elsewhere]
    return declared


def _outside_only(reading: Reading, index: _Index, declared: Declared) -> set[str]:
    """The workload entries that are nothing but endpoints of something outside the mesh."""
    selected = {
        workload.name
        for entry in reading.resources.of(ServiceEntry)
        if entry.resource.spec.location is Location.MESH_EXTERNAL and entry.resource.spec.workload_selector
        for workload in index.selected(entry.namespace, entry.resource.spec.workload_selector.labels)
        if isinstance(workload.found.resource, WorkloadEntry)
    }
    return selected - declared.ports.keys()


def to_service(reading: Reading, workload: Workload, ports: Mapping[int, Protocol], role: Role) -> Service:
    """The service of the graph; what it calls is not yet known."""
    listening = list(ports.items()) or [(number, Protocol.TCP) for number in list(workload.named.values())[:1]]
    main, protocol = listening[0] if listening else (0, Protocol.TCP)
    return Service(
        workload.name,
        reading.around.trust_domain.workload(workload.namespace, workload.account),
        protocol,
        main,
        (),
        {},
        workload.sidecar,
        workload.found.at(workload.path or ("metadata", "name")),
        namespace=workload.namespace,
        labels=workload.labels,
        more_ports=tuple(ServicePort(number, each) for number, each in listening[1:]),
        role=role,
        guarded=False,
    )


# Workloads


def _workloads(reading: Reading) -> Iterator[Workload]:
    no_sidecars = {
        each.name
        for each in reading.resources.of(kubernetes.Namespace)
        if each.metadata.label(_NAMESPACE_INJECTION) == "disabled"
    }
    kinds: tuple[type[kubernetes.Deployment | kubernetes.Pod], ...] = (kubernetes.Deployment, kubernetes.Pod)
    for kind in kinds:
        for found in reading.resources.of(kind):
            if not found.metadata.owner_references:  # else another object makes it: a Deployment its pods
                yield _of_pods(found, no_sidecars)
    for group in reading.resources.of(WorkloadGroup):
        spec = group.resource.spec
        labels = {**spec.metadata.labels, **spec.template.labels}
        yield _of_endpoint(group, spec.template, labels)
    for entry in reading.resources.of(WorkloadEntry):
        if not entry.metadata.annotation(_OF_GROUP):  # else it is one of a group, as a pod is one of a Deployment
            yield _of_endpoint(entry, entry.resource.spec, entry.resource.spec.labels)


def _of_pods(found: Found[kubernetes.Deployment | kubernetes.Pod], no_sidecars: set[str]) -> Workload:
    resource = found.resource
    pod = resource.pod
    said = resource.pod_labels.get(_INJECT) or resource.pod_annotations.get(_INJECT)
    sidecar = said != "false" if said else found.namespace not in no_sidecars
    ports = [port for container in pod.containers or () for port in container.ports or ()]
    return Workload(
        graph_name(found.name, found.namespace),
        found.namespace,
        pod.service_account_name or pod.service_account or "default",
        pairs(resource.pod_labels),
        found,
        {port.name or str(port.container_port): port.container_port for port in ports if port.protocol != "UDP"},
        sidecar,
    )


def _of_endpoint(
    found: AnyFound, spec: Endpoint, labels: Mapping[str, str], path: Path = (), part: str = ""
) -> Workload:
    return Workload(
        graph_name(found.name, found.namespace, part),
        found.namespace,
        spec.service_account or "default",
        pairs(labels),
        found,
        dict(spec.ports),
        path=path,
    )


class _Index:
    """Workloads by namespace and label, so that a selector looks at few."""

    def __init__(self, workloads: Iterable[Workload]) -> None:
        self._by_label: dict[tuple[str, str, str], list[Workload]] = defaultdict(list)
        for workload in workloads:
            for key, value in workload.labels:
                self._by_label[workload.namespace, key, value].append(workload)

    def selected(self, namespace: str, selector: Mapping[str, str]) -> list[Workload]:
        """The workloads of a namespace with all of these labels; none for no labels."""
        found = [self._by_label.get((namespace, key, value), []) for key, value in selector.items()]
        wanted = set(selector.items())
        return [each for each in min(found, key=len, default=[]) if wanted <= set(each.labels)]


# Names behind which they stand


def _kubernetes_service(
    reading: Reading, names: Names, found: Found[kubernetes.Service], declared: Declared, index: _Index
) -> None:
    spec = found.resource.spec
    if spec.type == "ExternalName":
        return  # something outside
    host = f"{found.name}.{found.namespace}.svc.cluster.local"
    aliases = (host.removesuffix(".cluster.local"), f"{found.name}.{found.namespace}", found.name)
    selected = index.selected(found.namespace, spec.selector or {})
    if not selected:
        text = f"no workload of the namespace {found.namespace} is behind {found.name!r}"
        reading.findings.add(found, ("spec", "selector"), NO_WORKLOAD, text)
    written = ports_of_service(reading, found)
    said = found.metadata.annotation(_EXPORT_TO)
    visible_to = tuple(each.strip() for each in said.split(",")) if said else ()
    name = _Name(found, host, aliases, written, selected, visible_to=visible_to)
    _join(reading, names, name, declared)


def _entry(reading: Reading, names: Names, found: Found[ServiceEntry], declared: Declared, index: _Index) -> None:
    spec = found.resource.spec
    if spec.workload_selector:
        behind = index.selected(found.namespace, spec.workload_selector.labels)
    else:
        behind = []
        for number, endpoint in enumerate(spec.endpoints):
            part = "" if len(spec.endpoints) == 1 else str(number + 1)
            path: Path = ("spec", "endpoints", number)
            workload = _of_endpoint(found, endpoint, endpoint.labels, path, part)
            if names.workload(workload.name, found):
                behind.append(workload)
        declared.workloads += behind
    if not behind:
        reading.findings.add(found, ("spec",), NO_WORKLOAD, f"no workload is behind {found.name!r}")
    for host in spec.hosts:
        if host.startswith("*"):
            text = f"{host}: a wildcard in the mesh is not carried out"
            reading.findings.add(found, ("spec", "hosts"), SET_ASIDE, text)
            continue
        part = host if len(spec.hosts) > 1 else ""
        name = _Name(found, host, (), ports_of_entry(found.resource.spec), behind, part, tuple(spec.export_to))
        _join(reading, names, name, declared)


@dataclass(frozen=True)
class _Name:
    """A host, its ports, and the workloads behind it."""

    found: AnyFound
    host: str
    aliases: tuple[str, ...]
    ports: Sequence[Written]
    behind: Sequence[Workload]
    part: str = ""
    visible_to: tuple[str, ...] = ()


def _join(reading: Reading, names: Names, name: _Name, declared: Declared) -> None:
    """A group for each port of a name; the workloads behind it listen where it leads."""
    found, known = name.found, []
    for number, port in enumerate(name.ports):
        callee = graph_name(found.name, found.namespace, name.part, label(port.name) if number else "")
        hosts = [name.host, *(each for each in name.aliases if "." in each)]
        if not names.callee(callee, found, port.path) or not names.addresses(hosts, port.number, found, port.path):
            continue
        for alias in name.aliases:
            names.short(alias, port.number, found)
        targets = dict(_targets(reading, name, port, declared))
        usual = next(iter(targets.values()), port.number)
        group = Group(
            callee,
            name.host,
            port.number,
            port.protocol,
            tuple(targets),
            found.at(port.path),
            name.aliases,
            usual,
            found.namespace,
            tuple((workload, target) for workload, target in targets.items() if target != usual),
        )
        declared.groups.append(group)
        known.append(KnownPort(port.number, callee, port.protocol, usual, port.written))
    declared.hosts.append(
        KnownHost(
            name.host,
            found.namespace,
            tuple(known),
            f"{found.resource.kind} {found.name!r}",
            tuple(each.labels for each in name.behind),
            name.visible_to,
            origin=found.origin,
        )
    )


def _targets(reading: Reading, name: _Name, port: Written, declared: Declared) -> Iterator[tuple[str, int]]:
    """The workloads behind a port, and where each listens for it; those that cannot answer there are found."""
    for workload in name.behind:
        target = port.target_at(workload.named)
        if target is None:
            text = f"{workload.name!r} has no port {port.target!r}, so it is not asked"
            reading.findings.add(name.found, port.path, NO_PORT, text)
            continue
        speaks = declared.ports[workload.name].setdefault(target, port.protocol)
        if speaks is port.protocol:
            yield workload.name, target
        else:
            text = f"{workload.name!r} speaks {speaks} at {target} for another Service, not {port.protocol}"
            reading.findings.add(name.found, port.path, OTHER_PROTOCOL, text)
