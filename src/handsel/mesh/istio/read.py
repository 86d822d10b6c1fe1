"""From Istio's resources to the graph.

Two kinds of fault. What has no valid form raises `InvalidFile`, every fault at once, and changes nothing. What has a
form and cannot be carried out (it conflicts with another, or refers to something that is not there) is a finding of
severity ERROR: the resource, or the part of it that is meant, is set aside, and the rest goes on. Everything else that
a person should know is a finding too, all of them in `findings`.

Each document becomes a resource by itself; only then are they joined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from handsel.documents.yaml import Document
from handsel.mesh.istio.conflicts import note_tls_against_mode
from handsel.mesh.istio.credentials import read_credentials
from handsel.mesh.istio.documents import read_resources
from handsel.mesh.istio.externals import read_externals
from handsel.mesh.istio.gateways import note_idle, read_gateways, role_of
from handsel.mesh.istio.hosts import Hosts, native_hosts
from handsel.mesh.istio.mesh_config import note_mesh_config, read_mesh_config, tls_settings
from handsel.mesh.istio.names import Names
from handsel.mesh.istio.notes import note_all
from handsel.mesh.istio.origination import originate
from handsel.mesh.istio.reading import Reading, Resources
from handsel.mesh.istio.routing import read_routing
from handsel.mesh.istio.scoping import scoping
from handsel.mesh.istio.security import read_security
from handsel.mesh.istio.services import read_services, to_service
from handsel.mesh.istio.traffic import read_rules, subset_names, to_traffic
from handsel.model.included import Around, Included


def read(documents: Sequence[Document], around: Around, absolute: Callable[[str], str]) -> Included:
    """What these documents declare together.

    `absolute` turns a path of a resource into an absolute one. Raises `InvalidFile` with every fault of form.
    """
    found = read_resources(documents)
    reading = Reading(Resources(found), around, absolute, read_mesh_config(found))
    note_all(reading, found)
    note_mesh_config(reading)
    return _join(reading)


def _join(reading: Reading) -> Included:
    names = Names(reading.findings, reading.around)
    inside, outside = read_services(reading, names), read_externals(reading, names)
    hosts = Hosts([*native_hosts(reading.around), *inside.hosts, *outside.hosts])
    rules = read_rules(reading, hosts)
    said = [(rule, to_traffic(reading, rule)) for rule in rules]
    externals, traffic = originate(reading, outside, said)
    gateways, known = read_gateways(reading)
    note_idle(reading, gateways, inside.workloads)
    routing = read_routing(reading, names, hosts, subset_names(rules), known)
    calls = scoping(reading, (*hosts.all(), *routing.hosts))
    services = []
    for workload in inside.workloads:
        role = role_of(workload, gateways)
        service = to_service(reading, workload, inside.ports[workload.name], role)
        services.append(service if role.is_gateway else replace(service, calls=calls(workload)))
    security = read_security(reading)
    by_name = {each.name: each for each in services}
    note_tls_against_mode(reading, said, {each.name: each for each in inside.groups}, by_name, security.modes)
    return Included(
        services=tuple(services),
        groups=(*inside.groups, *routing.groups),
        externals=tuple(externals),
        routes=routing.routes,
        traffic=tuple(traffic),
        modes=security.modes,
        policies=security.policies,
        tokens=security.tokens,
        gateways=gateways,
        credentials=read_credentials(reading),
        findings=reading.findings.all(),
        root_namespace=reading.config.root_namespace or "",
        tls=tls_settings(reading.config),
    )
