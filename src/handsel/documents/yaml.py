"""YAML by the rules of version 1.2, with the place of every value.

PyYAML's composer reads the text; the values are made here, because its own constructors follow YAML 1.1 (`no` is
False, `1:30` is 90) and let the last of two equal keys win silently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from handsel.errors import FileFault, InvalidFile

MAXIMUM_BYTES = 1 << 20
_MAXIMUM_DEPTH = 40
_MAXIMUM_VALUES = 100_000

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
Path = tuple[str | int, ...]
"""Where a value stands in its document: keys and indices from the top."""

# YAML 1.2, section 10.3.2, the core schema.
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_QUOTED = ("'", '"', "|", ">")
# A longer number stays text: Python refuses to print integers of thousands of digits.
_LONGEST_INTEGER = 40


@dataclass(frozen=True)
class Document:
    """One document: its value, and for each path the 1-based (line, column) of its key, or of the value itself.

    `text` is what it was read from, `line` where that starts in the file.
    """

    file: str
    value: Value
    places: Mapping[Path, tuple[int, int]]
    text: str = field(default="", repr=False, compare=False)
    line: int = field(default=1, compare=False)

    def place(self, path: Path) -> tuple[int, int]:
        """The place of `path`, or of the nearest value above it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def fault(self, path: Path, message: str) -> FileFault:
        """A fault at `path`."""
        line, column = self.place(path)
        return FileFault(self.file, line, column, show(path), message)


def show(path: Path) -> str:
    """A path as people write it: `services.web.calls[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def parse(text: bytes, file: str) -> list[Document]:
    """Every document in `text`. Raises `InvalidFile`.

    At most 1 MiB, 40 levels and 100,000 values, aliases counted each time.
    """
    if len(text) > MAXIMUM_BYTES:
        raise InvalidFile([FileFault(file, 1, 1, "", f"the file is larger than {MAXIMUM_BYTES >> 20} MiB")])
    documents: list[Document] = []
    faults: list[FileFault] = []
    try:
        decoded = text.decode()
        for node in yaml.compose_all(decoded, Loader=yaml.CSafeLoader):
            reader = _Reader(file)
            value = reader.read(node, (), 0)
            faults += reader.faults
            start, end = node.start_mark, node.end_mark
            written = " " * start.column + decoded[start.index : end.index]
            documents.append(Document(file, value, reader.places, written, start.line + 1))
    except UnicodeDecodeError as error:
        raise InvalidFile([FileFault(file, 1, 1, "", f"the file is not UTF-8 (byte {error.start})")]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InvalidFile([FileFault(file, line, column, "", f"not YAML: {error.problem}")]) from error
    except (yaml.YAMLError, RecursionError) as error:
        first_line = str(error).splitlines()[0] if str(error) else "nested too deeply"
        raise InvalidFile([FileFault(file, 1, 1, "", f"not YAML: {first_line}")]) from error
    if faults:
        raise InvalidFile(sorted(faults))
    return documents


class _Reader:
    """Makes values from nodes, remembers their places and gathers faults."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._count = 0
        self.places: dict[Path, tuple[int, int]] = {}
        self.faults: list[FileFault] = []

    def read(self, node: yaml.Node, path: Path, depth: int) -> Value:
        self.places.setdefault(path, _place(node))
        self._count += 1
        if self._count > _MAXIMUM_VALUES or depth > _MAXIMUM_DEPTH:
            limit = f"{_MAXIMUM_DEPTH} levels" if depth > _MAXIMUM_DEPTH else f"{_MAXIMUM_VALUES} values"
            raise InvalidFile([FileFault(self._file, *_place(node), show(path), f"more than {limit}")])
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        return [self.read(each, (*path, index), depth + 1) for index, each in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Value]:
        result: dict[str, Value] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, path, "a key must be plain text")
                continue
            key = key_node.value
            if key in result:
                self._fault(key_node, (*path, key), "this key is there twice")
                continue
            self.places[(*path, key)] = _place(key_node)
            result[key] = self.read(value_node, (*path, key), depth + 1)
        return result

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Value:
        text: str = node.value
        if node.style in _QUOTED:
            return text
        if not node.tag.startswith("tag:yaml.org,2002:"):
            self._fault(node, path, f"the tag {node.tag} is not known here")
            return None
        return _core_schema(text)

    def _fault(self, node: yaml.Node, path: Path, message: str) -> None:
        self.faults.append(FileFault(self._file, *_place(node), show(path), message))


def _core_schema(text: str) -> Value:  # noqa: PLR0911  # one line a rule of the schema
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if len(text) <= _LONGEST_INTEGER:
        if _INT.fullmatch(text):
            return int(text)
        if _OCTAL.fullmatch(text):
            return int(text, 8)
        if _HEXADECIMAL.fullmatch(text):
            return int(text, 16)
    if _FLOAT.fullmatch(text) and not _INT.fullmatch(text):
        return float(text)
    return text


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
