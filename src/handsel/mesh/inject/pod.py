"""A pod template with the sidecar in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from handsel.documents.yaml import Path
from handsel.mesh.inject import containers as made
from handsel.mesh.inject.annotations import Wishes, read_wishes
from handsel.mesh.inject.checks import check_pod
from handsel.mesh.inject.decide import why_not
from handsel.mesh.inject.look import Look
from handsel.mesh.inject.model import Object, Pod, Settings
from handsel.mesh.inject.probes import rewrite
from handsel.model.pod import Interception

STATUS = "handsel/injected"
"""The annotation that says what was put in."""
_JOBS = ("Job", "CronJob")
_USUAL_PORTS = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}


def patched_pod(
    template: Object, pod: Pod, namespace: Mapping[str, Any], settings: Settings, look: Look
) -> Object | None:
    """The template as it should be, or `None` when it stays as it is; faults and notes go to `look`."""
    path = pod.path
    metadata = look.mapping(template.get("metadata"), (*path, "metadata"))
    spec = look.mapping(template.get("spec"), (*path, "spec"))
    annotations = look.mapping(metadata.get("annotations"), (*path, "metadata", "annotations"))
    look.mapping(metadata.get("labels"), (*path, "metadata", "labels"))
    if _is_injected(annotations, spec):
        look.note(path, f"{pod} is injected already, and is left as it is")
        return None
    wishes = read_wishes(annotations, (*path, "metadata", "annotations"), settings.interception, look)
    if why := why_not(metadata, spec, path, namespace, settings, look):
        look.note(path, f"{pod} is not injected: {why}")
        return None
    before = len(look.faults)
    check_pod(spec, (*path, "spec"), made.volumes(settings, wishes), made.mounts(settings), wishes, look)
    if len(look.faults) > before:
        return None
    _note(pod, wishes, look)
    new_spec, added = _spec(spec, (*path, "spec"), wishes, settings, look)
    status = {STATUS: json.dumps(added, separators=(",", ":"))}
    return template | {"metadata": metadata | {"annotations": annotations | status}, "spec": new_spec}


def _is_injected(annotations: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """The annotation alone may have been copied, and a container of this name alone is somebody else's."""
    found = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())] if _has_lists(spec) else []
    return STATUS in annotations and any(isinstance(each, dict) and each.get("name") == made.SIDECAR for each in found)


def _has_lists(spec: Mapping[str, Any]) -> bool:
    return all(isinstance(spec.get(key) or [], list) for key in ("containers", "initContainers"))


def _spec(
    spec: Object, path: Path, wishes: Wishes, settings: Settings, look: Look
) -> tuple[Object, dict[str, list[str]]]:
    programs, starters, originals = _led(spec, path, wishes, look)
    own_first: list[Object] = []
    before: list[Object] = []
    if wishes.redirect.mode is not Interception.NONE:
        own_first.append(made.redirect(settings, wishes))
    own_first.append(made.initializer(settings, wishes))
    own_last: list[Object] = []
    sidecar = made.sidecar(settings, wishes, originals)
    if wishes.native:
        # First, so that the application's own init containers have their connections by way of it.
        starters = [*own_first, sidecar, *starters]
    else:
        # Last, because nothing would answer the redirected connections of the application's init containers.
        starters = [*starters, *own_first]
        # What is to wait for it comes after it.
        before, own_last = ([sidecar], []) if wishes.config.hold else ([], [sidecar])
    volumes = made.volumes(settings, wishes)
    added = {
        "initContainers": _names([*own_first, *([sidecar] if wishes.native else [])]),
        "containers": _names([*before, *own_last]),
        "volumes": _names(volumes),
    }
    new = spec | {"initContainers": starters, "containers": [*before, *programs, *own_last]}
    if wishes.redirect.mode is not Interception.NONE:
        new["securityContext"] = _with_usual_ports(spec.get("securityContext") or {})
    return new | {"volumes": [*(spec.get("volumes") or ()), *volumes]}, added


def _with_usual_ports(context: Mapping[str, Any]) -> Object:
    """The sidecar, which is nobody, listens where names of callees lead: at ports such as 80 (a safe sysctl)."""
    present = context.get("sysctls") or []
    if any(isinstance(each, dict) and each.get("name") == _USUAL_PORTS["name"] for each in present):
        return dict(context)
    return {**context, "sysctls": [*present, _USUAL_PORTS]}


def _led(
    spec: Object, path: Path, wishes: Wishes, look: Look
) -> tuple[list[Object], list[Object], dict[str, Object]]:  # fmt: skip
    """The application's containers and init containers with their probes led to the sidecar, and what those were."""
    originals: dict[str, Object] = {}
    lists: list[list[Object]] = []
    for key in ("containers", "initContainers"):
        present = spec.get(key) or []
        if not wishes.rewrite_probes:
            lists.append(present)
            continue
        changed = [rewrite(each, (*path, key, index), look) for index, each in enumerate(present)]
        lists.append([container for container, _ in changed])
        for _, kept in changed:
            originals |= kept
    return lists[0], lists[1], originals


def _names(items: Sequence[Object]) -> list[str]:
    return [item["name"] for item in items]


def _note(pod: Pod, wishes: Wishes, look: Look) -> None:
    if pod.kind in _JOBS and not wishes.native:
        look.note(pod.path, f"{pod} never ends: an ordinary container of the sidecar runs on. Take the native one")
    if wishes.redirect.mode is not Interception.NONE and not wishes.redirect.dns:
        look.note(pod.path, f"{pod}: with ISTIO_META_DNS_CAPTURE off, names of callees lead past the sidecar")
    if wishes.redirect.mode is Interception.TPROXY:
        look.note(pod.path, f"{pod}: TPROXY needs a sidecar that runs as root with NET_ADMIN")
