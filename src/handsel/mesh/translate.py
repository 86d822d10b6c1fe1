"""From the view of a workload to its plan. Pure, no protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from handsel.mesh import routes
from handsel.mesh.access.plan import admit
from handsel.mesh.balancer.plan import balancing, workers
from handsel.mesh.edge_tls import client_tls, external_tls, legacy_tls
from handsel.mesh.entrance import Entrances, entrance
from handsel.mesh.gateways import fronts
from handsel.mesh.intent import PeerIds, TlsIntent
from handsel.mesh.ir import Behind, Inbound, Layer, Outbound, Upstream, WorkloadPlan
from handsel.mesh.scope import Places, Scope
from handsel.mesh.view import Address, Called, Reached, View
from handsel.model.access import Labels
from handsel.model.gateway import GatewayPort, ServerTlsMode
from handsel.model.graph import External, Group, Mesh, Protocol, Service, ServicePort, is_address
from handsel.model.traffic import ClientTls, Pool, TlsMode
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
    by_telemetry = _layer(service.protocol, requests_seen=mesh.requests_seen)
    if not (mesh.policies or mesh.tokens):
        return by_telemetry
    port = ServicePort(service.port, service.protocol)
    return max(by_telemetry, admit(Entrances(mesh).question(service, port)).layer)


def plan(view: View) -> WorkloadPlan:
    """Everything that the proxy of this workload does."""
    seat = view.seat
    outbounds = tuple(_outbound(view, each) for each in view.called)
    # A callee to which no rule leads, such as one behind an egress gateway, must not be reached by another way.
    led_to = {name for each in outbounds for name in each.upstreams}
    reached = [each for each in view.reached if view.service.role.is_gateway or each.name in led_to]
    return WorkloadPlan(
        service=view.service.name,
        identity=view.service.identity,
        access_log=seat.access_log,
        proxy_port=seat.proxy_port,
        inbounds=tuple(_inbounds(view)),
        outbounds=outbounds,
        upstreams=(*(_upstream(view, each) for each in (*reached, *view.keys)), *workers(view)),
        fronts=fronts(view),
        calls=not view.service.role.is_gateway,
        balancing=balancing(view),
        tracing=view.mesh.tracing,
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
    mode, admitted = entrance(view, port)
    behind = _behind(view, port.protocol)
    asked = Layer.HTTP if behind and port.protocol is not Protocol.TCP else admitted.layer
    layer = max(_layer(port.protocol, requests_seen=view.mesh.requests_seen), asked)
    callers = admitted.callers
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
            peer=admitted.peer,
            parameters=view.mesh.within,
            application_protocols=_inbound_alpn(layer, asked),
        ),
        callers=callers,
        access=admitted.access,
        mode=mode,
        server_first=port.protocol is Protocol.TCP,
        plaintext=admitted.plaintext,
        near=admitted.near,
        behind=behind,
        from_gateway=view.behind_gateway,
        revocation=view.newest(callers or None),
    )


def _behind(view: View, protocol: Protocol) -> Behind | None:
    legacy = view.service.legacy
    if legacy is None:
        return None
    host = legacy.tls.server_name if legacy.tls and legacy.tls.server_name else legacy.host
    usual = legacy.port == (443 if legacy.tls else 80)
    return Behind(
        legacy.host, legacy.port, legacy_tls(view, legacy, _alpn(protocol)), host if usual else f"{host}:{legacy.port}",
        legacy.http10,
    )  # fmt: skip


def _inbound_alpn(layer: Layer, for_access: Layer) -> tuple[str, ...]:
    # Callers do not know what is asked here: they may also bring the bytes of their programs as they are.
    if for_access is Layer.HTTP:
        return ("h2", "http/1.1")
    return ("h2",) if layer is Layer.HTTP else ()


# Outbound


def _outbound(view: View, called: Called) -> Outbound:
    callee = called.callee
    protocol = callee.protocol
    http = protocol is not Protocol.TCP
    layer = Layer.TCP
    seen = isinstance(callee, External) or view.mesh.requests_seen or routes.looks_into_requests(view, called)
    if http and seen:
        layer = Layer.HTTP
    host_port = _host_port(callee)
    policy = routes.policy_of(view, called)
    pool = policy.pool or Pool()
    return Outbound(
        callee=callee.name,
        port=called.port,
        layer=layer,
        listener_http2=protocol.is_http2,
        via_proxy=http,
        hosts=_hosts(callee, view.service.namespace),
        host_port=host_port,
        routes=routes.http(view, called) if http else (),
        to=routes.connections(view, called),
        named=_named(called, host_port if http else 0),
        by_server_name=() if http else routes.by_server_name(view, called),
        idle_timeout=pool.tcp_idle_timeout,
        maximum_age=None if http else pool.maximum_age,
        by_source=layer is Layer.TCP and policy.sticky is not None,
    )


def _hosts(callee: Service | External | Group, namespace: str) -> tuple[str, ...]:
    return (callee.name,) if isinstance(callee, Service) else callee.names_in(namespace)


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
        return _outside(view, reached, reached.callee)
    protocol = reached.callee.protocol
    layer = _layer(protocol, requests_seen=view.mesh.requests_seen)
    identities = tuple(sorted({each.identity for each in reached.services}))
    mesh_tls = TlsIntent(
        identity_secret=secret.IDENTITY,
        trust_secret=secret.TRUST,
        peer=PeerIds(identities or (view.trust_domain.nobody,)),
        parameters=view.mesh.within,
        application_protocols=("h2",) if layer is Layer.HTTP else (),
    )
    tls: TlsIntent | None = mesh_tls
    http2 = layer is Layer.HTTP or protocol.is_http2
    said = reached.policy.tls
    if reached.door:
        tls, http2 = _at_gateway(mesh_tls, reached.door, said), protocol.is_http2
    if said is not None and said.mode is not TlsMode.MESH:
        tls, http2 = client_tls(view, said, reached.callee.name, _alpn(protocol)), protocol.is_http2
    plain = reached.plain if said is None else ()  # what a person said of TLS holds
    if plain and set(plain) == set(reached.endpoints):
        tls, plain = None, ()
    return Upstream(
        name=reached.name,
        tls=tls,
        http2=http2,
        endpoints=reached.endpoints,
        by_eds=True,
        connect_timeout=_connect_timeout(reached, _CONNECT_PEER),
        policy=reached.policy,
        plain=plain,
        revocation=view.newest(identities),
    )


def _at_gateway(tls: TlsIntent, door: GatewayPort, said: ClientTls | None) -> TlsIntent | None:
    """To a port of a gateway as that port has it, unless a rule says it."""
    if said is not None:
        return replace(tls, server_name=said.server_name)
    return tls if door.tls is not None and door.tls.mode is ServerTlsMode.MESH else None


def _through(view: View, reached: Reached, external: External) -> Upstream:
    """To the gateway that guards an external: nobody but that gateway knows a way outside."""
    http = external.protocol is not Protocol.TCP
    identities = tuple(each.identity for each in reached.services)
    return Upstream(
        name=reached.name,
        tls=TlsIntent(
            secret.IDENTITY, secret.TRUST, PeerIds(identities), view.mesh.within, external.host, ("h2",) if http else ()
        ),
        http2=http,
        endpoints=reached.endpoints,
        by_eds=True,
        connect_timeout=_connect_timeout(reached, _CONNECT_PEER),
        policy=reached.policy,
        revocation=view.newest(identities),
    )


def _outside(view: View, reached: Reached, external: External) -> Upstream:
    if reached.services:
        return _through(view, reached, external)
    endpoints, weights = _endpoints_outside(external, reached.labels)
    said, pool = reached.policy.tls, reached.policy.pool
    if pool is not None and pool.upgrade_to_http2 and external.protocol is Protocol.HTTP:
        external = replace(external, protocol=Protocol.HTTP2)
    tls = client_tls(view, said or external_tls(external), external.host, _alpn(external.protocol))
    return Upstream(
        name=reached.name,
        tls=tls,
        http2=external.protocol.is_http2,
        endpoints=endpoints,
        by_eds=False,
        connect_timeout=_connect_timeout(reached, _CONNECT_EXTERNAL),
        dns=not all(is_address(address) for address, _ in endpoints),
        one_address=external.one_address,
        weights=weights,
        policy=reached.policy,
    )


def _endpoints_outside(external: External, labels: Labels) -> tuple[tuple[Address, ...], tuple[int, ...]]:
    """Those with these labels, and how much each gets."""
    endpoints = external.endpoints or ((external.host, external.port),)
    has = external.endpoint_labels or ((),) * len(endpoints)
    chosen = [index for index, each in enumerate(has) if set(labels) <= set(each)]
    weights = tuple(external.weights[index] for index in chosen) if external.weights else ()
    return tuple(endpoints[index] for index in chosen), weights


def _connect_timeout(reached: Reached, usual: timedelta) -> timedelta:
    pool = reached.policy.pool
    return pool.connect_timeout if pool and pool.connect_timeout else usual


def _alpn(protocol: Protocol) -> tuple[str, ...]:
    return {Protocol.TCP: (), Protocol.HTTP: ("http/1.1",)}.get(protocol, ("h2",))


def _layer(protocol: Protocol, *, requests_seen: bool) -> Layer:
    return Layer.HTTP if requests_seen and protocol is not Protocol.TCP else Layer.TCP
