"""`gateways:` in the mesh file."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from handsel.documents.yaml import Path
from handsel.model.acme_client import SECRET_NAME
from handsel.model.acme_client_file import AcmeClientFile, acme_client_faults, read_acme_client
from handsel.model.faults import HOST, NAME, Port, Strict, did_you_mean
from handsel.model.gateway import Gateway, GatewayPort, KeyFiles, Role
from handsel.model.graph import Protocol, Service, ServicePort
from handsel.model.origin import Origin
from handsel.model.routing import (
    Compare,
    ConnectionMatch,
    ConnectionRule,
    HttpRule,
    RequestMatch,
    Routes,
    Target,
    Text,
)
from handsel.model.server_tls_file import ServerTlsFile, read_server_tls, server_tls_faults
from handsel.pki.names import TrustDomain

OF_ACME = KeyFiles(credential=SECRET_NAME)
"""What a gateway shows that takes its certificate from an ACME CA."""
_MODES = {"none": "simple", "optional": "optional_mutual", "required": "mutual"}
_PATH = re.compile(r"/[\x21-\x7e]{0,1000}")


def _is_host(text: str) -> str:
    if text != "*" and not HOST.fullmatch(text.removeprefix("*.")):
        raise ValueError(f"{text[:60]!r} is no host name in lower case, `*.` and one, or `*`")
    return text


def _is_port(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise ValueError(f"a port is a number from 1 to 65535, not {text[:40]}")
    return text


def _is_path(text: str) -> str:
    if not _PATH.fullmatch(text) or "?" in text or "#" in text:
        raise ValueError(f"{text[:60]!r} is no path, which starts with /")
    return text


def _is_address(text: str) -> str:
    ipaddress.ip_address(text)
    return text


class GatewayRouteFile(Strict):
    """Where requests to a host go."""

    host: Annotated[str, AfterValidator(_is_host)] = Field(description="The host that clients name: `*.x`, or `*`.")
    path: Annotated[str, AfterValidator(_is_path)] = Field(
        "/", description="This path and all below it. The longest that fits counts."
    )
    to: str = Field(description="The service, external or group that answers.")
    client_certificate: Literal["none", "optional", "required"] | None = Field(
        None, description="Of this host, in place of what the mode says for the port."
    )


class GatewayFile(Strict):
    """One gateway: a proxy at the edge of the mesh, without a program."""

    role: Literal["ingress", "egress"] = Field(
        "ingress", description="`ingress`: calls from outside. `egress`: calls to the outside, in one guarded place."
    )
    port: Port | None = Field(None, description="Where an ingress listens.")
    bind: Annotated[str, AfterValidator(_is_address)] | None = Field(
        None, description="The address to listen at. Where other hosts reach this one when left out."
    )
    protocol: Literal["http", "tcp"] = Field("http", description="`tcp`: connections are not looked into.")
    tls: ServerTlsFile | None = Field(None, description="How the port speaks TLS. Plain when left out.")
    acme: AcmeClientFile | None = Field(None, description="Take the certificate from an ACME CA.")
    redirect_from: Port | None = Field(None, description="A plain port that sends every request to the other.")
    routes: list[GatewayRouteFile] = Field([], description="What is reached through an ingress.")
    for_: list[str] = Field(
        [], alias="for", description="The externals of an egress: all calls to them go through it, none past it."
    )
    listen: dict[Annotated[str, AfterValidator(_is_port)], Port] = Field(
        {}, description="Where it really listens for a port that Istio's Gateways name, such as `443: 8443`."
    )
    labels: dict[str, str] = Field({}, description="Labels, by which Istio's Gateways choose; `app` is its name.")
    namespace: str = Field("default", description="Second part of its identity.")
    service_account: str | None = Field(None, description="Last part of its identity. Its name when left out.")

    @staticmethod
    def mode_of(tls: ServerTlsFile, route: GatewayRouteFile) -> str:
        """How TLS is spoken for the host of a route."""
        return _MODES[route.client_certificate] if route.client_certificate else tls.mode


def gateways_faults(
    content: dict[str, GatewayFile], callees: Collection[str], externals: Collection[str], *, all_known: bool = True
) -> Iterator[tuple[Path, str]]:
    """What only the whole can tell, each with its path below `gateways`. `callees`: what a route may lead to."""
    guarded: dict[str, str] = {}
    for name, each in content.items():
        faults = [*_faults(name, each), *_routes_faults(each, callees, all_known=all_known)]
        for index, external in enumerate(each.for_):
            path: Path = ("for", index)
            if external not in externals and all_known:
                hint = did_you_mean(external, externals)
                faults.append((path, f"there is no external {external!r}{hint and ', '}{hint}"))
            if guarded.setdefault(external, name) != name or external in each.for_[:index]:
                faults.append((path, f"{external!r} goes through {guarded[external]!r} already"))
        yield from (((name, *below), message) for below, message in faults)


def _faults(name: str, content: GatewayFile) -> Iterator[tuple[Path, str]]:
    if not NAME.fullmatch(name):
        yield (), "a name has lower-case letters, digits and dashes, at most 63"
    if content.role == "egress":
        if content.routes or content.port or content.tls or content.redirect_from or content.acme:
            yield (), "an egress has `for`; port, tls, acme and routes are an ingress's"
        return
    if content.for_:
        yield ("for",), "an ingress has `routes`; `for` is an egress's"
    if content.routes and not content.port:
        yield ("routes",), "say at which `port` it listens"
    if content.port and not content.routes:
        yield ("port",), "say with `routes` where requests go"
    if content.redirect_from and not (content.tls and content.protocol == "http"):
        yield ("redirect_from",), "there is no https to send requests to"
    elif content.redirect_from and content.redirect_from == content.port:
        yield ("redirect_from",), "is the port that requests are sent to"
    yield from _certificate_faults(content)


def _certificate_faults(content: GatewayFile) -> Iterator[tuple[Path, str]]:
    if content.tls:
        modes = {content.tls.mode, *(content.mode_of(content.tls, each) for each in content.routes)}
        for below, message in server_tls_faults(content.tls, modes, has_other=content.acme is not None):
            yield ("tls", *below), message
    if content.acme:
        if content.tls is None:
            yield ("acme",), "say how the certificate is used: tls: {mode: simple}"
        for below, message in acme_client_faults(content.acme):
            yield ("acme", *below), message


def _routes_faults(content: GatewayFile, callees: Collection[str], *, all_known: bool) -> Iterator[tuple[Path, str]]:
    is_http = content.protocol == "http" and not (content.tls and content.tls.mode == "passthrough")
    seen: set[tuple[str, str]] = set()
    asked: dict[str, str] = {}
    for index, route in enumerate(content.routes):
        path: Path = ("routes", index)
        if route.to not in callees and all_known:
            hint = did_you_mean(route.to, callees)
            yield (*path, "to"), f"there is no service or external {route.to!r}{hint and ', '}{hint}"
        if route.client_certificate and not content.tls:
            yield (*path, "client_certificate"), "without tls nobody shows a certificate"
        elif content.tls and asked.setdefault(route.host, mode := content.mode_of(content.tls, route)) != mode:
            yield (*path, "client_certificate"), f"the certificate is asked for before the path: once for {route.host}"
        if not is_http and route.path != "/":
            yield (*path, "path"), "there are no paths in what is not looked into"
        if (route.host, route.path) in seen:
            yield path, f"{route.host}{route.path} is there twice"
        if content.protocol == "tcp" and content.tls is None and route.host != "*":
            yield (*path, "host"), "without TLS a connection names no host: say `*`"
        seen.add((route.host, route.path))


@dataclass(frozen=True)
class ReadGateways:
    """A gateway is a workload without a program, what it listens for, and the routes that hold there."""

    services: tuple[Service, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    routes: tuple[Routes, ...] = ()


def read_gateways(
    content: dict[str, GatewayFile],
    trust_domain: TrustDomain,
    origin: Callable[[Path], Origin],
    absolute: Callable[[str], str],
) -> ReadGateways:
    """The gateways, in the order of the file."""
    return ReadGateways(
        tuple(_service(name, each, trust_domain, origin((name,)), absolute) for name, each in content.items()),
        tuple(_gateway(name, each, origin((name,)), absolute) for name, each in content.items()),
        tuple(routes for name, each in content.items() for routes in _routes(name, each, origin)),
    )


def _service(
    name: str, content: GatewayFile, trust_domain: TrustDomain, origin: Origin, absolute: Callable[[str], str]
) -> Service:
    try:
        identity = trust_domain.workload(content.namespace, content.service_account or name)
    except ValueError:
        identity = trust_domain.nobody
    acme = content.acme if content.acme and not list(acme_client_faults(content.acme)) else None
    return Service(
        name, identity, Protocol.HTTP, content.port or 0, (), {}, sidecar=True, origin=origin,
        acme=read_acme_client(acme, absolute) if acme else None,
        namespace=content.namespace,
        labels=tuple(sorted({"app": name, **content.labels}.items())),
        role=Role(content.role),
        # A name for each port by which resources lead to it: `gateway-443`.
        more_ports=tuple(ServicePort(int(number), Protocol.HTTP, number) for number in content.listen),
        listens=tuple(sorted((int(number), port) for number, port in content.listen.items())),
    )  # fmt: skip


def _gateway(name: str, content: GatewayFile, origin: Origin, absolute: Callable[[str], str]) -> Gateway:
    ports = tuple(_ports(content, content.port, origin, absolute)) if content.port else ()
    return Gateway(name, content.namespace, (("app", name),), ports, tuple(content.for_), origin)


def _ports(content: GatewayFile, number: int, origin: Origin, absolute: Callable[[str], str]) -> Iterator[GatewayPort]:
    """One for all hosts that are asked alike for a certificate: of one number, told apart by SNI."""
    bind, tls = content.bind or "", content.tls
    hosts = tuple(dict.fromkeys(route.host for route in content.routes))
    if content.redirect_from:
        yield GatewayPort(content.redirect_from, "HTTP", hosts, https_redirect=True, bind=bind, origin=origin)
    if tls is None:
        yield GatewayPort(number, content.protocol.upper(), hosts, bind=bind, origin=origin)
        return
    by_mode: dict[str, list[str]] = {}
    for route in content.routes:
        by_mode.setdefault(content.mode_of(tls, route), []).append(route.host)
    for mode, named in by_mode.items():
        protocol = "TLS" if mode == "passthrough" or content.protocol == "tcp" else "HTTPS"
        spoken = read_server_tls(tls, mode, OF_ACME if content.acme else None, absolute)
        yield GatewayPort(number, protocol, tuple(dict.fromkeys(named)), spoken, bind=bind, origin=origin)


def _routes(name: str, content: GatewayFile, origin: Callable[[Path], Origin]) -> Iterator[Routes]:
    at = (f"{content.namespace}/{name}",)
    passes = content.protocol == "tcp" or (content.tls is not None and content.tls.mode == "passthrough")
    by_host: dict[str, list[tuple[int, GatewayRouteFile]]] = {}
    for index, route in enumerate(content.routes):
        by_host.setdefault(route.host, []).append((index, route))
    for host, routes in by_host.items():
        routes.sort(key=lambda each: len(each[1].path), reverse=True)
        http, tls, tcp = [], [], []
        for index, route in routes:
            place, to = origin((name, "routes", index)), (Target(route.to),)
            if not passes:
                matches = (
                    (RequestMatch(path=Text(Compare.SUBPATH, route.path.rstrip("/"))),) if route.path != "/" else ()
                )
                http.append(HttpRule(matches, to, origin=place))
            elif content.tls:
                tls.append(ConnectionRule((ConnectionMatch(server_names=(host,)),), to, place))
            else:
                tcp.append(ConnectionRule((), to, place))
        yield Routes(
            f"{name}-{host}", content.namespace, (host,), (), at, tuple(http), tuple(tls), tuple(tcp),
            origin=origin((name, "routes", routes[0][0])),
        )  # fmt: skip
