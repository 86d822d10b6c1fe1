"""Resources that people applied to a running server: each by its kind, namespace and name, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from handsel.documents import yaml
from handsel.documents.yaml import Document
from handsel.errors import FileFault, InvalidFile

MESH_FILE = "Mesh"
"""The kind of a mesh file, which has none."""


@dataclass(frozen=True, order=True)
class ResourceId:
    """What a resource is known by."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Applied:
    """A resource as it was applied: from `line` of `file` on, together with the others of a set."""

    id: ResourceId
    file: str
    line: int
    text: str = field(repr=False)
    set: str = ""

    @property
    def document(self) -> Document:
        """The document again, with the places that it had. Raises `InvalidFile`."""
        (document,) = yaml.parse(("\n" * (self.line - 1) + self.text).encode(), self.file)
        return document


class What(StrEnum):
    """What becomes of a resource."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    PRUNED = "pruned"


@dataclass(frozen=True)
class Change:
    """What an apply does to one resource. `before` and `after` are texts; empty: it was, or is, not there."""

    id: ResourceId
    what: What
    before: str = field(default="", repr=False)
    after: str = field(default="", repr=False)
    place: str = ""


def identify(document: Document) -> ResourceId:
    """What a document is known by. Raises `InvalidFile` when it has no name."""
    value = document.value
    if isinstance(value, dict) and "kind" not in value and "apiVersion" not in value:
        return ResourceId(MESH_FILE, "", "handsel.yaml")
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(metadata, dict) or not metadata.get("name"):
        raise InvalidFile([document.fault(("metadata",), "a resource has a kind and a metadata.name")])
    return ResourceId(str(value.get("kind")), str(metadata.get("namespace", "default")), str(metadata["name"]))


def resources_of(documents: Iterable[Document], set_name: str) -> list[Applied]:
    """The documents as resources to apply. Raises `InvalidFile` with every fault, such as one that is there twice."""
    found: dict[ResourceId, Applied] = {}
    faults: list[FileFault] = []
    for document in documents:
        if document.value is None:
            continue
        try:
            known_by = identify(document)
        except InvalidFile as error:
            faults += error.faults
            continue
        first = found.setdefault(known_by, Applied(known_by, document.file, document.line, document.text, set_name))
        if (first.file, first.line) != (document.file, document.line):
            faults.append(document.fault((), f"{known_by} is there twice, first at {first.file}:{first.line}"))
    if faults:
        raise InvalidFile(sorted(faults))
    return list(found.values())


def changes(there: Mapping[ResourceId, Applied], new: Sequence[Applied], *, prune: str | None) -> list[Change]:
    """What applying `new` changes. `prune` names a set: what was applied with it and is not among `new` goes away."""
    made = [_change(there.get(each.id), each) for each in new]
    kept = {each.id for each in new}
    if prune is not None:
        gone = [each for known_by, each in sorted(there.items()) if each.set == prune and known_by not in kept]
        made += [Change(each.id, What.PRUNED, each.text, "", f"{each.file}:{each.line}") for each in gone]
    return made


def _change(before: Applied | None, after: Applied) -> Change:
    place = f"{after.file}:{after.line}"
    if before is None:
        return Change(after.id, What.CREATED, "", after.text, place)
    what = What.UNCHANGED if before.text == after.text else What.CONFIGURED
    return Change(after.id, what, before.text, after.text, place)


def merged(there: Mapping[ResourceId, Applied], new: Sequence[Applied], found: Sequence[Change]) -> list[Applied]:
    """What is applied afterwards, in a stable order."""
    gone = {each.id for each in found if each.what is What.PRUNED}
    after = {**there, **{each.id: each for each in new}}
    return [each for known_by, each in sorted(after.items()) if known_by not in gone]
