"""Which resource a document is."""

from __future__ import annotations

from handsel.documents.yaml import Document, Path
from handsel.errors import InvalidFile
from handsel.mesh.istio.reading import Resource
from handsel.mesh.istio.resources import kubernetes
from handsel.mesh.istio.resources.destination_rule import DestinationRule
from handsel.mesh.istio.resources.gateway import Gateway
from handsel.mesh.istio.resources.security import AuthorizationPolicy, PeerAuthentication, RequestAuthentication
from handsel.mesh.istio.resources.service_entry import ServiceEntry
from handsel.mesh.istio.resources.sidecar import Sidecar
from handsel.mesh.istio.resources.virtual_service import VirtualService
from handsel.mesh.istio.resources.workload import WorkloadEntry, WorkloadGroup
from handsel.model.faults import did_you_mean, short

_NETWORKING = tuple(f"networking.istio.io/{version}" for version in ("v1", "v1beta1", "v1alpha3"))
_SECURITY = tuple(f"security.istio.io/{version}" for version in ("v1", "v1beta1"))
_CORE = ("v1",)
_APPS = ("apps/v1",)

READ: dict[str, tuple[tuple[str, ...], type[Resource]]] = {
    "ServiceEntry": (_NETWORKING, ServiceEntry),
    "DestinationRule": (_NETWORKING, DestinationRule),
    "VirtualService": (_NETWORKING, VirtualService),
    "Gateway": (_NETWORKING, Gateway),
    "Sidecar": (_NETWORKING, Sidecar),
    "WorkloadEntry": (_NETWORKING, WorkloadEntry),
    "WorkloadGroup": (_NETWORKING, WorkloadGroup),
    "PeerAuthentication": (_SECURITY, PeerAuthentication),
    "AuthorizationPolicy": (_SECURITY, AuthorizationPolicy),
    "RequestAuthentication": (_SECURITY, RequestAuthentication),
    "Service": (_CORE, kubernetes.Service),
    "Pod": (_CORE, kubernetes.Pod),
    "Deployment": (_APPS, kubernetes.Deployment),
    "StatefulSet": (_APPS, kubernetes.Deployment),
    "DaemonSet": (_APPS, kubernetes.Deployment),
    "ReplicaSet": (_APPS, kubernetes.Deployment),
    "Namespace": (_CORE, kubernetes.Namespace),
    "Secret": (_CORE, kubernetes.Secret),
    "ConfigMap": (_CORE, kubernetes.ConfigMap),
}
LATER = ("ProxyConfig", "Telemetry", "TrafficExtension")
"""Istio's, known and not carried out; all kinds of the Gateway API are so, too."""
_NEVER = ("EnvoyFilter", "WasmPlugin")
_GATEWAY_API = "gateway.networking.k8s.io"


def kind_of(document: Document) -> type[Resource] | None:
    """The model of this document's resource; None of one of Kubernetes' that says nothing to a mesh.

    Raises `InvalidFile` when it is none that is read.
    """
    value = document.value
    if not isinstance(value, dict):
        raise _fault(document, (), "an Istio resource starts with apiVersion: and kind:")
    missing = [key for key in ("apiVersion", "kind") if key not in value]
    if missing:
        raise _fault(document, (), f"{' and '.join(missing)} missing: this is no Istio resource")
    kind, version = value["kind"], value["apiVersion"]
    if not isinstance(kind, str) or not isinstance(version, str):
        key, wrong = ("kind", kind) if not isinstance(kind, str) else ("apiVersion", version)
        raise _fault(document, (key,), f"must be text, not {short(wrong)}")
    group = version.rpartition("/")[0]
    if kind in LATER or group == _GATEWAY_API:
        return kubernetes.Unread
    if kind not in READ:
        return _other(document, kind, group)
    versions, model = READ[kind]
    if version not in versions:
        prefix = f"{versions[0].rpartition('/')[0]}/" if "/" in versions[0] else ""
        known = " or ".join(each.removeprefix(prefix) for each in versions)
        raise _fault(document, ("apiVersion",), f"must be {prefix}{known}, not {short(version)}")
    return model


def _other(document: Document, kind: str, group: str) -> type[Resource] | None:
    """A Job, a ServiceAccount, an Ingress of Kubernetes (its groups are short, or end with k8s.io), or of others."""
    if kind in _NEVER:
        message = f"{kind}: not supported, since it changes the proxy behind the back of what is declared"
        raise _fault(document, ("kind",), message)
    if group.endswith("istio.io"):
        hint = did_you_mean(kind, READ, known_here=True)
        raise _fault(document, ("kind",), f"unknown kind {short(kind)}, {hint}")
    return None if "." not in group or group.endswith(".k8s.io") else kubernetes.Unread


def _fault(document: Document, path: Path, message: str) -> InvalidFile:
    return InvalidFile([document.fault(path, message)])
