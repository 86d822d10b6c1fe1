"""XML with the place of every element and attribute, for files of strangers: no DTD, no entities, bounds that hold.

Expat reads it, with names by namespace (Namespaces in XML 1.0). A document type is refused where it begins, so there is
nothing to expand and nothing to fetch: only the five entities of XML itself and character references are left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from handsel.errors import FileFault, InvalidFile

MAXIMUM_BYTES = 4 << 20
_MAXIMUM_DEPTH = 100
_MAXIMUM_ELEMENTS = 100_000
_MAXIMUM_ATTRIBUTES = 200

Place = tuple[int, int]
"""1-based line and column."""
Name = tuple[str, str]
"""A namespace's URI, which may be empty, and a local name."""

_DECLARED = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_ENCODINGS = {"utf-8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "windows-1252", "iso-8859-15"}
# A tag that expat has found well formed, taken apart from its beginning on: each byte is looked at once.
_TAG = re.compile(rb"<(?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*+>")
_TAG_NAME = re.compile(r"<[^\s/>]+")
_ATTRIBUTE = re.compile(r"(\s+)([^\s=]+)\s*=\s*(?:\"[^\"]*\"|'[^']*')")


@dataclass(frozen=True)
class Element:
    """An element. `text` is its own text, without that of its children; `places` has the place of each attribute."""

    file: str
    name: Name
    place: Place
    attributes: Mapping[Name, str]
    places: Mapping[Name, Place]
    children: tuple[Element, ...]
    text: str

    @property
    def local(self) -> str:
        return self.name[1]

    def get(self, attribute: str) -> str | None:
        """An attribute without a namespace."""
        return self.attributes.get(("", attribute))

    def where(self, attribute: str) -> Place:
        """The place of an attribute without a namespace, or of the element when it has none of that name."""
        return self.places.get(("", attribute), self.place)

    def child(self, name: Name) -> Element | None:
        """The first child of this name."""
        return next((each for each in self.children if each.name == name), None)

    def walk(self, above: tuple[Element, ...] = ()) -> Iterator[tuple[Element, tuple[Element, ...]]]:
        """This element and all below it in the order of the file, each with those above it, the nearest last."""
        waiting = [(self, above)]
        while waiting:
            element, path = waiting.pop()
            yield element, path
            waiting += [(child, (*path, element)) for child in reversed(element.children)]

    def fault(self, message: str, attribute: str = "") -> FileFault:
        """A fault of this element, or of an attribute of it."""
        line, column = self.where(attribute)
        return FileFault(self.file, line, column, f"{self.local}/@{attribute}" if attribute else self.local, message)


def parse(content: bytes, file: str) -> Element:
    """The element that is the document. Raises `InvalidFile`.

    At most 4 MiB, 100 levels, 100,000 elements, 200 attributes each. UTF-8, UTF-16, or Latin text that says so.
    """
    if len(content) > MAXIMUM_BYTES:
        raise InvalidFile([FileFault(file, 1, 1, "", f"the file is larger than {MAXIMUM_BYTES >> 20} MiB")])
    reader = _Reader(file, _utf_8(content, file))
    try:
        return reader.read()
    except expat.ExpatError as error:
        why = expat.ErrorString(error.code)
        raise InvalidFile([FileFault(file, error.lineno, error.offset + 1, "", f"not XML: {why}")]) from error


def _utf_8(content: bytes, file: str) -> bytes:
    """The document in UTF-8, without its mark."""
    declared = _DECLARED.match(content)
    encoding = declared[1].decode().lower() if declared else "utf-8"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif encoding not in _ENCODINGS:
        raise InvalidFile([FileFault(file, 1, 1, "", f"the encoding {encoding} is not read here: write it in UTF-8")])
    elif encoding == "utf-8":
        encoding = "utf-8-sig"
    try:
        made = content.decode(encoding).encode()
    except UnicodeError as error:
        raise InvalidFile([FileFault(file, 1, 1, "", f"the file is not {encoding.removesuffix('-sig')}")]) from error
    if b"\0" in made:  # XML has none, and expat takes it for UTF-16 whatever it is told
        raise InvalidFile([FileFault(file, 1, 1, "", "not XML: there is a NUL in it")])
    return made


@dataclass
class _Open:
    """An element whose end has not come yet."""

    name: Name
    place: Place
    attributes: dict[Name, str]
    places: dict[Name, Place]
    children: list[Element] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


class _Reader:
    """Builds the tree while expat reads."""

    def __init__(self, file: str, content: bytes) -> None:
        self._file = file
        self._content = content
        self._count = 0
        self._open: list[_Open] = []
        self._made: Element | None = None
        self._expat = expat.ParserCreate("utf-8", " ")
        self._expat.ordered_attributes = True
        self._expat.buffer_text = True
        self._expat.StartDoctypeDeclHandler = self._doctype
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._text

    def read(self) -> Element:
        self._expat.Parse(self._content, True)
        if self._made is None:  # expat refuses a document without an element
            raise InvalidFile([FileFault(self._file, 1, 1, "", "not XML: there is no element")])
        return self._made

    def _doctype(self, *_: object) -> None:
        raise self._refused("a document type (<!DOCTYPE …>) is not read: take it out")

    def _start(self, raw: str, given: list[str]) -> None:
        self._count += 1
        name, place = _name(raw), self._place()
        if len(self._open) >= _MAXIMUM_DEPTH:
            raise self._refused(f"more than {_MAXIMUM_DEPTH} levels")
        if self._count > _MAXIMUM_ELEMENTS:
            raise self._refused(f"more than {_MAXIMUM_ELEMENTS} elements")
        if len(given) > 2 * _MAXIMUM_ATTRIBUTES:
            raise self._refused(f"more than {_MAXIMUM_ATTRIBUTES} attributes")
        names = [_name(each) for each in given[::2]]
        attributes = dict(zip(names, given[1::2], strict=True))
        places = dict(zip(names, self._attribute_places(place), strict=False)) if names else {}
        self._open.append(_Open(name, place, attributes, places))

    def _end(self, _raw: str) -> None:
        made = self._open.pop()
        element = Element(
            self._file, made.name, made.place, made.attributes, made.places, tuple(made.children), "".join(made.text)
        )
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._made = element

    def _text(self, text: str) -> None:
        if self._open:
            self._open[-1].text.append(text)

    def _place(self) -> Place:
        return self._expat.CurrentLineNumber, self._expat.CurrentColumnNumber + 1

    def _attribute_places(self, start: Place) -> Iterator[Place]:
        """Where the attributes of the tag begin that is read now: expat tells the tag's place only."""
        found = _TAG.match(self._content, self._expat.CurrentByteIndex)
        tag = found[0].decode() if found else ""
        name = _TAG_NAME.match(tag)
        line, column, seen, at = *start, 0, name.end() if name else 0
        while match := _ATTRIBUTE.match(tag, at):
            begin, at = match.end(1), match.end()
            between = tag[seen:begin].replace("\r\n", "\n").replace("\r", "\n")
            line += between.count("\n")
            column = len(between) - between.rfind("\n") if "\n" in between else column + len(between)
            seen = begin
            if match[2] != "xmlns" and not match[2].startswith("xmlns:"):
                yield line, column

    def _refused(self, why: str) -> InvalidFile:
        return InvalidFile([FileFault(self._file, *self._place(), "", why)])


def _name(raw: str) -> Name:
    namespace, _, local = raw.rpartition(" ")
    return namespace, local
