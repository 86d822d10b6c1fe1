"""From the view of a workload to its plan. Pure, no protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from handsel.mesh import routes
from handsel.mesh.access import access_of, layer_for_access, mode_of, peer_of
from handsel.mesh.ir import (
    EXTERNAL_TLS,
    MESH_TLS,
    Inbound,
    Layer,
    Outbound,
    PeerHosts,
    PeerIds,
    TlsIntent,
    Upstream,
    WorkloadPlan,
)
from handsel.mesh.scope import Called, Places, Reached, Scope, View
from handsel.model.graph import External, ExternalTls, Group, Mesh, Protocol, Service, ServicePort, is_address
from handsel.model.routing import Routes
from handsel.model.traffic import ClientTls, TlsMode
from handsel.xds import secret

_CONNECT_PEER = timedelta(seconds=2)
_CONNECT_EXTERNAL = timedelta(seconds=5)


def translate(
    mesh: Mesh, places: Places, withdrawn: Mapping[str, int] | None = None
) -> dict[tuple[str, str], WorkloadPlan]:
    """The plan of every workload that has a place, by (host, service).

    `withdrawn`: identities of which a certificate was revoked, with a number that grows with each revocation: the
    connections of such a peer are drained.
    """
    scope = Scope(mesh, places, withdrawn or {})
    return {(host, name): plan(scope.view(host, name)) for host, name in scope.workloads}


def layer_of(mesh: Mesh, service: Service) -> Layer:
    """How deep a service's main port is looked into: layer 4 unless something needs single requests."""
    return _layer(service.protocol, requests_seen=mesh.requests_seen)


def plan(view: View) -> WorkloadPlan:
    """Everything that the proxy of this workload does."""
    seat = view.seat
    return WorkloadPlan(
        service=view.service.name,
        identity=view.service.identity,
        access_log=seat.access_log,
        proxy_port=seat.proxy_port,
        inbounds=tuple(_inbounds(view)),
        outbounds=tuple(_outbound(view, each) for each in view.called),
        upstreams=tuple(_upstream(view, each) for each in view.reached),
    )


# Inbound


def _inbounds(view: View) -> list[Inbound]:
    service, seat = view.service, view.seat
    if not service.role.has_inbound:
        return []
    main = ServicePort(seat.application_port, service.protocol)
    found = [_inbound(view, "inbound", main, seat.mesh_port)]
    mesh_ports = dict(seat.more_ports)
    found += [
        _inbound(view, f"inbound.{port.number}", port, mesh_ports[port.number])
        for port in service.more_ports
        if port.number in mesh_ports
    ]
    return found


def _inbound(view: View, name: str, port: ServicePort, mesh_port: int) -> Inbound:
    layer = max(_layer(port.protocol, requests_seen=view.mesh.requests_seen), layer_for_access(view, port))
    peer, callers = peer_of(view)
    return Inbound(
        name=name,
        address=view.seat.address,
        mesh_port=mesh_port,
        application_port=port.number,
        layer=layer,
        application_http2=port.protocol.is_http2,
        tls=TlsIntent(
            identity_secret=secret.IDENTITY,
            trust_secret=secret.TRUST,
            peer=peer,
            parameters=MESH_TLS,
            application_protocols=("h2",) if layer is Layer.HTTP else (),
        ),
        callers=callers,
        access=access_of(view, port),
        mode=mode_of(view, port),
        revocation=_newest(view, callers) if callers else _newest(view, None),
    )


# Outbound


def _outbound(view: View, called: Called) -> Outbound:
    callee = called.callee
    protocol = callee.protocol
    http = protocol is not Protocol.TCP
    layer = Layer.TCP
    if http and (isinstance(callee, External) or view.mesh.requests_seen or _has_rules(called.routes)):
        layer = Layer.HTTP
    host_port = _host_port(callee)
    return Outbound(
        callee=callee.name,
        port=called.port,
        layer=layer,
        listener_http2=protocol.is_http2,
        via_proxy=http,
        hosts=_hosts(callee),
        host_port=host_port,
        routes=routes.http(view, called) if http else (),
        to=routes.connections(called),
        named=_named(called, host_port if http else 0),
    )


def _has_rules(said: Routes | None) -> bool:
    return said is not None and bool(said.http)


def _hosts(callee: Service | External | Group) -> tuple[str, ...]:
    if isinstance(callee, Service):
        return (callee.name,)
    return (callee.host, *callee.aliases)


def _host_port(callee: Service | External | Group) -> int:
    if isinstance(callee, External):
        return callee.plain_port
    return callee.port if isinstance(callee, Group) else 80


def _named(called: Called, usual: int) -> tuple[tuple[str, int], ...]:
    """Where a program finds a callee by its name: at the port that a person wrote, and where HTTP usually is."""
    if not called.address:
        return ()
    written = 0 if isinstance(called.callee, External) else called.callee.port
    return tuple((called.address, port) for port in dict.fromkeys((usual, written)) if port)


# Upstream


def _upstream(view: View, reached: Reached) -> Upstream:
    if isinstance(reached.callee, External):
        return _outside(reached, reached.callee)
    protocol = reached.callee.protocol
    layer = _layer(protocol, requests_seen=view.mesh.requests_seen)
    identities = tuple(sorted({each.identity for each in reached.services}))
    tls: TlsIntent | None = TlsIntent(
        identity_secret=secret.IDENTITY,
        trust_secret=secret.TRUST,
        peer=PeerIds(identities or (view.trust_domain.nobody,)),
        parameters=MESH_TLS,
        application_protocols=("h2",) if layer is Layer.HTTP else (),
    )
    http2 = layer is Layer.HTTP or protocol.is_http2
    said = reached.policy.tls
    if said is not None and said.mode is not TlsMode.MESH:
        tls, http2 = _client_tls(said, protocol, reached.callee.name), protocol.is_http2
    return Upstream(
        name=reached.name,
        tls=tls,
        http2=http2,
        endpoints=reached.endpoints,
        by_eds=True,
        connect_timeout=_connect_timeout(reached, _CONNECT_PEER),
        policy=reached.policy,
        revocation=_newest(view, identities),
    )


def _outside(reached: Reached, external: External) -> Upstream:
    endpoints = external.endpoints or ((external.host, external.port),)
    said = reached.policy.tls
    tls = _external_tls(external)
    if said is not None:
        tls = _client_tls(said, external.protocol, external.host)
    return Upstream(
        name=reached.name,
        tls=tls,
        http2=external.protocol.is_http2,
        endpoints=endpoints,
        by_eds=False,
        connect_timeout=_connect_timeout(reached, _CONNECT_EXTERNAL),
        dns=not all(is_address(address) for address, _ in endpoints),
        policy=reached.policy,
    )


def _connect_timeout(reached: Reached, usual: timedelta) -> timedelta:
    pool = reached.policy.pool
    return pool.connect_timeout if pool and pool.connect_timeout else usual


def _external_tls(external: External) -> TlsIntent | None:
    said = ClientTls(
        TlsMode(external.tls.value),
        external.client_certificate,
        external.private_key,
        external.ca_certificates,
        server_name=external.server_name,
        names=external.server_names,
    )
    return None if external.tls is ExternalTls.DISABLE else _client_tls(said, external.protocol, external.host)


def _client_tls(said: ClientTls, protocol: Protocol, host: str) -> TlsIntent | None:
    """TLS towards what is no workload of the mesh: the name is always checked."""
    if said.mode is TlsMode.DISABLE:
        return None
    identity = ""
    if said.mode is TlsMode.MUTUAL:
        identity = f"file-cert:{said.client_certificate}~{said.private_key}"
    alpn = {Protocol.TCP: (), Protocol.HTTP: ("http/1.1",)}.get(protocol, ("h2",))
    server_name = said.server_name or host
    return TlsIntent(
        identity_secret=identity,
        trust_secret=f"file-root:{said.ca_certificates or 'system'}",
        peer=PeerHosts(said.names or (server_name,)),
        parameters=EXTERNAL_TLS,
        server_name=server_name,
        application_protocols=alpn,
    )


def _layer(protocol: Protocol, *, requests_seen: bool) -> Layer:
    return Layer.HTTP if requests_seen and protocol is not Protocol.TCP else Layer.TCP


def _newest(view: View, peers: tuple[object, ...] | None) -> int:
    """The number of the last revocation among these identities; None: among all that are known."""
    known = None if peers is None else {str(each) for each in peers}
    return max((number for name, number in view.withdrawn if known is None or name in known), default=0)
