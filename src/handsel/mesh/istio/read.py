"""From Istio's resources to the graph: each ServiceEntry, with the rule and the routes of its host, is an external."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from handsel.documents.yaml import Document, Path
from handsel.errors import FileFault, InvalidFile
from handsel.mesh.istio.kinds import Resource, kind_of
from handsel.mesh.istio.resources import (
    ClientTls,
    DestinationRule,
    Endpoint,
    PortSelector,
    ServiceEntry,
    VirtualService,
)
from handsel.model.faults import HOST, did_you_mean, short, validate
from handsel.model.finding import Finding, Severity
from handsel.model.graph import External, ExternalTls, Protocol, is_address
from handsel.model.included import Around, Included
from handsel.model.origin import Origin

_R = TypeVar("_R", ServiceEntry, DestinationRule, VirtualService)

_NO_LIMIT = timedelta(0)
_PLAIN = ClientTls()


def read(documents: Sequence[Document], _around: Around, absolute: Callable[[str], str]) -> Included:
    """The externals that these documents declare together, and what a person must know of them.

    `absolute` turns a path of a resource into an absolute one. Raises `InvalidFile` with every fault found.
    """
    return _Reader(absolute).read(documents)


@dataclass(frozen=True)
class _Found(Generic[_R]):
    """A resource and where it stands."""

    document: Document
    resource: _R

    @property
    def name(self) -> str:
        return self.resource.metadata.name

    @property
    def host(self) -> str:
        return self.resource.spec.host

    @property
    def host_path(self) -> Path:
        return ("spec", "host") if isinstance(self.resource, DestinationRule) else ("spec", "hosts", 0)

    @property
    def origin(self) -> Origin:
        return Origin(self.document.file, self.document.place(("metadata", "name"))[0])


_AnyFound = _Found[ServiceEntry] | _Found[DestinationRule] | _Found[VirtualService]


class _Reader:
    """Gathers the resources, joins them by host, and gathers every fault on the way."""

    def __init__(self, absolute: Callable[[str], str]) -> None:
        self._absolute = absolute
        self._faults: list[FileFault] = []
        self._findings: list[Finding] = []

    def read(self, documents: Sequence[Document]) -> Included:
        resources = [(document, self._resource(document)) for document in documents if document.value is not None]
        entries = self._by_host(ServiceEntry, resources)
        rules = self._by_host(DestinationRule, resources)
        routes = self._by_host(VirtualService, resources)
        self._check_names(entries)
        if all(resource for _, resource in resources):  # else the missing entry may be the one that could not be read
            self._check_inert(entries, [*rules.values(), *routes.values()])
        externals = [self._external(entry, rules.get(host), routes.get(host)) for host, entry in entries.items()]
        if self._faults:
            raise InvalidFile(sorted(set(self._faults)))
        return Included(externals=tuple(externals), findings=tuple(self._findings))

    def _resource(self, document: Document) -> Resource | None:
        try:
            return validate(document, kind_of(document))
        except InvalidFile as error:
            self._faults += error.faults
            return None

    def _by_host(self, kind: type[_R], resources: Sequence[tuple[Document, Resource | None]]) -> dict[str, _Found[_R]]:
        by_host: dict[str, _Found[_R]] = {}
        for document, resource in resources:
            if not isinstance(resource, kind):
                continue
            found = _Found(document, resource)
            first = by_host.setdefault(found.host, found)
            if first is not found:
                message = f"{kind.__name__} {first.name!r} ({first.origin}) is for {found.host} already"
                self._fault(found, found.host_path, message)
        return by_host

    def _check_names(self, entries: dict[str, _Found[ServiceEntry]]) -> None:
        names: dict[str, Origin] = {}
        for entry in entries.values():
            if entry.name in names:
                self._fault(
                    entry, ("metadata", "name"), f"{names[entry.name]} has a ServiceEntry {entry.name!r} already"
                )
            names.setdefault(entry.name, entry.origin)

    def _check_inert(self, entries: dict[str, _Found[ServiceEntry]], others: Sequence[_AnyFound]) -> None:
        for found in others:
            if found.host not in entries:
                hint = did_you_mean(found.host, entries)
                message = f"no ServiceEntry has the host {found.host}, so this would do nothing{hint and ', '}{hint}"
                self._fault(found, found.host_path, message)

    def _external(
        self,
        entry: _Found[ServiceEntry],
        rule: _Found[DestinationRule] | None,
        virtual_service: _Found[VirtualService] | None,
    ) -> External:
        spec = entry.resource.spec
        tls = self._tls(entry, rule)
        endpoints = self._endpoints(entry)
        server_name = tls.sni or spec.host
        return External(
            name=entry.name,
            host=spec.host,
            port=spec.port.target_port or (endpoints[0][1] if endpoints else spec.port.number),
            plain_port=spec.port.number,
            protocol=spec.port.protocol,
            endpoints=endpoints,
            tls=tls.mode,
            client_certificate=self._path(tls.client_certificate),
            private_key=self._path(tls.private_key),
            # `system` is Istio's word for the roots of the operating system, which are also taken without a word.
            ca_certificates="" if tls.ca_certificates == "system" else self._path(tls.ca_certificates),
            server_name=server_name,
            server_names=tuple(tls.subject_alt_names or spec.subject_alt_names or [server_name]),
            origin=entry.origin,
            request_timeout=self._timeout(entry, virtual_service) or _NO_LIMIT,
        )

    def _endpoints(self, entry: _Found[ServiceEntry]) -> tuple[tuple[str, int], ...]:
        spec = entry.resource.spec
        if spec.resolution == "STATIC" and not spec.endpoints:
            self._fault(entry, ("spec", "resolution"), "STATIC needs endpoints: name an address, or say DNS")
        for index, endpoint in enumerate(spec.endpoints):
            self._check_endpoint(entry, endpoint, ("spec", "endpoints", index))
        default = spec.port.target_port or spec.port.number
        return tuple((each.address, each.ports.get(spec.port.name, default)) for each in spec.endpoints)

    def _check_endpoint(self, entry: _Found[ServiceEntry], endpoint: Endpoint, path: Path) -> None:
        spec = entry.resource.spec
        if not is_address(endpoint.address):
            wrong = f"{short(endpoint.address)} is no IP address"
            if spec.resolution == "STATIC":
                self._fault(entry, (*path, "address"), f"{wrong}: where endpoints have names, say resolution DNS")
            elif not HOST.fullmatch(endpoint.address):
                self._fault(entry, (*path, "address"), f"{wrong} and no host name in lower case")
        for name in endpoint.ports.keys() - {spec.port.name}:
            hint = did_you_mean(name, [spec.port.name], known_here=True)
            self._fault(entry, (*path, "ports", name), f"the ServiceEntry has no port of this name, {hint}")

    def _tls(self, entry: _Found[ServiceEntry], rule: _Found[DestinationRule] | None) -> ClientTls:
        if rule is None:
            self._note_plain(entry, f"no DestinationRule has the host {entry.host}")
            return _PLAIN
        self._check_namespace(entry, rule)
        tls = self._tls_at_port(entry, rule)
        if tls is None:
            port = entry.resource.spec.port.number
            self._note_plain(entry, f"DestinationRule {rule.name!r} has no tls for port {port}")
            return _PLAIN
        if tls.mode is ExternalTls.DISABLE:
            self._note_plain(entry, f"DestinationRule {rule.name!r} has tls mode DISABLE")
        elif tls.sni and not (tls.subject_alt_names or entry.resource.spec.subject_alt_names):
            text = f"the certificate of {entry.name!r} must carry the name {tls.sni}"
            self._note(rule, f"{text} (Istio checks no name where sni stands without subjectAltNames)")
        return tls

    def _tls_at_port(self, entry: _Found[ServiceEntry], rule: _Found[DestinationRule]) -> ClientTls | None:
        policy = rule.resource.spec.traffic_policy
        tls = policy.tls
        seen: set[int] = set()
        for index, settings in enumerate(policy.port_level_settings):
            path: Path = ("spec", "trafficPolicy", "portLevelSettings", index, "port", "number")
            if settings.port.number in seen:
                self._fault(rule, path, "this port is there twice")
            elif self._check_port(entry, rule, settings.port, path):
                tls = settings.tls  # in place of the policy's, even when it is left out: Istio does not merge the two
            seen.add(settings.port.number)
        return tls

    def _check_namespace(self, entry: _Found[ServiceEntry], rule: _Found[DestinationRule]) -> None:
        # Istio looks for rules in the namespace of the caller, of the entry, and the mesh's own.
        if rule.resource.metadata.namespace != entry.resource.metadata.namespace:
            message = f"another namespace than that of its ServiceEntry ({entry.origin}): not supported yet"
            self._fault(rule, ("metadata", "namespace"), message)

    def _check_port(self, entry: _Found[ServiceEntry], found: _AnyFound, port: PortSelector, path: Path) -> bool:
        """Whether this is the port of the entry that programs use."""
        known = entry.resource.spec.port
        if port.number == known.number:
            return True
        hint = ""
        if port.number == known.target_port:
            hint = f"; {port.number} is its targetPort, and rules go by the port that programs use"
        self._fault(found, path, f"ServiceEntry {entry.name!r} has port {known.number}, not {port.number}{hint}")
        return False

    def _timeout(self, entry: _Found[ServiceEntry], found: _Found[VirtualService] | None) -> timedelta | None:
        if found is None:
            return None
        if entry.resource.spec.port.protocol is Protocol.TCP:
            self._fault(found, ("spec", "http"), f"ServiceEntry {entry.name!r} has protocol TCP: it has no requests")
        route = found.resource.spec.http[0]
        path: Path = ("spec", "http", 0, "route", 0, "destination")
        if route.destination.host != entry.host:
            self._fault(found, (*path, "host"), f"another host than {entry.host}: not supported yet")
        elif route.destination.port:
            self._check_port(entry, found, route.destination.port, (*path, "port", "number"))
        return route.timeout

    def _path(self, text: str) -> str:
        return self._absolute(text) if text else ""

    def _note_plain(self, entry: _Found[ServiceEntry], why: str) -> None:
        self._note(entry, f"calls to {entry.name!r} leave the sidecar unencrypted: {why}")

    def _note(self, found: _AnyFound, text: str) -> None:
        place = found.document.place(("metadata", "name"))
        self._findings.append(Finding(found.document.file, *place, "HM-001", Severity.MEDIUM, text, subject=found.name))

    def _fault(self, found: _AnyFound, path: Path, message: str) -> None:
        self._faults.append(found.document.fault(path, message))
