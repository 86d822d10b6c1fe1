"""The mesh file, `handsel.yaml`: what it may say, and how it becomes the graph. Every fault has its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import Field

from handsel.documents import yaml
from handsel.documents.yaml import Document
from handsel.errors import FileFault, InvalidFile
from handsel.model.access import Mode
from handsel.model.access_file import access_faults
from handsel.model.access_reading import read_access
from handsel.model.authority_file import AuthorityFile, authority_faults, read_authority
from handsel.model.balancer_faults import balancers_faults
from handsel.model.balancer_file import BalancerFile, ReadBalancers, read_balancers
from handsel.model.certificate_files import NO_FILES, ReadFile
from handsel.model.context_file import ContextFile, context_faults, read_contexts
from handsel.model.edge_findings import edge_findings
from handsel.model.external_file import ExternalFile, external_faults, read_external
from handsel.model.faults import Strict, did_you_mean, sift, validate
from handsel.model.federation_file import (
    FederatedFile,
    SpiffeFile,
    federation_faults,
    read_federation,
    read_spiffe,
    spiffe_faults,
)
from handsel.model.gateway import Role
from handsel.model.gateway_file import GatewayFile, ReadGateways, gateways_faults, read_gateways
from handsel.model.graph import Callee, External, Group, Mesh, Service
from handsel.model.included import Around, Include, Included, ReadResources
from handsel.model.origin import Origin
from handsel.model.routing_file import RoutesFile, behind_new_names, new_names, read_routes, routes_faults
from handsel.model.secret_file import SecretFile, read_secrets, secret_faults
from handsel.model.service_file import ServiceFile, groups_of, read_service, service_faults
from handsel.model.telemetry_file import TelemetryFile, read_telemetry, telemetry_faults
from handsel.model.traffic_file import TrafficFile, read_traffic, traffic_faults
from handsel.model.traffic_findings import traffic_findings
from handsel.pki.names import TrustDomain


class MeshFile(Strict):
    """The mesh file of handsel."""

    NOT_YET = ("networks",)

    trust_domain: str = Field("mesh.internal", description="The name that all identities of this mesh start with.")
    services: dict[str, ServiceFile] = Field({}, description="The services, by name.")
    external: dict[str, ExternalFile] = Field({}, description="Services outside the mesh, by name.")
    mode: Mode = Field(Mode.STRICT, description="What ports take: `strict`, `permissive` (plaintext too), `disable`.")
    modes: dict[str, Mode] = Field({}, description="The same for the services of a namespace, by its name.")
    include: list[str] = Field([], description="Files with Istio resources, as patterns relative to this file.")
    authority: AuthorityFile = Field(AuthorityFile(), description="The authority.")
    telemetry: TelemetryFile = Field(TelemetryFile(), description="What is seen.")
    contexts: dict[str, ContextFile] = Field({}, description="How programs make their own TLS, by name.")
    spiffe: SpiffeFile = Field(SpiffeFile(), description="JWT-SVIDs and the bundle of this trust domain.")
    federation: dict[str, FederatedFile] = Field({}, description="Other trust domains, by name.")
    forbid_insecure: bool = Field(False, description="True: contexts that check nothing are refused.")
    secrets: dict[str, SecretFile] = Field({}, description="Who gets which secret, by name.")
    routes: dict[str, RoutesFile] = Field({}, description="How requests to a callee are routed, by its name.")
    traffic: dict[str, TrafficFile] = Field({}, description="How callers speak to a callee, by its name.")
    gateways: dict[str, GatewayFile] = Field({}, description="Proxies at the edge of the mesh, by name.")
    balancers: dict[str, BalancerFile] = Field({}, description="Load balancers, by name.")


def schema() -> dict[str, Any]:
    """The JSON Schema of the mesh file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **MeshFile.model_json_schema()}


def settings(text: bytes, file: str) -> list[tuple[str, str, str]]:
    """Every setting of a mesh file as (path, value, where it was said or `default`). Raises `InvalidFile`."""
    document = _one_document(text, file)
    content = validate(document, MeshFile).model_dump(mode="json", by_alias=True)
    return [(yaml.show(path), json.dumps(value), _said(document, path)) for path, value in _leaves(content, ())]


def _leaves(value: Any, path: yaml.Path) -> Iterator[tuple[yaml.Path, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    else:
        yield path, value


def _said(document: Document, path: yaml.Path) -> str:
    return f"{document.file}:{document.places[path][0]}" if path in document.places else "default"


def parse(
    text: bytes,
    file: str,
    *,
    folder: str,
    absolute: Callable[[str], str],
    include: Include,
    read_resources: ReadResources,
    read_file: ReadFile = NO_FILES,
) -> Mesh:
    """The graph that a mesh file describes, together with what it includes.

    `absolute` turns a path of the file into an absolute one. Raises `InvalidFile` with every fault found.
    """
    document = _one_document(text, file)
    content, faults = sift(document, MeshFile)
    return _MeshReader(document, content, faults, folder, absolute, read_file).read(include, read_resources)


def _one_document(text: bytes, file: str) -> Document:
    documents = yaml.parse(text, file)
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        place = documents[1].place(()) if len(documents) > 1 else (1, 1)
        message = (
            "a mesh file is one document" if len(documents) > 1 else "a mesh file starts with keys such as services:"
        )
        raise InvalidFile([FileFault(file, *place, "", message)])
    return documents[0]


def _callees(
    services: dict[str, Service], externals: dict[str, External], groups: dict[str, Group]
) -> dict[str, Callee]:
    """What a call may name (`Mesh.callee`)."""
    return {**{name: each for name, each in services.items() if each.sidecar}, **externals, **groups}


@dataclass(frozen=True)
class _Parts:
    """What a mesh is made of. `new`: the groups that `routes` name; `included` None: it cannot be read."""

    trust_domain: TrustDomain
    services: dict[str, Service]
    externals: dict[str, External]
    groups: dict[str, Group]
    new: dict[str, Group]
    gateways: ReadGateways
    balancers: ReadBalancers
    included: Included | None

    @property
    def callees(self) -> dict[str, Callee]:
        return _callees(self.services, self.externals, self.groups)


class _MeshReader:
    """Builds the graph from a valid file and gathers what only the whole can tell."""

    def __init__(
        self,
        document: Document,
        content: MeshFile,
        faults: list[FileFault],
        folder: str,
        absolute: Callable[[str], str],
        read_file: ReadFile = NO_FILES,
    ) -> None:
        self._document = document
        self._content = content
        self._faults = faults
        self._folder = folder
        self._absolute = absolute
        self._read_file = read_file

    def read(self, include: Include, read_resources: ReadResources) -> Mesh:
        parts = self._gather(include, read_resources)
        self._check(parts)
        if self._faults:
            raise InvalidFile(sorted(self._faults))
        return self._mesh(parts)

    def _gather(self, include: Include, read_resources: ReadResources) -> _Parts:
        """Everything that has a name, of the file and of what it includes."""
        content, trust_domain = self._content, self._trust_domain()
        services = {name: self._service(name, each, trust_domain) for name, each in content.services.items()}
        externals = {name: self._external(name, each) for name, each in content.external.items()}
        gateways = read_gateways(content.gateways, trust_domain, self._below("gateways"), self._absolute)
        balancers = read_balancers(
            content.balancers, trust_domain, self._below("balancers"), self._absolute, self._read_file
        )
        for service in (*gateways.services, *balancers.services):
            if service.name in services:
                self._fault(("services", service.name), "a gateway or a load balancer has this name already")
            services[service.name] = service
        around = Around(trust_domain, tuple(services.values()), tuple(externals.values()))
        included = self._included(include, read_resources, around)
        groups = self._join(services, externals, included or Included())
        new = new_names(content.routes, _callees(services, externals, groups), self._below("routes"))
        return _Parts(trust_domain, services, externals, groups | new, new, gateways, balancers, included)

    def _check(self, parts: _Parts) -> None:
        """What only the whole can tell."""
        services, externals, callees = parts.services, parts.externals, parts.callees
        all_known = parts.included is not None
        self._check_traffic(callees, parts.included)
        self._check_gateways(callees, externals, all_known=all_known)
        self._check_balancers(callees, parts.trust_domain, all_known=all_known)
        self._check_names(services, externals)
        self._check_calls(services, externals, parts.groups, all_known=all_known)
        self._check_ports(services)
        self._check_lifetimes()
        for path, message in self._faults_of_parts(services, parts.trust_domain):
            self._fault(path, message)

    def _mesh(self, parts: _Parts) -> Mesh:
        """The graph of parts in which nothing is wrong."""
        content, origin, callees = self._content, self._origin, parts.callees
        services, gateways, included = parts.services, parts.gateways, parts.included or Included()
        routes = read_routes(content.routes, callees, self._below("routes"))
        behind = behind_new_names(content.routes, parts.new)
        traffic = read_traffic(content.traffic, callees, behind, self._below("traffic"), self._absolute)
        findings = (
            *edge_findings(services.values(), gateways.gateways),
            *traffic_findings(routes, traffic, included.traffic, callees),
            *included.findings,
        )
        authority = content.authority
        telemetry = read_telemetry(content.telemetry, self._absolute)
        access = read_access(content.services, content.modes, services, origin)
        return Mesh(
            parts.trust_domain,
            services,
            parts.externals,
            authority.leaf_lifetime,
            authority.renew_after,
            telemetry.sees_requests,
            self._folder,
            tuple(str(each) for each in findings),
            read_authority(authority, lambda path: str(origin(("authority", *path))), self._absolute),
            read_contexts(content.contexts, self._absolute),
            read_secrets(content.secrets, lambda path: str(origin(path))),
            federation=read_federation(content.federation, self._absolute),
            spiffe=read_spiffe(content.spiffe),
            telemetry=telemetry,
            groups=parts.groups,
            routes=(*routes, *gateways.routes, *included.routes),
            traffic=(*traffic, *included.traffic),
            mode=content.mode,
            modes=(*access.modes, *included.modes),
            policies=(*access.policies, *included.policies),
            tokens=(*access.tokens, *included.tokens),
            gateways=(*gateways.gateways, *included.gateways),
            balancers=parts.balancers.balancers,
            credentials=included.credentials,
            findings=findings,
            root_namespace=included.root_namespace or Mesh.root_namespace,
            tls=included.tls,
        )

    def _below(self, key: str) -> Callable[[yaml.Path], Origin]:
        """Where something below a key of the file was said."""
        return lambda path: self._origin((key, *path))

    def _faults_of_parts(
        self, services: dict[str, Service], trust_domain: TrustDomain
    ) -> Iterator[tuple[yaml.Path, str]]:
        """What the parts of the file find wrong with themselves, each with its path."""
        content = self._content
        members = [name for name, service in services.items() if service.sidecar]
        yield from context_faults(content.contexts)
        for name, each in content.contexts.items():
            if each.insecure and content.forbid_insecure:
                yield ("contexts", name, "insecure"), "this file forbids insecure contexts"
        yield from secret_faults(content.secrets, members, trust_domain)
        identities = {name: each.identity for name, each in services.items()}
        for name, said in content.services.items():
            has_inbound = services[name].sidecar and services[name].role.has_inbound
            of_access = access_faults(said, identities, has_inbound=has_inbound)
            yield from ((("services", name, *path), message) for path, message in of_access)
        namespaces = {each.namespace for each in services.values()}
        for name in content.modes.keys() - namespaces:
            yield ("modes", name), f"no service is of this namespace, {did_you_mean(name, namespaces, known_here=True)}"
        parts: dict[str, Iterable[tuple[yaml.Path, str]]] = {
            "telemetry": telemetry_faults(content.telemetry),
            "spiffe": spiffe_faults(content.spiffe),
            "federation": federation_faults(content.federation, trust_domain),
        }
        for key, faults in parts.items():
            yield from (((key, *path), message) for path, message in faults)

    def _join(
        self, services: dict[str, Service], externals: dict[str, External], included: Included
    ) -> dict[str, Group]:
        """What was included takes its place beside what the file declares."""
        for service in included.services:
            if service.name in services:
                self._fault(("services", service.name), f"{service.origin} declares {service.name!r} again")
            services[service.name] = service
        for external in included.externals:
            if external.name in externals:
                self._fault(("external", external.name), f"{external.origin} declares {external.name!r} again")
            externals[external.name] = external
        groups = {name: each for name, service in services.items() for name, each in groups_of(service).items()}
        return groups | {each.name: each for each in included.groups}

    def _trust_domain(self) -> TrustDomain:
        try:
            return TrustDomain(self._content.trust_domain)
        except ValueError as error:
            self._fault(("trust_domain",), str(error))
            return TrustDomain("invalid")

    def _service(self, name: str, content: ServiceFile, trust_domain: TrustDomain) -> Service:
        path: tuple[str | int, ...] = ("services", name)
        for below, message in service_faults(name, content, trust_domain, self._content.federation):
            self._fault((*path, *below), message)
        return read_service(name, content, trust_domain, lambda below: self._origin((*path, *below)), self._absolute)

    def _external(self, name: str, content: ExternalFile) -> External:
        path: tuple[str | int, ...] = ("external", name)
        for below, message in external_faults(name, content):
            self._fault((*path, *below) if (*path, *below) in self._document.places else path, message)
        return read_external(name, content, self._origin(path), self._absolute)

    def _included(self, include: Include, read_resources: ReadResources, around: Around) -> Included | None:
        """What `include` brings; None when it cannot be read, so that nothing is said about what is missing then."""
        before = len(self._faults)
        documents: list[Document] = []
        for index, pattern in enumerate(self._content.include):
            try:
                documents += include(pattern)
            except InvalidFile as error:
                self._faults += error.faults
            except ValueError as error:
                self._fault(("include", index), str(error))
        if len(self._faults) > before:
            return None
        try:
            return read_resources(documents, around)
        except InvalidFile as error:
            self._faults += error.faults
            return None

    def _check_names(self, services: dict[str, Service], externals: dict[str, External]) -> None:
        hosts: dict[str, External] = {}
        for name, external in externals.items():
            if name in services:
                self._fault_of(external, (), "a service has this name already")
            if external.host in hosts:
                first = hosts[external.host]
                # A ServiceEntry may have several ports.
                if {first.name, name} & self._content.external.keys() or first.plain_port == external.plain_port:
                    self._fault_of(external, ("host",), f"{external.host} is external {first.name!r} already")
            elif external.host in services:
                self._fault_of(external, ("host",), f"a service is called {external.host} already")
            hosts[external.host] = external
        identities: dict[object, str] = {}
        for name, service in services.items():
            # Kubernetes lets several workloads have one service account.
            if service.identity in identities and service.guarded:
                self._fault(("services", name), f"has the same identity as {identities[service.identity]!r}")
            identities[service.identity] = name

    def _check_calls(
        self, services: dict[str, Service], externals: dict[str, External], groups: dict[str, Group], *, all_known: bool
    ) -> None:
        known = [*(name for name, service in services.items() if service.sidecar), *externals, *groups]
        # A part that was set aside for its own faults is still there to be called.
        places = self._document.places
        known += [str(path[1]) for path in places if len(path) == 2 and path[0] in ("services", "external", "routes")]
        for name, service in services.items():
            if not service.guarded:
                continue  # its calls are all that the resources let it see
            for index, callee in enumerate(service.calls):
                path = ("services", name, "calls", index)
                if callee == name:
                    self._fault(path, "a service does not call itself through the mesh")
                elif callee in services and not services[callee].sidecar:
                    self._fault(path, f"{callee!r} has no sidecar: declare it under external")
                elif callee in services and services[callee].role is Role.AMBASSADOR:
                    self._fault(path, f"{callee!r} has an ambassador, which nobody can call")
                elif callee in services and services[callee].role.is_gateway:
                    self._fault(path, f"{callee!r} is a gateway, which no service calls by its name")
                elif callee not in known and all_known:
                    hint = did_you_mean(callee, known)
                    self._fault(path, f"there is no service or external {callee!r}{hint and ', '}{hint}")
            if service.calls and not service.sidecar:
                self._fault(("services", name, "calls"), "without a sidecar there are no calls: everything is direct")

    def _check_gateways(self, callees: dict[str, Callee], externals: dict[str, External], *, all_known: bool) -> None:
        answering = [name for name, each in callees.items() if not isinstance(each, Service) or each.role.has_inbound]
        for path, message in gateways_faults(self._content.gateways, answering, externals, all_known=all_known):
            self._fault(("gateways", *path), message)

    def _check_balancers(self, callees: dict[str, Callee], trust_domain: TrustDomain, *, all_known: bool) -> None:
        answering = [name for name, each in callees.items() if not isinstance(each, Service) or each.role.has_inbound]
        known = answering if all_known else None
        content = self._content.balancers
        for path, message in balancers_faults(content, trust_domain, known, self._absolute, self._read_file):
            self._fault(("balancers", *path), message)

    def _check_traffic(self, callees: dict[str, Callee], included: Included | None) -> None:
        content, all_known = self._content, included is not None
        subsets = {name: list(each.subsets) for name, each in content.traffic.items()}
        for rule in included.traffic if included else ():
            for name in rule.callees:
                subsets.setdefault(name, []).extend(each.name for each in rule.subsets)
        called = {name for callee in callees.values() if isinstance(callee, Service) for name in callee.calls}
        for path, message in routes_faults(content.routes, callees, subsets, called, all_known=all_known):
            self._fault(("routes", *path), message)
        for path, message in traffic_faults(content.traffic, callees, all_known=all_known):
            self._fault(("traffic", *path), message)

    def _check_ports(self, services: dict[str, Service]) -> None:
        ports: dict[int, str] = {}
        for name, service in services.items():
            if service.port and service.port in ports and service.guarded:
                self._fault(
                    ("services", name, "port"), f"service {ports[service.port]!r} has port {service.port} already"
                )
            ports[service.port] = name

    def _check_lifetimes(self) -> None:
        authority = self._content.authority
        if not timedelta(seconds=2) <= authority.leaf_lifetime <= timedelta(hours=24):
            self._fault(("authority", "leaf_lifetime"), "must be between 2s and 24h")
        if authority.renew_after is not None and not (
            timedelta(milliseconds=500) <= authority.renew_after < authority.leaf_lifetime
        ):
            self._fault(("authority", "renew_after"), "must be at least 500ms and shorter than leaf_lifetime")
        for path, message in authority_faults(authority):
            self._fault(("authority", *path), message)

    def _origin(self, path: tuple[str | int, ...]) -> Origin:
        return Origin(self._document.file, self._document.place(path)[0])

    def _fault_of(self, external: External, path: tuple[str, ...], message: str) -> None:
        if external.name in self._content.external:
            self._fault(("external", external.name, *path), message)
        else:  # an included file declares it
            self._faults.append(FileFault(external.origin.file, external.origin.line, 1, external.name, message))

    def _fault(self, path: tuple[str | int, ...], message: str) -> None:
        self._faults.append(self._document.fault(path, message))
