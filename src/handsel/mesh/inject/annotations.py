"""Istio's annotations and labels of a pod: read, checked, and none of them ignored without a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from handsel.documents.yaml import Path
from handsel.envoy.options import component_levels
from handsel.mesh.inject import proxy_config, values
from handsel.mesh.inject.look import Look
from handsel.mesh.inject.model import Object
from handsel.mesh.inject.proxy_config import ProxyConfig
from handsel.mesh.inject.quantity import parse_quantity
from handsel.mesh.inject.redirect import Redirect
from handsel.model.faults import did_you_mean
from handsel.model.pod import Interception

INJECT = "sidecar.istio.io/inject"
REVISION = "istio.io/rev"
OF_NAMESPACE = "istio-injection"

_SIDECAR, _TRAFFIC, _PROXY = "sidecar.istio.io/", "traffic.sidecar.istio.io/", "proxy.istio.io/"
_STATUS, _READINESS, _TEMPLATES = "status.sidecar.istio.io/", "readiness.status.sidecar.istio.io/", "inject.istio.io/"
_PREFIXES = (_SIDECAR, _TRAFFIC, _PROXY, _STATUS, _READINESS, _TEMPLATES)

VOLUMES, MOUNTS = _SIDECAR + "userVolume", _SIDECAR + "userVolumeMount"

_MODES = tuple(Interception)
_READERS: Mapping[str, Callable[[str], Any]] = {
    INJECT: values.wish,
    _SIDECAR + "nativeSidecar": values.truth,
    _SIDECAR + "interceptionMode": values.one_of(_MODES),
    _SIDECAR + "rewriteAppHTTPProbers": values.truth,
    _SIDECAR + "proxyCPU": values.quantity,
    _SIDECAR + "proxyMemory": values.quantity,
    _SIDECAR + "proxyCPULimit": values.quantity,
    _SIDECAR + "proxyMemoryLimit": values.quantity,
    _SIDECAR + "logLevel": values.level,
    _SIDECAR + "componentLogLevel": component_levels,
    VOLUMES: values.volumes,
    MOUNTS: values.volume_mounts,
    _TRAFFIC + "includeOutboundIPRanges": values.ranges_or_all,
    _TRAFFIC + "excludeOutboundIPRanges": values.ranges,
    _TRAFFIC + "includeOutboundPorts": values.ports_or_all,
    _TRAFFIC + "excludeOutboundPorts": values.ports,
    _TRAFFIC + "includeInboundPorts": values.ports_or_all,
    _TRAFFIC + "excludeInboundPorts": values.ports,
    _TRAFFIC + "excludeInterfaces": values.interfaces,
    _PROXY + "config": proxy_config.read,
}
_NOT_HONOURED = (
    *(_SIDECAR + name for name in (
        "agentLogLevel", "bootstrapOverride", "controlPlaneAuthPolicy", "discoveryAddress", "enableCoreDump",
        "extraStatTags", "proxyImage", "proxyImageType", "statsCompression", "statsHistogramBuckets",
        "statsInclusionPrefixes", "statsInclusionRegexps", "statsInclusionSuffixes", "status",
    )),
    _TRAFFIC + "kubevirtInterfaces", _PROXY + "overrides", _STATUS + "port", _TEMPLATES + "templates",
    *(_READINESS + name for name in ("applicationPorts", "failureThreshold", "initialDelaySeconds", "periodSeconds")),
)  # fmt: skip
_KNOWN = (*_READERS, *_NOT_HONOURED)

# What a sidecar gets when nobody says anything about its resources; who says anything says all (as in Istio).
_RESOURCES: Mapping[str, Mapping[str, str]] = {
    "requests": {"cpu": "100m", "memory": "128Mi"},
    "limits": {"cpu": "2", "memory": "1Gi"},
}
_OF_RESOURCES = (
    ("proxyCPU", "requests", "cpu"), ("proxyMemory", "requests", "memory"),
    ("proxyCPULimit", "limits", "cpu"), ("proxyMemoryLimit", "limits", "memory"),
)  # fmt: skip

_T = TypeVar("_T")


@dataclass(frozen=True)
class Wishes:
    """What a pod wants of its sidecar."""

    native: bool = True
    rewrite_probes: bool = True
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: _RESOURCES)
    log_level: str = ""
    component_log_level: str = ""
    volumes: tuple[Object, ...] = ()
    mounts: tuple[Object, ...] = ()
    config: ProxyConfig = field(default_factory=ProxyConfig)
    redirect: Redirect = field(default_factory=Redirect)


def read_wishes(annotations: Mapping[str, Any], path: Path, interception: Interception, look: Look) -> Wishes:
    """What the annotations at `path` say; faults and notes go to `look`. `interception`: when they do not say it."""
    found = _Found(_read(annotations, path, look))
    config: ProxyConfig = found.get(_PROXY + "config", ProxyConfig())
    for name in config.ignored:
        look.note((*path, _PROXY + "config"), f"{name} has no effect on handsel's sidecar")
    mode = Interception(found.get(_SIDECAR + "interceptionMode", config.interception or interception))
    wishes = Wishes(
        native=found.get(_SIDECAR + "nativeSidecar", True),
        rewrite_probes=found.get(_SIDECAR + "rewriteAppHTTPProbers", True),
        resources=_resources(found, path, look),
        log_level=found.get(_SIDECAR + "logLevel", ""),
        component_log_level=found.get(_SIDECAR + "componentLogLevel", ""),
        volumes=found.get(VOLUMES, ()),
        mounts=found.get(MOUNTS, ()),
        config=config,
        redirect=_redirect(found, mode, dns=config.dns),
    )
    _note_idle(annotations, path, mode, look)
    return wishes


def is_ours(key: str) -> bool:
    """Whether a key is for the injector to understand."""
    return key.startswith(_PREFIXES)


def is_known(key: str) -> bool:
    """Whether an annotation of this name exists."""
    return key in _KNOWN


def note_misplaced(metadata: Mapping[str, Any], path: Path, look: Look) -> None:
    """Annotations and labels beside a pod template, where neither Istio nor handsel reads them."""
    for part in ("annotations", "labels"):
        present = metadata.get(part)
        for key in present if isinstance(present, dict) else ():
            if is_ours(key):
                look.note((*path, part, key), "has no effect here: it belongs to the metadata of the pod template")


class _Found(dict[str, Any]):
    """Values that were read, by annotation."""

    def of(self, name: str, default: _T) -> _T:
        value: _T = self.get(_TRAFFIC + name, default)
        return value


def _read(annotations: Mapping[str, Any], path: Path, look: Look) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in annotations.items():
        if not is_ours(key):
            continue
        where = (*path, key)
        if key not in _KNOWN:
            hint = did_you_mean(key, _KNOWN)
            look.fault(where, f"no annotation that Istio or handsel knows{hint and ', '}{hint}")
        elif not isinstance(value, str):
            look.fault(where, "the value of an annotation is text: put it in quotes")
        elif key in _NOT_HONOURED:
            look.note(where, "has no effect on handsel's sidecar")
        else:
            try:
                found[key] = _READERS[key](value)
            except ValueError as error:
                look.fault(where, str(error))
    return found


def _resources(found: _Found, path: Path, look: Look) -> Mapping[str, Mapping[str, str]]:
    made: dict[str, dict[str, str]] = {}
    numbers: dict[tuple[str, str], Decimal] = {}
    for name, part, what in _OF_RESOURCES:
        if text := found.get(_SIDECAR + name):
            made.setdefault(part, {})[what] = text
            numbers[part, what] = parse_quantity(text)
    for name, part, what in _OF_RESOURCES[:2]:
        if numbers.get((part, what), 0) > numbers.get(("limits", what), Decimal("Infinity")):
            look.fault((*path, _SIDECAR + name), f"asks for more than {name}Limit allows")
    return made or _RESOURCES


def _redirect(found: _Found, mode: Interception, *, dns: bool) -> Redirect:
    default = Redirect()
    ranges = found.of("includeOutboundIPRanges", default.outbound_ranges)
    ports = found.of("includeOutboundPorts", default.outbound_ports)
    return Redirect(
        mode,
        ranges,
        found.of("excludeOutboundIPRanges", ()),
        ports,
        found.of("excludeOutboundPorts", ()),
        found.of("includeInboundPorts", default.inbound_ports),
        found.of("excludeInboundPorts", ()),
        found.of("excludeInterfaces", ()),
        dns,
    )


def _note_idle(annotations: Mapping[str, Any], path: Path, mode: Interception, look: Look) -> None:
    """Words that are right and change nothing where they stand."""
    inbound = annotations.get(_TRAFFIC + "includeInboundPorts", "*")
    if mode is not Interception.NONE and _TRAFFIC + "excludeInboundPorts" in annotations and inbound != "*":
        where = (*path, _TRAFFIC + "excludeInboundPorts")
        look.note(where, "has no effect: includeInboundPorts names the ports already")
    for key in annotations if mode is Interception.NONE else ():
        if key.startswith(_TRAFFIC) and key in _READERS:
            look.note((*path, key), "has no effect: the interception mode is NONE")
