"""`handsel explain A B`: from the mesh file and the agent's status to what is looked at and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from handsel.agent.layout import Layout, WorkloadLayout
from handsel.diagnose import explain
from handsel.diagnose.adapters import edge
from handsel.diagnose.adapters.edge import Place
from handsel.diagnose.adapters.probe import PairFiles
from handsel.diagnose.call import Call
from handsel.diagnose.verdict import judge
from handsel.errors import UsageError
from handsel.model.faults import did_you_mean
from handsel.model.graph import External, Mesh, Protocol

Status = Mapping[str, Any]
"""What the agent says of a workload (`GET /v1/status` of its control socket)."""


async def explain_edge(
    mesh: Mesh, status: Status, state: Path, runtime: Path, caller: str, callee: str, *, ask: bool
) -> dict[str, Any]:
    """The `EdgeExplanation` of a call. `status` is the agent's; with `ask` a request is sent over the edge.

    Raises `UsageError` when the caller does not run on this host.
    """
    workloads = {str(each["service"]): each for each in status["workloads"]}
    if caller not in workloads:
        here = ", ".join(workloads) or "none"
        raise UsageError(f"{caller} does not run on this host (here: {here})", next_step="ask on the host that runs it")
    layout = _layout(state, runtime)
    place = await _place(mesh, workloads, layout, caller, callee)
    call = _call(mesh, workloads, place, caller, callee)
    seen = await edge.examine(call, place, ask=ask)
    return explain.edge(call, seen, judge(call, seen, datetime.now(UTC)))


def check_names(mesh: Mesh, caller: str, callee: str) -> None:
    """Raises `UsageError` when one of the two is no end of a call, with the nearest that is."""
    members, externals = list(mesh.members), list(mesh.externals)
    if caller in mesh.externals:
        raise UsageError(f"{caller!r} is external: it is called, and does not call through the mesh")
    for name, known in ((caller, members), (callee, [*members, *externals])):
        if name in mesh.services and name not in mesh.members:
            raise UsageError(f"{name!r} has no sidecar (sidecar: false), so it is no part of the mesh")
        if name not in known:
            raise UsageError(
                f"there is no {name!r} in the mesh file", next_step=did_you_mean(name, known, known_here=True)
            )
    if caller == callee:
        raise UsageError("a service does not call itself through the mesh")


def _call(mesh: Mesh, workloads: Mapping[str, Status], place: Place, caller: str, callee: str) -> Call:
    service, external = mesh.members[caller], mesh.externals.get(callee)
    address = _endpoint(external) if external else place.mesh
    there = workloads.get(callee, {})
    ports = there.get("ports") or {}
    return Call(
        caller=caller,
        callee=callee,
        external=external,
        allowed_by=str(service.calls[callee]) if callee in service.calls else "",
        declared_at=str(service.origin),
        caller_identity=str(service.identity),
        callee_identity="" if external else str(mesh.members[callee].identity),
        address=_written(*address) if address else "",
        program=f"127.0.0.1:{ports.get('application', '')}",
        not_ready=_not_ready(workloads[caller], callee, external),
        callee_here=bool(there),
        caller_ends=_ends(workloads[caller]),
        callee_ends=_ends(there),
    )


async def _place(mesh: Mesh, workloads: Mapping[str, Status], layout: Layout, caller: str, callee: str) -> Place:
    here, ports = layout.of(caller), workloads[caller].get("ports") or {}
    port, proxy = ports.get("callees", {}).get(callee), ports.get("proxy")
    called = mesh.externals.get(callee) or mesh.members[callee]
    admin = layout.of(callee).sockets.admin if callee in workloads else None
    return Place(
        caller_log=here.access_log,
        callee_log=layout.of(callee).access_log if callee in workloads else None,
        entry=("127.0.0.1", port) if port else None,
        proxy=("127.0.0.1", proxy) if proxy else None,
        mesh=await edge.inbound_address(admin) if admin else None,
        pair=_pair(here),
        protocol=called.protocol,
        http2_inside=mesh.requests_seen and called.protocol is not Protocol.TCP,
    )


def _not_ready(workload: Status, callee: str, external: External | None) -> str:
    """Why the caller's sidecar cannot carry this call yet, as far as its agent knows."""
    if workload["ports"] is None:
        return "the agent has not chosen its ports yet"
    if callee not in workload["ports"]["callees"]:
        return "the running mesh does not know this call: the mesh file was changed after it was started"
    problems = [problem for secret, problem in workload["missing"].items() if external and _is_of(secret, external)]
    if problems:
        return f"it waits for a file: {'; '.join(problems)}"
    refused = [r["reason"] for r in workload["rejections"] if {callee, f"outbound.{callee}"} & set(r["names"])]
    return f"Envoy refused its configuration: {refused[-1].strip()}" if refused else ""


def _is_of(secret: str, external: External) -> bool:
    """Whether a secret in a file (`file-cert:<chain>~<key>`, `file-root:<roots>`) is one that this external needs."""
    _, _, path = secret.partition(":")
    return path in (f"{external.client_certificate}~{external.private_key}", external.ca_certificates or "system")


def _ends(workload: Status) -> datetime | None:
    certificate = workload.get("certificate")
    return datetime.fromisoformat(certificate["not_after"]) if certificate else None


def _endpoint(external: External) -> tuple[str, int]:
    return external.endpoints[0] if external.endpoints else (external.host, external.port)


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _pair(place: WorkloadLayout) -> PairFiles:
    return PairFiles(place.chain, place.key)


def _layout(state: Path, runtime: Path) -> Layout:
    """The agent's folder: below that of `up`, or the state folder of `handsel agent run` itself."""
    folder = state / "agent"
    return Layout(folder if folder.is_dir() else state, runtime)
