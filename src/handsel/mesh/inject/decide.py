"""Whether a pod gets a sidecar, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handsel.documents.yaml import Path
from handsel.mesh.inject import annotations as words
from handsel.mesh.inject import values
from handsel.mesh.inject.look import Look
from handsel.mesh.inject.model import Settings
from handsel.model.faults import did_you_mean

_ISTIO_CONTAINER = "istio-proxy"


def why_not(
    metadata: Mapping[str, Any], spec: Mapping[str, Any], path: Path, namespace: Mapping[str, Any],
    settings: Settings, look: Look,
) -> str:  # fmt: skip
    """Why a pod is left as it is, or nothing when it gets a sidecar.

    `path`: of the pod template; `namespace`: the labels of its namespace, as far as they are known.
    """
    wished = _wish(metadata, (*path, "metadata"), look)
    if wished is False:
        return f"{words.INJECT} is false"
    if spec.get("hostNetwork") is True:
        return "it has hostNetwork: the rules for its connections would be the node's"
    os = spec.get("os")
    if isinstance(os, dict) and os.get("name") == "windows":
        return "it runs on Windows"
    if wished is True:
        return ""
    return _by_revision(_labels(metadata), namespace, settings)


def check_other_mesh(containers: Mapping[str, Path], look: Look) -> None:
    """A pod cannot be in two meshes."""
    if _ISTIO_CONTAINER in containers:
        message = "Istio's sidecar is in here already: inject the manifest as it was before istioctl"
        look.fault(containers[_ISTIO_CONTAINER], message)


def _by_revision(labels: Mapping[str, Any], namespace: Mapping[str, Any], settings: Settings) -> str:
    """What is said by `istio.io/rev` and the namespace: as in Istio, `istio-injection` counts before a revision."""
    revision = labels.get(words.REVISION)
    if revision is None and (of_namespace := namespace.get(words.OF_NAMESPACE)) is not None:
        return "" if of_namespace == "enabled" else f"its namespace has {words.OF_NAMESPACE}: {of_namespace}"
    revision = namespace.get(words.REVISION) if revision is None else revision
    if revision is not None:
        ours = not settings.revision or revision == settings.revision
        return "" if ours else f"{words.REVISION} is {revision}, not {settings.revision}"
    return "" if settings.by_default else "neither it nor its namespace asks for it"


def _wish(metadata: Mapping[str, Any], path: Path, look: Look) -> bool | None:
    """What the pod itself says. The label counts before the annotation."""
    _check_labels(_labels(metadata), (*path, "labels"), look)
    label = _labels(metadata).get(words.INJECT)
    annotations = metadata.get("annotations")
    annotation = annotations.get(words.INJECT) if isinstance(annotations, dict) else None
    if annotation is not None:
        what = "is deprecated as an annotation: make it a label"
        look.note((*path, "annotations", words.INJECT), what if label is None else f"{what}; the label counts")
    wished = annotation if label is None else label
    try:
        return values.wish(wished) if isinstance(wished, str) else None
    except ValueError as error:
        if label is not None:  # the annotation is read, and refused, with the others
            look.fault((*path, "labels", words.INJECT), str(error))
        return None


def _labels(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    labels = metadata.get("labels")
    return labels if isinstance(labels, dict) else {}


def _check_labels(labels: Mapping[str, Any], path: Path, look: Look) -> None:
    known = (words.INJECT, words.REVISION)
    for key, value in labels.items():
        if not words.is_ours(key) and key not in known:
            continue
        if words.is_known(key) and key not in known:
            look.fault((*path, key), "is an annotation, not a label")
        elif key not in known:
            hint = did_you_mean(key, known)
            look.fault((*path, key), f"no label that Istio or handsel knows{hint and ', '}{hint}")
        elif not isinstance(value, str):
            look.fault((*path, key), "the value of a label is text: put it in quotes")
