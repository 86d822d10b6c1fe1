"""The agent in a pod of Kubernetes: whether it is ready, its programs' probes, and who takes captured calls.

What leaves the pod by way of the sidecar's listeners is never seen here. `model/pod.py` has the ports.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import structlog

from handsel.agent import pod
from handsel.agent.adapters.pod_names import Asking
from handsel.agent.adapters.probing import Prober
from handsel.agent.adapters.resolver import Refuser, Stub
from handsel.agent.adapters.runtime import Agent
from handsel.agent.probes import Probe
from handsel.door.adapters.uvicorn_tls import DoorServer, listen_tcp
from handsel.door.asgi import Door, Handler, Request, Response, Routes
from handsel.errors import PortInUse
from handsel.model.pod import DNS_PORT, HEALTH_PORT, OUTBOUND_PORT, STATUS_PORT, Interception

_log = structlog.get_logger("handsel.agent")
_RESOLV_CONF = Path("/etc/resolv.conf")
# Redirected connections of the pod itself arrive here, of both families (nft(8), redirect).
_LOOPBACK, _LOOPBACK6 = "127.0.0.1", "::1"


@contextlib.asynccontextmanager
async def pod_doors(
    agent: Agent, mode: Interception, probes: Mapping[str, Probe], on_bug: Callable[[Exception], None]
) -> AsyncIterator[None]:
    """What a pod needs of its agent, for as long as this is open. Raises `PortInUse`."""
    prober = Prober()
    health = _door({("GET", "/healthz/ready"): _Health(agent).ready}, HEALTH_PORT, on_bug)
    asked = _door({("GET", path): _asking(prober, each) for path, each in probes.items()}, STATUS_PORT, on_bug)
    with contextlib.ExitStack() as captured:
        if mode is not Interception.NONE:
            captured.enter_context(_answering(agent))
        await health.start()
        await asked.start()
        try:
            yield
        finally:
            await health.stop()
            await asked.stop()
            await prober.close()


class _Health:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def ready(self, _request: Request) -> Response:
        """200 once every proxy of the pod has what it should have, else 503 with the reason."""
        why = _why_not_ready(self._agent)
        return Response(503, f"{why}\n".encode()) if why else Response(200, b"ready\n")


def _why_not_ready(agent: Agent) -> str:
    """Empty when it is."""
    there = agent.holdings.workloads
    if not there:
        known = "no service is registered to this pod" if agent.holdings.sequence else "the server has not answered yet"
        return agent.server.problem or known
    if agent.several_in_pod:
        return f"this pod is several services ({', '.join(there)}): give each a service account of its own"
    waiting = next((name for name in there if not agent.ready(name)), None)
    if waiting is None:
        return ""
    missing, ads = agent.missing_secrets(waiting), agent.door(waiting)
    if missing:
        return f"{waiting} waits for a secret: {next(iter(missing.values()))}"
    if ads is not None and ads.rejections:
        return f"the proxy of {waiting} refused its configuration: {ads.rejections[-1].reason}"
    problem = f": {agent.server.problem}" if agent.server.problem else ""
    return f"the proxy of {waiting} does not have its configuration yet{problem}"


def _asking(prober: Prober, probe: Probe) -> Handler:
    async def ask(request: Request) -> Response:
        return await prober.ask(probe, request.headers)

    return ask


@contextlib.contextmanager
def _answering(agent: Agent) -> Iterator[None]:
    """Who takes what the pod's rules lead to the agent: questions about names, and calls to who is no callee."""
    text = _RESOLV_CONF.read_text(errors="replace") if _RESOLV_CONF.exists() else ""
    resolving = pod.read_resolving(text)
    others = Asking(resolving)

    def names() -> Mapping[str, str]:
        callees: dict[str, str] = {}
        for service in agent.holdings.workloads:
            callees |= agent.callee_names(service)
        return pod.names(callees, resolving.search)

    with contextlib.ExitStack() as opened:
        opened.callback(others.close)
        for make in (
            lambda host: Stub(names, (host, DNS_PORT), others),
            lambda host: Refuser("pod", (host, OUTBOUND_PORT)),
        ):
            for host in (_LOOPBACK, _LOOPBACK6):
                try:
                    taker: Stub | Refuser = make(host)
                except OSError as error:
                    if host == _LOOPBACK6:  # a pod without IPv6 has nothing to capture there
                        continue
                    raise PortInUse(f"{host} cannot be listened on in this pod: {error.strerror}") from error
                taker.start()
                opened.callback(taker.close)
        yield


def _door(routes: Routes, port: int, on_bug: Callable[[Exception], None]) -> DoorServer:
    """At every address of the pod: the kubelet asks from outside."""
    try:
        listening = listen_tcp("::", port)
    except (PortInUse, OSError):  # without IPv6
        listening = listen_tcp("0.0.0.0", port)  # noqa: S104
    return DoorServer(Door(routes, on_bug=on_bug), listening, None)
