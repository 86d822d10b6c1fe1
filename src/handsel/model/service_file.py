"""`services:` in the mesh file: one service each."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from handsel.documents.yaml import Path
from handsel.model.access import Mode
from handsel.model.access_file import AccessOfService
from handsel.model.acme_client import SECRET_NAME, AcmeClient
from handsel.model.acme_client_file import AcmeClientFile, acme_client_faults, read_acme_client
from handsel.model.adapter_file import UpstreamFile, adapter_faults, read_upstream
from handsel.model.delivery import Delivery
from handsel.model.delivery_file import DeliveryOrFolder, files_faults, read_delivery
from handsel.model.faults import NAME, Port, Strict, did_you_mean
from handsel.model.gateway import GatewayPort, KeyFiles, Role
from handsel.model.graph import Group, Protocol, Service, ServicePort
from handsel.model.origin import Origin
from handsel.model.server_tls_file import ExposeFile, expose_faults, read_expose
from handsel.pki.names import SpiffeId, TrustDomain


def _is_user(name: str) -> str:
    if not _USER.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is no user's name: `auto`, or one in lower-case letters, digits, _ and -")
    if name == "root":
        raise ValueError("a program of its own user is not root")
    return name


_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
User = Annotated[str, AfterValidator(_is_user)]


class MorePortFile(Strict):
    """One more port of a service's program."""

    port: Port = Field(description="Where the program listens too, plain, on loopback.")
    protocol: Protocol = Field(Protocol.HTTP, description="What it speaks there.")
    mode: Mode | None = Field(None, description="What this port takes: `strict`, `permissive`, `disable`.")


class ServiceFile(AccessOfService):
    """One service."""

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
    ports: dict[str, MorePortFile] = Field(
        {}, description="More ports of the program, by name: callers reach them as `service-name`."
    )
    labels: dict[str, str] = Field({}, description="Labels, by which rules and policies choose; `app` is its name.")
    role: Literal["sidecar", "ambassador", "adapter"] = Field(
        "sidecar",
        description="`ambassador`: its proxy carries its calls only, and nobody can call it. `adapter`: it stands "
        "before something old, `upstream`, instead of a program.",
    )
    upstream: UpstreamFile | None = Field(None, description="What an adapter stands before.")
    expose: ExposeFile | None = Field(None, description="A port of its own proxy for the outside.")
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


def service_faults(
    name: str, content: ServiceFile, trust_domain: TrustDomain, federation: Collection[str]
) -> Iterator[tuple[Path, str]]:
    """What is wrong with a service by itself, each with its path below it."""
    if not NAME.fullmatch(name):
        yield (), "a name has lower-case letters, digits and dashes, at most 63 (it becomes http://name/)"
    try:
        trust_domain.workload(content.namespace, content.service_account or name)
    except ValueError as error:
        yield (), str(error)
    try:
        shlex.split(content.command or "")
    except ValueError as error:
        yield ("command",), f"cannot be split into words: {error}"
    for index, callee in enumerate(content.calls):
        if callee in content.calls[:index]:
            yield ("calls", index), f"{callee!r} is there twice"
    for index, domain in enumerate(content.federates_with or ()):
        if domain not in federation:
            hint = did_you_mean(domain, federation)
            message = f"there is no trust domain {domain!r} under federation{hint and ', '}{hint}"
            yield ("federates_with", index), message
    yield from adapter_faults(content.role, content.upstream, content.protocol, has_program=bool(content.command))
    yield from _expose_faults(content)
    yield from _ports_faults(content)
    yield from _files_faults(content)
    yield from _acme_faults(content)


def _expose_faults(content: ServiceFile) -> Iterator[tuple[Path, str]]:
    if content.expose is None:
        return
    for below, message in expose_faults(content.expose):
        yield ("expose", *below), message
    if content.expose.port in (content.port, *(each.port for each in content.ports.values())):
        yield ("expose", "port"), f"the program itself listens at {content.expose.port}"
    if content.role != "sidecar":
        yield ("expose",), f"the {content.role} of a service exposes nothing"


def _ports_faults(content: ServiceFile) -> Iterator[tuple[Path, str]]:
    seen = {content.port}
    for name, each in content.ports.items():
        if not NAME.fullmatch(name):
            yield ("ports", name), "a name has lower-case letters, digits and dashes, at most 63"
        if each.port in seen:
            yield ("ports", name, "port"), f"port {each.port} is there twice"
        seen.add(each.port)


def _files_faults(content: ServiceFile) -> Iterator[tuple[Path, str]]:
    if content.files and not content.sidecar:
        yield ("files",), "a service without a sidecar has no identity that could be in files"
    for below, message in files_faults(content.files):
        yield ("files", *below), message
    for name, each in content.files.items():
        # Where nothing is at fault: the reading of a file tells what it needs.
        if content.acme is None and not list(files_faults({name: each})) and read_delivery(name, each, str).needs_acme:
            yield ("files", name), "a file is from acme, and there is no `acme` of this service"


def _acme_faults(content: ServiceFile) -> Iterator[tuple[Path, str]]:
    if content.acme is None:
        return
    for below, message in acme_client_faults(content.acme):
        yield ("acme", *below), message
    if not content.sidecar:
        yield ("acme",), "a service without a sidecar has nobody to give the certificate to"


def read_service(
    name: str,
    content: ServiceFile,
    trust_domain: TrustDomain,
    origin: Callable[[Path], Origin],
    absolute: Callable[[str], str],
) -> Service:
    """The service; of one with faults something that others can still refer to."""
    calls: dict[str, Origin] = {}
    for index, callee in enumerate(content.calls):
        calls[callee] = origin(("calls", index))
    return Service(
        name,
        _identity(name, content, trust_domain),
        content.protocol,
        content.port or 0,
        _command(content),
        calls,
        content.sidecar,
        origin(()),
        tuple(dict.fromkeys(content.stores)),
        None if content.federates_with is None else tuple(dict.fromkeys(content.federates_with)),
        content.user or "",
        _files(content, absolute),
        _acme(content, absolute),
        content.staple,
        namespace=content.namespace,
        labels=tuple(sorted({"app": name, **content.labels}.items())),
        more_ports=tuple(ServicePort(each.port, each.protocol, key) for key, each in content.ports.items()),
        role=Role(content.role),
        exposes=_exposes(content, origin(("expose",)), absolute),
        legacy=read_upstream(content.upstream, absolute) if content.upstream else None,
    )


def _exposes(content: ServiceFile, origin: Origin, absolute: Callable[[str], str]) -> tuple[GatewayPort, ...]:
    if content.expose is None:
        return ()
    acme = KeyFiles(credential=SECRET_NAME) if content.acme else None
    protocol = "TLS" if content.protocol is Protocol.TCP else "HTTPS"
    return (read_expose(content.expose, protocol, acme, origin, absolute),)


def _identity(name: str, content: ServiceFile, trust_domain: TrustDomain) -> SpiffeId:
    try:
        return trust_domain.workload(content.namespace, content.service_account or name)
    except ValueError:
        return trust_domain.nobody


def _command(content: ServiceFile) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(content.command or ""))
    except ValueError:
        return ()


def _files(content: ServiceFile, absolute: Callable[[str], str]) -> tuple[Delivery, ...]:
    if list(files_faults(content.files)):
        return ()
    return tuple(read_delivery(name, each, absolute) for name, each in content.files.items())


def _acme(content: ServiceFile, absolute: Callable[[str], str]) -> AcmeClient | None:
    if content.acme is None or list(acme_client_faults(content.acme)):
        return None
    return read_acme_client(content.acme, absolute)


def groups_of(service: Service) -> dict[str, Group]:
    """A name for each further port of a program: `service-port`."""
    return {
        f"{service.name}-{each.name}": Group(
            f"{service.name}-{each.name}", f"{service.name}-{each.name}", each.number, each.protocol, (service.name,),
            service.origin, target_port=each.number, namespace=service.namespace,
        )
        for each in service.more_ports
    }  # fmt: skip
