"""From the view of a load balancer to its plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from handsel.mesh.balancer.ciphers import suites
from handsel.mesh.balancer.mapping import Rule, rules
from handsel.mesh.balancing import Balancing, ClientCheck, Forward, Port, Site
from handsel.mesh.intent import EDGE_TLS, EXTERNAL_TLS, PeerAnonymous, PeerClients, PeerHosts, TlsIntent, TlsParameters
from handsel.mesh.ir import Upstream
from handsel.mesh.view import View
from handsel.model.balancer import (
    Application,
    Balancer,
    ClientMode,
    Clients,
    Health,
    HttpMode,
    SslEndpoint,
    UpstreamProtocol,
)
from handsel.model.graph import is_address

_CONNECT_WORKER = timedelta(seconds=5)
_IDLE = timedelta(seconds=300)


def balancing(view: View) -> Balancing | None:
    """What a load balancer does; None when it is none."""
    if view.balancer is None:
        return None
    known = {each.identity for reached in view.reached for each in reached.services}
    return at_address(view.balancer, view.seat.address, view.newest(known))


def workers(view: View) -> tuple[Upstream, ...]:
    """The clusters of a load balancer's workers."""
    return upstreams(view.balancer) if view.balancer else ()


def at_address(balancer: Balancer, address: str, revocation: int = 0) -> Balancing:
    """What a load balancer does at an address. A stopped one listens at no port, whatever certificate it has."""
    at = balancer.bind or address
    ports = tuple(port for port in (_http(balancer, at), _https(balancer, at)) if port) if balancer.started else ()
    return Balancing(
        ports,
        tuple(_health(balancer)),
        balancer.read_timeout,
        balancer.payload_limit,
        balancer.keep_url_encoding,
        balancer.trusted_hops,
        balancer.proxy_protocol,
        balancer.rate_limit,
        _IDLE,
        revocation,
    )


def _http(balancer: Balancer, address: str) -> Port | None:
    if balancer.http_mode is HttpMode.OFF:
        return None
    if balancer.http_mode is HttpMode.REDIRECT:
        site = Site("redirect", redirect_port=balancer.https_port, allow=balancer.allow)
        return Port("balancer.http", address, balancer.http_port, (site,))
    said = balancer.plain
    site = Site("plain", forwards=_forwards(balancer, said), clients=_check(said.clients), allow=said.allow)
    return Port("balancer.http", address, balancer.http_port, (site,))


def _https(balancer: Balancer, address: str) -> Port | None:
    if not balancer.endpoints:
        return None
    sites = [_site(balancer, each) for each in balancer.endpoints]
    # The one that takes every other name is there once more, without names.
    default = replace(sites[balancer.default], server_names=())
    named = sites if len(sites) > 1 else []
    return Port("balancer.https", address, balancer.https_port, (*named, default))


def _site(balancer: Balancer, endpoint: SslEndpoint) -> Site:
    clients = endpoint.clients
    return Site(
        endpoint.name,
        endpoint.names,
        _tls(balancer, endpoint),
        _forwards(balancer, endpoint),
        clients=_check(clients),
        believes_later=clients.mode is ClientMode.OPTIONAL,
        allow=endpoint.allow,
    )


def _check(clients: Clients) -> ClientCheck | None:
    return None if clients.mode is ClientMode.OFF else ClientCheck(clients.forward, clients.forward_failed)


def _tls(balancer: Balancer, endpoint: SslEndpoint) -> TlsIntent:
    identity, *more = (f"file-cert:{each.certificate}~{each.private_key}" for each in endpoint.certificates)
    clients = endpoint.clients
    asked = clients.mode is not ClientMode.OFF
    trust = f"file-root:{clients.ca}" + (f"~{clients.crl}" if clients.crl else "")
    return TlsIntent(
        identity_secret=identity,
        more_identities=tuple(more),
        trust_secret=trust if asked else "",
        peer=PeerClients(required=clients.mode is ClientMode.ON) if asked else PeerAnonymous(),
        parameters=_parameters(balancer),
        application_protocols=("h2", "http/1.1"),
    )


def _parameters(balancer: Balancer) -> TlsParameters:
    minimum = "TLSv1_0" if balancer.tls_1_0 else EDGE_TLS.minimum
    ciphers = suites(balancer.ciphers, tls_1_0=balancer.tls_1_0)
    return TlsParameters(minimum, EDGE_TLS.maximum, EDGE_TLS.groups, ciphers)


def _forwards(balancer: Balancer, endpoint: SslEndpoint) -> tuple[Forward, ...]:
    return tuple(_forward(balancer, each) for each in rules(endpoint.mappings, balancer.applications, endpoint.names))


def _forward(balancer: Balancer, rule: Rule) -> Forward:
    application = balancer.application(rule.app)
    upstream = cluster(application, rule.mapping.protocol) if application else ""
    return Forward(
        name=f"rule {rule.number}: {rule.mapping.input_uri}",
        hosts=rule.hosts,
        path=rule.path,
        whole=rule.whole,
        upstream=upstream,
        app_uri=rule.mapping.app_uri,
        eats_slash=rule.eats_slash,
        websocket=rule.mapping.protocol.is_websocket,
    )


# What is behind it


def cluster(application: Application, protocol: UpstreamProtocol) -> str:
    """The cluster of an application: a callee of the mesh is one; workers are two, one by plain text and one by TLS."""
    if not application.workers:
        return application.name
    return f"{application.name}.{'https' if protocol.is_tls else 'http'}"


def _used(balancer: Balancer) -> dict[str, tuple[Application, bool]]:
    """Every cluster that a rule may lead to, with its application and whether it is spoken to by TLS."""
    found: dict[str, tuple[Application, bool]] = {}
    sites = list(balancer.endpoints)
    if balancer.http_mode is HttpMode.ON:
        sites.append(balancer.plain)
    for site in sites:
        for rule in rules(site.mappings, balancer.applications, site.names):
            application = balancer.application(rule.app)
            if application:
                protocol = rule.mapping.protocol
                found[cluster(application, protocol)] = (application, protocol.is_tls)
    return found


def upstreams(balancer: Balancer) -> tuple[Upstream, ...]:
    """The clusters of workers. Those of callees of the mesh are made as for any other caller."""
    return tuple(
        _workers(name, application, tls=tls)
        for name, (application, tls) in sorted(_used(balancer).items())
        if application.workers
    )


def _workers(name: str, application: Application, *, tls: bool) -> Upstream:
    usual = application.https_port if tls else application.http_port
    endpoints = tuple((host, port or usual) for host, port in application.workers)
    intent = TlsIntent(
        identity_secret="",
        trust_secret=f"file-root:{application.ca_certificates or 'system'}",
        peer=PeerHosts((application.server_name,)),
        parameters=EXTERNAL_TLS,
        server_name=application.server_name,
        application_protocols=("http/1.1",),
    )
    return Upstream(
        name=name,
        tls=intent if tls else None,
        http2=False,
        endpoints=endpoints,
        by_eds=False,
        connect_timeout=_CONNECT_WORKER,
        dns=not all(is_address(host) for host, _ in endpoints),
    )


def _health(balancer: Balancer) -> Iterator[tuple[str, Health]]:
    for name, (application, _) in sorted(_used(balancer).items()):
        if application.health:
            yield name, application.health
