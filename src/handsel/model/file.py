"""The mesh file, `handsel.yaml`: what it may say, and how it becomes the graph. Every fault has its place."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from handsel.documents import yaml
from handsel.documents.yaml import Document
from handsel.errors import FileFault, InvalidFile
from handsel.model.acme_client import AcmeClient
from handsel.model.acme_client_file import AcmeClientFile, acme_client_faults, read_acme_client
from handsel.model.authority_file import AuthorityFile, authority_faults, read_address, read_authority
from handsel.model.context_file import ContextFile, context_faults, read_contexts
from handsel.model.delivery import Delivery
from handsel.model.delivery_file import DeliveryOrFolder, files_faults, read_delivery
from handsel.model.faults import HOST, NAME, FilePath, Port, Strict, did_you_mean, sift, validate
from handsel.model.federation_file import (
    FederatedFile,
    SpiffeFile,
    federation_faults,
    read_federation,
    read_spiffe,
    spiffe_faults,
)
from handsel.model.graph import External, ExternalTls, Mesh, Protocol, Service
from handsel.model.origin import Origin
from handsel.model.secret_file import SecretFile, read_secrets, secret_faults
from handsel.model.telemetry_file import TelemetryFile, read_telemetry, telemetry_faults
from handsel.pki.names import TrustDomain


def _is_user(name: str) -> str:
    if not _USER.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is no user's name: `auto`, or one in lower-case letters, digits, _ and -")
    if name == "root":
        raise ValueError("a program of its own user is not root")
    return name


_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
User = Annotated[str, AfterValidator(_is_user)]


class ServiceFile(Strict):
    """One service."""

    NOT_YET = ("expose",)

    command: str | None = Field(None, description="What `up` starts, in the folder of this file.")
    port: Port | None = Field(None, description="Where the program listens, plain, on loopback. Free when left out.")
    protocol: Protocol = Field(Protocol.HTTP, description="What the program speaks.")
    user: User | None = Field(
        None, description="Whom it runs as where root starts it: a user's name, or `auto` for one of its own."
    )
    calls: list[str] = Field(
        [], description="All that it may reach: services and externals. Everything else is denied."
    )
    sidecar: bool = Field(True, description="False: started, but no part of the mesh.")
    namespace: str = Field("default", description="Second part of the identity.")
    service_account: str | None = Field(
        None, description="Last part of the identity. The service's name when left out."
    )
    federates_with: list[str] | None = Field(
        None, description="The trust domains of `federation` whose bundles it gets. All when left out."
    )
    stores: list[Literal["pkcs12", "jks"]] = Field(
        [], description="Key stores with its identity and the roots, kept new by the agent: for its own TLS in Java."
    )
    files: dict[str, DeliveryOrFolder] = Field({}, description="Files of its identity that the agent keeps, by name.")
    acme: AcmeClientFile | None = Field(
        None, description="A certificate of an ACME CA beside its identity, ordered and renewed by the agent."
    )
    staple: bool = Field(False, description="True: an OCSP answer goes along with its certificate.")


class ExternalTlsFile(Strict):
    """The TLS that the sidecar makes towards an external service."""

    mode: Literal["disable", "simple", "mutual"] = Field("simple", description="`mutual` shows a client certificate.")
    client_certificate: FilePath | None = Field(None, description="PEM file with the client's chain.")
    private_key: FilePath | None = Field(None, description="PEM file with its key.")
    ca_certificates: FilePath | None = Field(
        None, description="PEM file with the roots to trust. The system's when left out."
    )
    server_name: str | None = Field(None, description="The name sent as SNI. `host` when left out.")


class ExternalFile(Strict):
    """A service outside the mesh."""

    host: str = Field(description="Its name, as programs write it: http://host/.")
    port: Port = Field(443, description="Its port.")
    protocol: Protocol = Field(Protocol.HTTP, description="What it speaks.")
    endpoints: list[str] = Field([], description="Addresses as ip:port. By DNS when left out.")
    tls: ExternalTlsFile = Field(ExternalTlsFile(), description="How the sidecar speaks to it.")


class MeshFile(Strict):
    """The mesh file of handsel."""

    NOT_YET = ("gateways", "networks")

    trust_domain: str = Field("mesh.internal", description="The name that all identities of this mesh start with.")
    services: dict[str, ServiceFile] = Field({}, description="The services, by name.")
    external: dict[str, ExternalFile] = Field({}, description="Services outside the mesh, by name.")
    include: list[str] = Field([], description="Files with Istio resources, as patterns relative to this file.")
    authority: AuthorityFile = Field(AuthorityFile(), description="The authority.")
    telemetry: TelemetryFile = Field(TelemetryFile(), description="What is seen.")
    contexts: dict[str, ContextFile] = Field({}, description="How programs make their own TLS, by name.")
    spiffe: SpiffeFile = Field(SpiffeFile(), description="JWT-SVIDs and the bundle of this trust domain.")
    federation: dict[str, FederatedFile] = Field({}, description="Other trust domains, by name.")
    forbid_insecure: bool = Field(False, description="True: contexts that check nothing are refused.")
    secrets: dict[str, SecretFile] = Field({}, description="Who gets which secret, by name.")


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


@dataclass(frozen=True)
class Included:
    """What the included resources bring. `notes` say what a person must know of them, each with its place."""

    externals: tuple[External, ...] = ()
    notes: tuple[str, ...] = ()


Include = Callable[[str], Sequence[Document]]
"""The documents behind a pattern of `include`; raises `InvalidFile`, or `ValueError` when the pattern is wrong."""

ReadResources = Callable[[Sequence[Document]], Included]
"""What all included documents say together, since a rule may stand in another file; raises `InvalidFile`."""


def parse(
    text: bytes,
    file: str,
    *,
    folder: str,
    absolute: Callable[[str], str],
    include: Include,
    read_resources: ReadResources,
) -> Mesh:
    """The graph that a mesh file describes, together with what it includes.

    `absolute` turns a path of the file into an absolute one. Raises `InvalidFile` with every fault found.
    """
    document = _one_document(text, file)
    content, faults = sift(document, MeshFile)
    return _MeshReader(document, content, faults, folder, absolute).read(include, read_resources)


def _one_document(text: bytes, file: str) -> Document:
    documents = yaml.parse(text, file)
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        place = documents[1].place(()) if len(documents) > 1 else (1, 1)
        message = (
            "a mesh file is one document" if len(documents) > 1 else "a mesh file starts with keys such as services:"
        )
        raise InvalidFile([FileFault(file, *place, "", message)])
    return documents[0]


class _MeshReader:
    """Builds the graph from a valid file and gathers what only the whole can tell."""

    def __init__(
        self,
        document: Document,
        content: MeshFile,
        faults: list[FileFault],
        folder: str,
        absolute: Callable[[str], str],
    ) -> None:
        self._document = document
        self._content = content
        self._faults = faults
        self._folder = folder
        self._absolute = absolute

    def read(self, include: Include, read_resources: ReadResources) -> Mesh:
        trust_domain = self._trust_domain()
        services = {name: self._service(name, each, trust_domain) for name, each in self._content.services.items()}
        externals = {name: self._external(name, each) for name, each in self._content.external.items()}
        included = self._included(include, read_resources)
        for external in included.externals if included else ():
            if external.name in externals:
                self._fault(("external", external.name), f"{external.origin} declares {external.name!r} again")
            externals[external.name] = external
        self._check_names(services, externals)
        self._check_calls(services, externals, all_known=included is not None)
        self._check_ports(services)
        self._check_lifetimes()
        for path, message in context_faults(self._content.contexts):
            self._fault(path, message)
        for path, message in telemetry_faults(self._content.telemetry):
            self._fault(("telemetry", *path), message)
        for path, message in spiffe_faults(self._content.spiffe):
            self._fault(("spiffe", *path), message)
        for path, message in federation_faults(self._content.federation, trust_domain):
            self._fault(("federation", *path), message)
        for name, each in self._content.contexts.items():
            if each.insecure and self._content.forbid_insecure:
                self._fault(("contexts", name, "insecure"), "this file forbids insecure contexts")
        members = [name for name, service in services.items() if service.sidecar]
        for path, message in secret_faults(self._content.secrets, members, trust_domain):
            self._fault(path, message)
        if self._faults:
            raise InvalidFile(sorted(self._faults))
        authority = self._content.authority
        telemetry = read_telemetry(self._content.telemetry, self._absolute)
        return Mesh(
            trust_domain,
            services,
            externals,
            authority.leaf_lifetime,
            authority.renew_after,
            telemetry.sees_requests,
            self._folder,
            included.notes if included else (),
            read_authority(authority, lambda path: str(self._origin(("authority", *path))), self._absolute),
            read_contexts(self._content.contexts, self._absolute),
            read_secrets(self._content.secrets, lambda path: str(self._origin(path))),
            federation=read_federation(self._content.federation, self._absolute),
            spiffe=read_spiffe(self._content.spiffe),
            telemetry=telemetry,
        )

    def _trust_domain(self) -> TrustDomain:
        try:
            return TrustDomain(self._content.trust_domain)
        except ValueError as error:
            self._fault(("trust_domain",), str(error))
            return TrustDomain("invalid")

    def _service(self, name: str, content: ServiceFile, trust_domain: TrustDomain) -> Service:
        path: tuple[str | int, ...] = ("services", name)
        if not NAME.fullmatch(name):
            self._fault(path, "a name has lower-case letters, digits and dashes, at most 63 (it becomes http://name/)")
        try:
            identity = trust_domain.workload(content.namespace, content.service_account or name)
        except ValueError as error:
            self._fault(path, str(error))
            identity = trust_domain.nobody
        try:
            command = tuple(shlex.split(content.command or ""))
        except ValueError as error:
            self._fault((*path, "command"), f"cannot be split into words: {error}")
            command = ()
        calls: dict[str, Origin] = {}
        for index, callee in enumerate(content.calls):
            if callee in calls:
                self._fault((*path, "calls", index), f"{callee!r} is there twice")
            calls[callee] = self._origin((*path, "calls", index))
        for index, domain in enumerate(content.federates_with or ()):
            if domain not in self._content.federation:
                hint = did_you_mean(domain, self._content.federation)
                message = f"there is no trust domain {domain!r} under federation{hint and ', '}{hint}"
                self._fault((*path, "federates_with", index), message)
        return Service(
            name,
            identity,
            content.protocol,
            content.port or 0,
            command,
            calls,
            content.sidecar,
            self._origin(path),
            tuple(dict.fromkeys(content.stores)),
            None if content.federates_with is None else tuple(dict.fromkeys(content.federates_with)),
            content.user or "",
            self._files(path, content),
            self._acme(path, content),
            content.staple,
        )

    def _files(self, path: tuple[str | int, ...], content: ServiceFile) -> tuple[Delivery, ...]:
        if content.files and not content.sidecar:
            self._fault((*path, "files"), "a service without a sidecar has no identity that could be in files")
        for below, message in files_faults(content.files):
            self._fault((*path, "files", *below), message)
        found = tuple(read_delivery(name, each, self._absolute) for name, each in content.files.items())
        for each in found:
            if each.needs_acme and content.acme is None:
                self._fault((*path, "files", each.name), "a file is from acme, and there is no `acme` of this service")
        return found

    def _acme(self, path: tuple[str | int, ...], content: ServiceFile) -> AcmeClient | None:
        if content.acme is None:
            return None
        faults = list(acme_client_faults(content.acme))
        if not content.sidecar:
            faults.append(((), "a service without a sidecar has nobody to give the certificate to"))
        for below, message in faults:
            self._fault((*path, "acme", *below), message)
        return None if faults else read_acme_client(content.acme, self._absolute)

    def _external(self, name: str, content: ExternalFile) -> External:
        path: tuple[str | int, ...] = ("external", name)
        if not NAME.fullmatch(name):
            self._fault(path, "a name has lower-case letters, digits and dashes, at most 63")
        if not HOST.fullmatch(content.host):
            self._fault((*path, "host"), f"{content.host!r} is no host name in lower case")
        endpoints = [self._endpoint((*path, "endpoints", i), text) for i, text in enumerate(content.endpoints)]
        tls = content.tls
        tls_path = (*path, "tls") if (*path, "tls") in self._document.places else path
        if tls.mode == "mutual" and not (tls.client_certificate and tls.private_key):
            self._fault(tls_path, "mode mutual needs client_certificate and private_key")
        if tls.mode != "mutual" and (tls.client_certificate or tls.private_key):
            self._fault(tls_path, f"mode {tls.mode} shows no client certificate: use mode mutual, or leave it out")
        server_name = tls.server_name or content.host
        return External(
            name=name,
            host=content.host,
            port=content.port,
            plain_port=80,
            protocol=content.protocol,
            endpoints=tuple(endpoint for endpoint in endpoints if endpoint),
            tls=ExternalTls(tls.mode),
            client_certificate=self._path(tls.client_certificate),
            private_key=self._path(tls.private_key),
            ca_certificates=self._path(tls.ca_certificates),
            server_name=server_name,
            server_names=(server_name,),
            origin=self._origin(path),
        )

    def _included(self, include: Include, read_resources: ReadResources) -> Included | None:
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
            return read_resources(documents)
        except InvalidFile as error:
            self._faults += error.faults
            return None

    def _endpoint(self, path: tuple[str | int, ...], text: str) -> tuple[str, int] | None:
        try:
            return read_address(text)
        except ValueError as error:
            self._fault(path, str(error))
            return None

    def _check_names(self, services: dict[str, Service], externals: dict[str, External]) -> None:
        hosts: dict[str, str] = {}
        for name, external in externals.items():
            if name in services:
                self._fault_of(external, (), "a service has this name already")
            if external.host in hosts:
                message = f"{external.host} is external {hosts[external.host]!r} already"
                self._fault_of(external, ("host",), message)
            elif external.host in services:
                self._fault_of(external, ("host",), f"a service is called {external.host} already")
            hosts[external.host] = name
        identities: dict[object, str] = {}
        for name, service in services.items():
            if service.identity in identities:
                self._fault(("services", name), f"has the same identity as {identities[service.identity]!r}")
            identities[service.identity] = name

    def _check_calls(self, services: dict[str, Service], externals: dict[str, External], *, all_known: bool) -> None:
        known = [*(name for name, service in services.items() if service.sidecar), *externals]
        # A part that was set aside for its own faults is still there to be called.
        places = self._document.places
        known += [str(path[1]) for path in places if len(path) == 2 and path[0] in ("services", "external")]
        for name, service in services.items():
            for index, callee in enumerate(service.calls):
                path = ("services", name, "calls", index)
                if callee == name:
                    self._fault(path, "a service does not call itself through the mesh")
                elif callee in services and not services[callee].sidecar:
                    self._fault(path, f"{callee!r} has no sidecar: declare it under external")
                elif callee not in known and all_known:
                    hint = did_you_mean(callee, known)
                    self._fault(path, f"there is no service or external {callee!r}{hint and ', '}{hint}")
            if service.calls and not service.sidecar:
                self._fault(("services", name, "calls"), "without a sidecar there are no calls: everything is direct")

    def _check_ports(self, services: dict[str, Service]) -> None:
        ports: dict[int, str] = {}
        for name, service in services.items():
            if service.port and service.port in ports:
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

    def _path(self, text: str | None) -> str:
        return self._absolute(text) if text else ""

    def _origin(self, path: tuple[str | int, ...]) -> Origin:
        return Origin(self._document.file, self._document.place(path)[0])

    def _fault_of(self, external: External, path: tuple[str, ...], message: str) -> None:
        if external.name in self._content.external:
            self._fault(("external", external.name, *path), message)
        else:  # an included file declares it
            self._faults.append(FileFault(external.origin.file, external.origin.line, 1, external.name, message))

    def _fault(self, path: tuple[str | int, ...], message: str) -> None:
        self._faults.append(self._document.fault(path, message))
