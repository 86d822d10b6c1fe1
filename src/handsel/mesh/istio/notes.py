"""What is said and means nothing here, or less than elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from handsel.documents.yaml import Path
from handsel.mesh.istio.findings import (
    BY_NAME_ONLY,
    MEANS_NOTHING,
    NOT_CARRIED_OUT,
    NOT_VERIFIED,
    UNKNOWN_ANNOTATION,
)
from handsel.mesh.istio.reading import AnyFound, Found, Reading
from handsel.mesh.istio.resources.common import Object, not_carried_out
from handsel.mesh.istio.resources.gateway import Gateway
from handsel.mesh.istio.resources.http_route import HttpMatch
from handsel.mesh.istio.resources.kubernetes import Unread
from handsel.mesh.istio.resources.protocols import PROTOCOLS
from handsel.mesh.istio.resources.service_entry import Location, Resolution, ServiceEntry
from handsel.mesh.istio.resources.virtual_service import VirtualService
from handsel.mesh.istio.resources.workload import WorkloadGroup
from handsel.mesh.istio.rules import PSEUDO
from handsel.model.graph import Protocol

_NETWORKING = "networking.istio.io/"
_CARRIED_OUT = ("networking.istio.io/exportTo",)


def note_all(reading: Reading, found: Sequence[AnyFound]) -> None:
    """Everything that can be said of each resource by itself."""
    for each in found:
        _any(reading, each)
    for entry in reading.resources.of(ServiceEntry):
        _entry(reading, entry)
    for virtual_service in reading.resources.of(VirtualService):
        _virtual_service(reading, virtual_service)
    for gateway in reading.resources.of(Gateway):
        _gateway(reading, gateway)
    for unread in reading.resources.of(Unread):
        of_mesh = "istio.io/" in unread.resource.api_version or unread.resource.api_version.startswith("gateway.")
        known, rest = (NOT_CARRIED_OUT, "known and") if of_mesh else (MEANS_NOTHING, "of others, and")
        reading.findings.add(unread, ("kind",), known, f"{unread.resource.kind} is {rest} not carried out")
    for group in reading.resources.of(WorkloadGroup):
        if group.resource.spec.probe is not None:
            text = "probe: the agent itself watches over the programs that it starts"
            reading.findings.add(group, ("spec", "probe"), MEANS_NOTHING, text)


def _any(reading: Reading, found: AnyFound) -> None:
    if isinstance(found.resource, Object):
        for path in not_carried_out(found.resource):
            reading.findings.add(found, path, NOT_CARRIED_OUT, f"{path[-1]} is known and not carried out")
    for key in found.metadata.annotations or {}:
        if key.startswith(_NETWORKING) and key not in _CARRIED_OUT:
            place: Path = ("metadata", "annotations", key)
            reading.findings.add(found, place, UNKNOWN_ANNOTATION, f"{key} is not carried out")


def _entry(reading: Reading, found: Found[ServiceEntry]) -> None:
    spec = found.resource.spec
    if spec.addresses:
        text = f"whoever connects to {spec.addresses[0]} does not come by the proxy: its name and loopback port do"
        reading.findings.add(found, ("spec", "addresses"), BY_NAME_ONLY, text)
    elif spec.resolution is Resolution.NONE and any(PROTOCOLS[each.protocol] is Protocol.TCP for each in spec.ports):
        text = "TCP without an address: in Istio the whole port would be its own, here its name and its loopback port"
        reading.findings.add(found, ("spec", "ports"), BY_NAME_ONLY, text)
    if spec.location is Location.MESH_INTERNAL and spec.subject_alt_names:
        text = "subjectAltNames: workloads of the mesh are known by their service accounts"
        reading.findings.add(found, ("spec", "subjectAltNames"), MEANS_NOTHING, text)


def _virtual_service(reading: Reading, found: Found[VirtualService]) -> None:
    for number, route in enumerate(found.resource.spec.http):
        path: Path = ("spec", "http", number)
        for index, match in enumerate(route.match):
            _match(reading, found, match, (*path, "match", index))
        if route.retries and route.retries.retry_remote_localities is not None:
            where: Path = (*path, "retries", "retryRemoteLocalities")
            reading.findings.add(found, where, MEANS_NOTHING, "no locality is preferred, so all are asked")


def _match(reading: Reading, found: Found[VirtualService], match: HttpMatch, path: Path) -> None:
    for key, names in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
        for name in PSEUDO:
            if name in names:
                text = f"Istio looks at no header {name!r}, and so it is here: say {name}: beside headers:"
                reading.findings.add(found, (*path, key, name), MEANS_NOTHING, text)


def _gateway(reading: Reading, found: Found[Gateway]) -> None:
    for index, server in enumerate(found.resource.spec.servers):
        if server.tls and server.tls.insecure_skip_verify:
            path: Path = ("spec", "servers", index, "tls", "insecureSkipVerify")
            text = "certificates of clients are not checked: whoever shows one is believed"
            reading.findings.add(found, path, NOT_VERIFIED, text)
