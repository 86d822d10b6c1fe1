"""The proof of a mesh that is up: from the graph and the agent's holdings to what the prover tries."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from handsel.agent.adapters.host.network import inside
from handsel.agent.adapters.runtime import Agent
from handsel.agent.layout import Layout
from handsel.diagnose import proof
from handsel.diagnose.adapters.probe import PairFiles
from handsel.diagnose.adapters.prover import PATH, DeniedPair, Edge, ExternalEdge, Prover, Workload
from handsel.diagnose.policy import ANYBODY
from handsel.mesh.entrance import Entrances
from handsel.mesh.reach import answering
from handsel.mesh.scope import Scope
from handsel.model.graph import ExternalTls, Mesh, Protocol


async def prove(mesh: Mesh, agent: Agent, timings: Mapping[str, float], started: float) -> dict[str, Any]:
    """The `UpReport` of a mesh that runs on this host. `started` is when the process began, as `time.time()`."""
    layout = agent.layout
    prover = Prover(
        agent.swapped_endpoint, PairFiles(layout.certificate, layout.key),
        lambda caller, request: inside(agent.namespaces.path(caller), request),
    )  # fmt: skip
    edges, denied = await prover.prove(
        _edges(mesh, agent, layout), _external_edges(mesh, agent, layout), _denied(mesh, agent, layout)
    )
    measured = dict(timings)
    if prover.first_request is not None:
        measured["first_mtls_request_seconds"] = prover.first_request - started
    measured["total_seconds"] = time.time() - started
    return proof.report(edges, denied, measured)


def _edges(mesh: Mesh, agent: Agent, layout: Layout) -> list[Edge]:
    entrances, scope = Entrances(mesh), Scope(mesh, {}, {})
    found: dict[tuple[str, str], Edge] = {}
    for caller in mesh.members.values():
        for name in caller.calls:
            for each in answering(mesh, scope, caller, name, PATH):
                callee = mesh.members[each.service]
                allowed = _admitted(entrances, mesh, callee.name)
                # Whom a policy keeps out by name is kept out: proven beside the pairs that nobody declared.
                if not {str(caller.identity), ANYBODY} & allowed or (caller.name, callee.name) in found:
                    continue
                found[caller.name, callee.name] = Edge(
                    caller=_workload(agent, layout, caller.name),
                    callee=_workload(agent, layout, callee.name),
                    protocol=callee.protocol,
                    requests_seen=mesh.requests_seen,
                    entry=("127.0.0.1", agent.ports_of(caller.name).callees[name]),
                    allowed=allowed,
                    name=name,
                    cluster=each.cluster,
                    share=each.share,
                )
    return list(found.values())


def _admitted(entrances: Entrances, mesh: Mesh, callee: str) -> frozenset[str]:
    admitted = entrances.admitted(mesh.members[callee])
    return frozenset({ANYBODY}) if admitted is None else admitted


def _external_edges(mesh: Mesh, agent: Agent, layout: Layout) -> list[ExternalEdge]:
    return [
        ExternalEdge(
            caller=_workload(agent, layout, caller.name),
            external=name,
            host=mesh.externals[name].host,
            protocol=mesh.externals[name].protocol,
            entry=("127.0.0.1", agent.ports_of(caller.name).callees[name]),
            encrypted=mesh.externals[name].tls is not ExternalTls.DISABLE,
        )
        for caller in mesh.members.values()
        for name in caller.calls
        if name in mesh.externals
    ]


def _denied(mesh: Mesh, agent: Agent, layout: Layout) -> list[DeniedPair]:
    entrances = Entrances(mesh)
    return [
        DeniedPair(
            _workload(agent, layout, caller.name),
            _workload(agent, layout, callee.name),
            http2_inside=mesh.requests_seen and callee.protocol is not Protocol.TCP,
            declared=callee.name in caller.calls,
        )
        for caller in mesh.members.values()
        for callee in mesh.members.values()
        if caller != callee and callee.role.has_inbound
        if not {str(caller.identity), ANYBODY} & _admitted(entrances, mesh, callee.name)
        # Whom a gateway may call follows from its routes.
        if not caller.role.is_gateway
    ]


def _workload(agent: Agent, layout: Layout, name: str) -> Workload:
    place, ports = layout.of(name), agent.ports_of(name)
    return Workload(
        service=name,
        identity=str(agent.holdings.workloads[name].assigned.identity),
        pair=PairFiles(place.chain, place.key),
        access_log=place.access_log,
        admin=place.sockets.admin,
        mesh=("127.0.0.1", ports.mesh),
        proxy=("127.0.0.1", ports.proxy),
    )
