"""Which manifests have pods in them, and the sidecars of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from handsel.documents.yaml import Document, Path, Value
from handsel.errors import InvalidFile
from handsel.mesh.inject.annotations import OF_NAMESPACE, note_misplaced
from handsel.mesh.inject.look import Look
from handsel.mesh.inject.model import Injection, Namespaces, Object, Pod, Settings
from handsel.mesh.inject.pod import patched_pod

_TEMPLATE: Path = ("spec", "template")
_KINDS: Mapping[tuple[str, str], Path] = {
    ("", "Pod"): (),
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "StatefulSet"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("apps", "ReplicaSet"): _TEMPLATE,
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
}
_MODES = ("enabled", "disabled")


def inject(document: Document, settings: Settings, namespaces: Namespaces) -> Injection:
    """A manifest with sidecars in its pods; a `List` of manifests too. Raises `InvalidFile` with every fault."""
    look = Look(document)
    value = document.value
    injected: list[Pod] = []
    for manifest, path in _manifests(document.value, ()):
        pod = _pod(manifest, path, settings)
        if pod is None:
            continue
        template = _at(manifest, pod.path[len(path) :])
        if not isinstance(template, dict):
            look.fault(pod.path, f"a {pod.kind} has a pod template here")
            continue
        if pod.path != path:
            note_misplaced(look.mapping(manifest.get("metadata"), (*path, "metadata")), (*path, "metadata"), look)
        new = patched_pod(template, pod, namespaces.get(pod.namespace, {}), settings, look)
        if new is not None:
            value = _replaced(value, pod.path, new)
            injected.append(pod)
    if look.faults:
        raise InvalidFile(sorted(set(look.faults)))
    return Injection(value, tuple(injected), tuple(sorted(set(look.notes))))


def read_namespaces(documents: Sequence[Document]) -> Namespaces:
    """The labels of the namespaces among the manifests. Raises `InvalidFile`."""
    found: dict[str, Mapping[str, Any]] = {}
    faults = []
    for document in documents:
        for manifest, path in _manifests(document.value, ()):
            metadata = manifest.get("metadata")
            if (_group(manifest), manifest.get("kind")) != ("", "Namespace") or not isinstance(metadata, dict):
                continue
            labels = metadata.get("labels")
            labels = labels if isinstance(labels, dict) else {}
            if OF_NAMESPACE in labels and labels[OF_NAMESPACE] not in _MODES:
                where = (*path, "metadata", "labels", OF_NAMESPACE)
                faults.append(document.fault(where, f'must be "{_MODES[0]}" or "{_MODES[1]}"'))
            found[str(metadata.get("name"))] = labels
    if faults:
        raise InvalidFile(sorted(faults))
    return found


def flat(manifests: Sequence[Value]) -> list[Value]:
    """Manifests, with those in lists of them in their places."""
    found: list[Value] = []
    for each in manifests:
        items = _items(each)
        found += [each] if items is None else flat(items)
    return found


def _manifests(value: Value, path: Path) -> Iterator[tuple[Object, Path]]:
    """A manifest, or those in a list of them."""
    items = _items(value)
    for index, each in enumerate(items or ()):
        yield from _manifests(each, (*path, "items", index))
    if items is None and isinstance(value, dict):
        yield value, path


def _items(value: Value) -> list[Value] | None:
    """The manifests in a `List`; `None` for anything else."""
    if not isinstance(value, dict) or value.get("kind") != "List" or _group(value) != "":
        return None
    items = value.get("items")
    return items if isinstance(items, list) else None


def _pod(manifest: Object, path: Path, settings: Settings) -> Pod | None:
    kind = manifest.get("kind")
    below = _KINDS.get((_group(manifest), kind)) if isinstance(kind, str) else None
    if below is None:
        return None
    metadata = manifest.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    name = metadata.get("name") or metadata.get("generateName") or ""
    return Pod(str(kind), str(name), str(metadata.get("namespace") or settings.namespace), (*path, *below))


def _group(manifest: Object) -> str:
    """The API group; versions of it differ in nothing that matters here."""
    version = manifest.get("apiVersion")
    return version.rpartition("/")[0] if isinstance(version, str) else "?"


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _replaced(value: Any, path: Path, new: Value) -> Any:
    """A copy in which `new` stands at `path`."""
    if not path:
        return new
    step, below = path[0], path[1:]
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    copy[step] = _replaced(value[step], below, new)
    return copy
