"""What a workload that comes from resources may call: everything it sees, or what a Sidecar leaves of it.

The mesh file's services are not among it: they are called by those that name them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from handsel.mesh.istio.findings import NOT_CARRIED_OUT, SAME_SIDECAR
from handsel.mesh.istio.hosts import KnownHost, fits
from handsel.mesh.istio.reading import Found, Reading
from handsel.mesh.istio.resources.sidecar import Egress, Sidecar
from handsel.mesh.istio.services import Workload, pairs
from handsel.model.access import Labels
from handsel.model.origin import Origin

Calls = Mapping[str, Origin]


def scoping(reading: Reading, hosts: Iterable[KnownHost]) -> Callable[[Workload], Calls]:
    """Tells what a workload may call. Those that see the same share one answer."""
    known = [each for each in hosts if not each.native]
    sidecars = _Sidecars(reading)
    answers: dict[tuple[str, str], Calls] = {}

    def calls(workload: Workload) -> Calls:
        sidecar = sidecars.of(workload)
        key = (workload.namespace, sidecar.subject if sidecar else "")
        if key not in answers:
            answers[key] = _calls(workload.namespace, sidecar, known)
        return answers[key]

    return calls


def _calls(namespace: str, sidecar: Found[Sidecar] | None, hosts: Sequence[KnownHost]) -> Calls:
    egress = sidecar.resource.spec.egress if sidecar else []
    return {
        port.callee: host.origin
        for host in hosts
        if host.is_visible_in(namespace)
        for port in host.ports
        if not egress or any(_leaves(each, namespace, host, port.number) for each in egress)
    }


def _leaves(egress: Egress, namespace: str, host: KnownHost, port: int) -> bool:
    if egress.port and egress.port.number and egress.port.number != port:
        return False
    for said in egress.hosts:
        space, _, name = said.partition("/")
        if (space in ("*", host.namespace) or (space == "." and host.namespace == namespace)) and fits(name, host.name):
            return True
    return False


class _Sidecars:
    """The Sidecar of a workload: one that selects it, else that of its namespace, else that of the mesh."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._of_namespace: dict[str, Found[Sidecar]] = {}
        self._selecting: dict[str, list[tuple[Labels, Found[Sidecar]]]] = {}
        for found in reading.resources.of(Sidecar):
            spec = found.resource.spec
            self._note(found)
            if spec.workload_selector and spec.workload_selector.labels:
                selector = pairs(spec.workload_selector.labels)
                self._selecting.setdefault(found.namespace, []).append((selector, found))
                continue
            first = self._of_namespace.setdefault(found.namespace, found)
            if first is not found:
                text = f"{first.subject} ({first.origin}) is for the whole namespace already"
                reading.findings.add(found, ("metadata", "name"), SAME_SIDECAR, text)

    def of(self, workload: Workload) -> Found[Sidecar] | None:
        here = self._selecting.get(workload.namespace, [])
        selecting = [found for selector, found in here if set(selector) <= set(workload.labels)]
        for other in selecting[1:]:
            text = f"{selecting[0].subject} ({selecting[0].origin}) selects {workload.name!r} already"
            self._reading.findings.add(other, ("spec", "workloadSelector"), SAME_SIDECAR, text)
        if selecting:
            return selecting[0]
        root = self._reading.root_namespace
        return self._of_namespace.get(workload.namespace) or self._of_namespace.get(root)

    def _note(self, found: Found[Sidecar]) -> None:
        policy = found.resource.spec.outbound_traffic_policy
        if policy and policy.mode == "ALLOW_ANY":
            text = "ALLOW_ANY: what nobody declares stays out of reach"
            self._reading.findings.add(found, ("spec", "outboundTrafficPolicy", "mode"), NOT_CARRIED_OUT, text)
