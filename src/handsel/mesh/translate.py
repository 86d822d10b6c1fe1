"""From the graph and the places that agents reported to the plan of each workload. Pure, no protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from handsel.link.report import WorkloadReport
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
from handsel.model.graph import External, ExternalTls, Mesh, Protocol, Service, is_address
from handsel.xds import secret

Places = Mapping[str, Mapping[str, WorkloadReport]]
"""What each host reported, by host and service."""

_CONNECT_PEER = timedelta(seconds=2)
_CONNECT_EXTERNAL = timedelta(seconds=5)
_EXTERNAL_REQUEST_TIMEOUT = timedelta(seconds=30)


def translate(
    mesh: Mesh, places: Places, withdrawn: Mapping[str, int] | None = None
) -> dict[tuple[str, str], WorkloadPlan]:
    """The plan of every workload that has a place, by (host, service).

    `withdrawn`: identities of which a certificate was revoked, with a number that grows with each revocation: the
    connections of such a peer are drained.
    """
    return {
        (host, name): drained(_plan(mesh, mesh.members[name], place, places), withdrawn or {})
        for host, workloads in sorted(places.items())
        for name, place in sorted(workloads.items())
        if name in mesh.members
    }


def drained(plan: WorkloadPlan, withdrawn: Mapping[str, int]) -> WorkloadPlan:
    """The plan with the newest revocation of each peer, which makes the proxy drain what it has open with it."""
    inbound = max((withdrawn.get(str(caller), 0) for caller in plan.inbound.callers), default=0)
    upstreams = (replace(each.upstream, revocation=_newest(each.upstream.tls, withdrawn)) for each in plan.outbounds)
    outbounds = tuple(replace(each, upstream=new) for each, new in zip(plan.outbounds, upstreams, strict=True))
    return replace(plan, inbound=replace(plan.inbound, revocation=inbound), outbounds=outbounds)


def _newest(intent: TlsIntent | None, withdrawn: Mapping[str, int]) -> int:
    if intent is None or not isinstance(intent.peer, PeerIds):
        return 0
    return max(withdrawn.get(str(identity), 0) for identity in intent.peer.allowed)


def layer_of(mesh: Mesh, service: Service) -> Layer:
    """How deep the callee's port is looked into: layer 4 unless something needs single requests."""
    if service.protocol is Protocol.TCP or not mesh.requests_seen:
        return Layer.TCP
    return Layer.HTTP


def _plan(mesh: Mesh, service: Service, place: WorkloadReport, places: Places) -> WorkloadPlan:
    outbounds: list[Outbound] = []
    for callee in service.calls:
        port = place.callee_ports.get(callee)
        if port is None:
            continue  # the agent has not chosen one yet; its next report brings it
        if callee in mesh.members:
            outbound = _to_service(mesh, mesh.members[callee], port, places)
            written = mesh.members[callee].port
        else:
            outbound = _to_external(mesh.externals[callee], port)
            written = 0
        outbounds.append(replace(outbound, named=_named(outbound, written, place.callee_addresses.get(callee))))
    return WorkloadPlan(
        service=service.name,
        identity=service.identity,
        access_log=place.access_log,
        proxy_port=place.proxy_port,
        inbound=_inbound(mesh, service, place),
        outbounds=tuple(outbounds),
    )


def _named(outbound: Outbound, written: int, address: str | None) -> tuple[tuple[str, int], ...]:
    """Where a program finds a callee by its name: at the port that a person wrote, and where HTTP usually is."""
    if address is None:
        return ()
    usual = outbound.host_port if outbound.via_proxy else 0
    return tuple((address, port) for port in dict.fromkeys((usual, written)) if port)


def _inbound(mesh: Mesh, service: Service, place: WorkloadReport) -> Inbound:
    callers = tuple(sorted(caller.identity for caller in mesh.callers_of(service.name)))
    layer = layer_of(mesh, service)
    return Inbound(
        address=place.address,
        mesh_port=place.mesh_port,
        application_port=place.application_port,
        layer=layer,
        application_http2=service.protocol.is_http2,
        tls=TlsIntent(
            identity_secret=secret.IDENTITY,
            trust_secret=secret.TRUST,
            peer=PeerIds(callers or (mesh.trust_domain.nobody,)),
            parameters=MESH_TLS,
            application_protocols=("h2",) if layer is Layer.HTTP else (),
        ),
        callers=callers or (mesh.trust_domain.nobody,),
    )


def _to_service(mesh: Mesh, callee: Service, port: int, places: Places) -> Outbound:
    layer = layer_of(mesh, callee)
    endpoints = tuple(
        (workloads[callee.name].address, workloads[callee.name].mesh_port)
        for _, workloads in sorted(places.items())
        if callee.name in workloads
    )
    upstream = Upstream(
        name=callee.name,
        tls=TlsIntent(
            identity_secret=secret.IDENTITY,
            trust_secret=secret.TRUST,
            peer=PeerIds((callee.identity,)),
            parameters=MESH_TLS,
            application_protocols=("h2",) if layer is Layer.HTTP else (),
        ),
        http2=layer is Layer.HTTP or callee.protocol.is_http2,
        endpoints=endpoints,
        by_eds=True,
        connect_timeout=_CONNECT_PEER,
    )
    return Outbound(
        callee=callee.name,
        port=port,
        layer=layer,
        listener_http2=callee.protocol.is_http2,
        via_proxy=callee.protocol is not Protocol.TCP,
        host=callee.name,
        host_port=80,
        rewrite_host=False,
        request_timeout=None,
        upstream=upstream,
    )


def _to_external(external: External, port: int) -> Outbound:
    is_tcp = external.protocol is Protocol.TCP
    endpoints = external.endpoints or ((external.host, external.port),)
    timeout = external.request_timeout
    upstream = Upstream(
        name=external.name,
        tls=_external_tls(external),
        http2=external.protocol.is_http2,
        endpoints=endpoints,
        by_eds=False,
        connect_timeout=_CONNECT_EXTERNAL,
        dns=not all(is_address(address) for address, _ in endpoints),
    )
    return Outbound(
        callee=external.name,
        port=port,
        layer=Layer.TCP if is_tcp else Layer.HTTP,
        listener_http2=external.protocol.is_http2,
        via_proxy=not is_tcp,
        host=external.host,
        host_port=external.plain_port,
        rewrite_host=True,
        request_timeout=_EXTERNAL_REQUEST_TIMEOUT if timeout is None else timeout,
        upstream=upstream,
    )


def _external_tls(external: External) -> TlsIntent | None:
    if external.tls is ExternalTls.DISABLE:
        return None
    identity = ""
    if external.tls is ExternalTls.MUTUAL:
        identity = f"file-cert:{external.client_certificate}~{external.private_key}"
    alpn = {Protocol.TCP: (), Protocol.HTTP: ("http/1.1",)}.get(external.protocol, ("h2",))
    return TlsIntent(
        identity_secret=identity,
        trust_secret=f"file-root:{external.ca_certificates or 'system'}",
        peer=PeerHosts(external.server_names),
        parameters=EXTERNAL_TLS,
        server_name=external.server_name,
        application_protocols=alpn,
    )
