"""Java's properties: any bytes are entries with places, or faults."""

from __future__ import annotations

from handsel.documents import properties
from handsel.errors import InvalidFile


def fuzz(data: bytes) -> None:
    try:
        found = properties.parse(data, "f")
    except InvalidFile:
        return
    places = [(each.line, each.column) for each in found.entries]
    assert places == sorted(set(places))
    assert len(found.shadowed) + len(found.by_key) == len(found.entries)
