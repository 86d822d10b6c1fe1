"""Which resource a document is."""

from __future__ import annotations

from typing import Any

from handsel.documents.yaml import Document, Path
from handsel.errors import InvalidFile
from handsel.mesh.istio.resources import DestinationRule, ServiceEntry, VirtualService
from handsel.model.faults import did_you_mean, short

Resource = ServiceEntry | DestinationRule | VirtualService

GROUP = "networking.istio.io"
VERSIONS = ("v1", "v1beta1", "v1alpha3")

_READ: dict[str, type[Resource]] = {
    "ServiceEntry": ServiceEntry,
    "DestinationRule": DestinationRule,
    "VirtualService": VirtualService,
}
_NOT_YET = (
    *("Gateway", "Sidecar", "WorkloadEntry", "WorkloadGroup", "ProxyConfig"),
    *("PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy", "Telemetry"),
    *("Secret", "ConfigMap", "Service", "ServiceAccount", "Namespace", "Pod", "Deployment", "List"),
)
_NEVER = ("EnvoyFilter", "WasmPlugin")


def kind_of(document: Document) -> type[Resource]:
    """The model of this document's resource. Raises `InvalidFile` when it is none that is read."""
    value = document.value
    if not isinstance(value, dict):
        raise _fault(document, (), "an Istio resource starts with apiVersion: and kind:")
    missing = [key for key in ("apiVersion", "kind") if key not in value]
    if missing:
        raise _fault(document, (), f"{' and '.join(missing)} missing: this is no Istio resource")
    kind, version = value["kind"], value["apiVersion"]
    if not isinstance(kind, str) or kind not in _READ:
        raise _fault(document, ("kind",), _why_not(kind))
    if version not in [f"{GROUP}/{each}" for each in VERSIONS]:
        message = f"must be {GROUP}/{' or '.join(VERSIONS)}, not {short(version)}"
        raise _fault(document, ("apiVersion",), message)
    return _READ[kind]


def _why_not(kind: Any) -> str:
    if kind in _NOT_YET:
        return f"{kind}: not supported yet"
    if kind in _NEVER:
        return f"{kind}: not supported, since it changes the proxy behind the back of what is declared"
    return f"unknown kind {short(kind)}, {did_you_mean(str(kind), _READ, known_here=True)}"


def _fault(document: Document, path: Path, message: str) -> InvalidFile:
    return InvalidFile([document.fault(path, message)])
