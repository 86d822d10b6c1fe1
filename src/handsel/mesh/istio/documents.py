"""From documents to resources: lists are taken apart, and every resource has its model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from handsel.documents.yaml import Document
from handsel.errors import FileFault, InvalidFile
from handsel.mesh.istio.kinds import kind_of
from handsel.mesh.istio.reading import AnyFound, Found
from handsel.model.faults import validate


def read_resources(documents: Sequence[Document]) -> list[AnyFound]:
    """The resources in these documents. Raises `InvalidFile` with every fault of form."""
    faults: list[FileFault] = []
    found: list[AnyFound] = []
    for document in (each for outer in documents for each in unwrapped(outer)):
        try:
            kind = kind_of(document)
            if kind is not None:
                found.append(Found(document, validate(document, kind)))
        except InvalidFile as error:
            faults += error.faults
    if faults:
        raise InvalidFile(sorted(set(faults)))
    return found


def unwrapped(document: Document) -> Iterator[Document]:
    """The document, or of a `List` its items, each a document of its own."""
    value = document.value
    if value is None:
        return
    if not isinstance(value, dict) or value.get("kind") != "List" or not isinstance(value.get("items"), list):
        yield document
        return
    places: dict[int, dict[tuple[str | int, ...], tuple[int, int]]] = {}
    for path, place in document.places.items():
        if len(path) > 1 and path[0] == "items" and isinstance(path[1], int):
            places.setdefault(path[1], {})[path[2:]] = place
    items = value["items"]
    for index, item in enumerate(items if isinstance(items, list) else []):
        yield from unwrapped(Document(document.file, item, places.get(index, {})))
