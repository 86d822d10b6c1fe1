"""What a pod must not have beside a sidecar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from handsel.documents.yaml import Path
from handsel.mesh.inject import containers as made
from handsel.mesh.inject.annotations import MOUNTS, VOLUMES, Wishes
from handsel.mesh.inject.decide import check_other_mesh
from handsel.mesh.inject.look import Look
from handsel.mesh.inject.model import Object
from handsel.mesh.inject.values import LABEL
from handsel.model.pod import SIDECAR_PORTS, SIDECAR_USER, Interception

_CONTAINERS = ("containers", "initContainers")
_OWN = (made.SIDECAR, made.INITIALIZER, made.REDIRECT)


def check_pod(
    spec: Object, path: Path, volumes: Sequence[Object], mounts: Sequence[Object], wishes: Wishes, look: Look
) -> None:
    """Faults of a pod's spec go to `look`. `volumes`: what would be added; `mounts`: the sidecar's own."""
    before = len(look.faults)
    found = list(_containers(spec, path, look))
    if not any(where[-2] == "containers" for _, where in found) and len(look.faults) == before:
        look.fault((*path, "containers"), "a pod has at least one container")
    named: dict[str, Path] = {}
    for container, where in found:
        _check_container(container, where, wishes, look)
        name = container.get("name")
        if isinstance(name, str) and named.setdefault(name, (*where, "name")) != (*where, "name"):
            look.fault((*where, "name"), f"there is a container {name} already")
    check_other_mesh(named, look)
    _check_user(spec, path, wishes, look)
    sysctls = look.mapping(spec.get("securityContext"), (*path, "securityContext")).get("sysctls")
    look.items(sysctls or [], (*path, "securityContext", "sysctls"))
    annotations = (*path[:-1], "metadata", "annotations")
    _check_volumes(spec, path, volumes, wishes, annotations, look)
    _check_mounts(spec, volumes, mounts, wishes, annotations, look)


def _containers(spec: Object, path: Path, look: Look) -> Iterator[tuple[Object, Path]]:
    for key in _CONTAINERS:
        if key in spec and not (key == "initContainers" and spec[key] is None):
            for index, each in enumerate(look.items(spec[key], (*path, key))):
                yield each, (*path, key, index)


def _check_container(container: Object, path: Path, wishes: Wishes, look: Look) -> None:
    name = container.get("name")
    if not isinstance(name, str) or not LABEL.fullmatch(name):
        look.fault((*path, "name"), "a container has a name of small letters, digits and dashes")
    elif name in _OWN:
        look.fault((*path, "name"), f"{name} is the name of a container of handsel's")
    ports = container.get("ports")
    for index, port in enumerate(look.items(ports, (*path, "ports")) if ports is not None else ()):
        if port.get("containerPort") in SIDECAR_PORTS:
            where = (*path, "ports", index, "containerPort")
            look.fault(where, f"{port['containerPort']} is a port of the sidecar: let the program listen elsewhere")
    _check_user(container, path, wishes, look)


def _check_user(holder: Object, path: Path, wishes: Wishes, look: Look) -> None:
    context = look.mapping(holder.get("securityContext"), (*path, "securityContext"))
    for key in ("runAsUser", "runAsGroup") if wishes.redirect.mode is not Interception.NONE else ():
        if context.get(key) == SIDECAR_USER:
            message = f"{SIDECAR_USER} is the sidecar's: what runs as it would go around the sidecar"
            look.fault((*path, "securityContext", key), message)


def _check_volumes(
    spec: Object, path: Path, volumes: Sequence[Object], wishes: Wishes, annotations: Path, look: Look
) -> None:
    present = spec.get("volumes")
    taken = _names(look.items(present, (*path, "volumes")) if present is not None else [])
    for volume in volumes:
        name = volume["name"]
        if name in taken:
            where = (*annotations, VOLUMES) if volume in wishes.volumes else (*path, "volumes")
            look.fault(where, f"there is a volume {name!r} already")
        taken.add(name)


def _check_mounts(
    spec: Object, volumes: Sequence[Object], own: Sequence[Object], wishes: Wishes, annotations: Path, look: Look
) -> None:
    present = spec.get("volumes")
    known = _names([*(present if isinstance(present, list) else ()), *volumes])
    paths = {mount["mountPath"] for mount in own}
    where = (*annotations, MOUNTS)
    for mount in wishes.mounts:
        if mount["name"] not in known:
            look.fault(where, f"there is no volume {mount['name']!r}, neither in the pod nor in userVolume")
        if mount["mountPath"].rstrip("/") in paths:
            look.fault(where, f"something is mounted at {mount['mountPath']} already")
        paths.add(mount["mountPath"].rstrip("/"))
    mounted = {mount["name"] for mount in wishes.mounts}
    for volume in wishes.volumes:
        if volume["name"] not in mounted:
            look.note((*annotations, VOLUMES), f"no userVolumeMount mounts {volume['name']!r} in the sidecar")


def _names(items: Sequence[Any]) -> set[Any]:
    return {each["name"] for each in items if isinstance(each, dict) and isinstance(each.get("name"), str)}
