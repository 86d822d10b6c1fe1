"""XML: any bytes are a document or one fault; every attribute has a place inside the file."""

from __future__ import annotations

from handsel.documents import xml
from handsel.errors import InvalidFile


def fuzz(data: bytes) -> None:
    try:
        root = xml.parse(data, "f")
    except InvalidFile:
        return
    for element, above in root.walk():
        assert len(above) < 100
        assert element.places.keys() == element.attributes.keys()
        assert all(place >= element.place for place in element.places.values())
