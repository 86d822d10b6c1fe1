"""Manifests as text. What is not patched keeps the words it was written with; comments are not kept.

kubectl reads YAML 1.1 (`0644` is an octal number, `yes` is true, `<<` merges), so values are read by these rules here.
The tree that is written is the one that was read, with the operations of a patch carried out on it: so no value
changes its meaning on the way, by whichever rules it is read next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from handsel.documents import yaml as documents
from handsel.documents.yaml import Document, Path, Value
from handsel.errors import Bug
from handsel.mesh.inject.patch import Operation, steps

_MERGE = "tag:yaml.org,2002:merge"
_STRING = "tag:yaml.org,2002:str"
_MAPPING = "tag:yaml.org,2002:map"
_SEQUENCE = "tag:yaml.org,2002:seq"
# Text that every reader takes for text, unless it is a word such as `yes`.
_SAFE = re.compile(r"[A-Za-z/][A-Za-z0-9/_.+@-]*")
_TRUE = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
_FALSE = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
_NULL = {"", "~", "null", "Null", "NULL"}
_INTEGERS = (
    (re.compile(r"[-+]?0o?([0-7]{1,40})"), 8),
    (re.compile(r"[-+]?0x([0-9a-fA-F]{1,40})"), 16),
    (re.compile(r"[-+]?0b([01]{1,40})"), 2),
    (re.compile(r"[-+]?([0-9]{1,40})"), 10),
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_RESOLVER = yaml.SafeLoader("")
_WIDTH = 110


@dataclass(frozen=True)
class Manifest:
    """A document and the tree it was read from."""

    document: Document
    node: yaml.Node


def read(text: bytes, file: str) -> list[Manifest]:
    """Every document of a file that is not empty. Raises `InvalidFile`; the limits are those of `documents.yaml`."""
    documents.parse(text, file)  # limits, keys that are there twice, what is no YAML
    manifests = []
    for shared in yaml.compose_all(text.decode(), Loader=yaml.CSafeLoader):
        node = _expand(shared)
        places: dict[Path, tuple[int, int]] = {}
        value = _read(node, (), places)
        if value is not None:
            manifests.append(Manifest(Document(file, value, places), node))
    return manifests


def write(nodes: Sequence[yaml.Node]) -> str:
    """The documents, as YAML."""
    made: str = yaml.serialize_all(
        nodes, Dumper=yaml.CSafeDumper, explicit_start=len(nodes) > 1, allow_unicode=True, width=_WIDTH
    )
    return made


def patched(node: yaml.Node, operations: Sequence[Operation]) -> yaml.Node:
    """The tree after a patch, which was made for its value."""
    for operation in operations:
        *above, last = steps(operation["path"])
        parent = node
        for step in above:
            parent = _child(parent, step)
        new = None if operation["op"] == "remove" else _node_of(operation["value"])
        if isinstance(parent, yaml.SequenceNode):
            _change_sequence(parent, int(last), operation["op"], new)
        else:
            _change_mapping(parent, last, new)
    return node


def _change_sequence(parent: yaml.SequenceNode, index: int, op: str, new: yaml.Node | None) -> None:
    parent.flow_style = False
    parent.value[index : index + (op != "add")] = [] if new is None else [new]


def _change_mapping(parent: yaml.Node, name: str, new: yaml.Node | None) -> None:
    parent.flow_style = False  # type: ignore[attr-defined]  # a mapping: the patch was made for this tree
    for index, (key, _) in enumerate(parent.value):
        if key.value == name:
            parent.value[index : index + 1] = [] if new is None else [(key, new)]
            return
    if new is not None:
        parent.value.append((_node_of(name), new))


def _child(parent: yaml.Node, step: str) -> yaml.Node:
    parent.flow_style = False  # type: ignore[attr-defined]  # what is added inside would not fit on its line
    if isinstance(parent, yaml.SequenceNode):
        return _as_node(parent.value[int(step)])
    for key, value in parent.value:
        if key.value == step:
            return _as_node(value)
    raise Bug(f"a patch for another document: no {step!r}")


def _as_node(node: Any) -> yaml.Node:
    if not isinstance(node, yaml.Node):
        raise Bug(f"no node of YAML: {type(node).__name__}")
    return node


def _node_of(value: Any) -> yaml.Node:
    """A tree for a new value, readable: text of several lines as lines, JSON without backslashes."""
    if isinstance(value, dict):
        return yaml.MappingNode(
            _MAPPING, [(_node_of(key), _node_of(each)) for key, each in value.items()], flow_style=False
        )
    if isinstance(value, list):
        flow = all(isinstance(each, str | int) and "\n" not in str(each) for each in value)
        return yaml.SequenceNode(_SEQUENCE, [_node_of(each) for each in value], flow_style=flow)
    if not isinstance(value, str):
        text = json.dumps(value)
        return yaml.ScalarNode(_usual_tag(text), text)
    if _SAFE.fullmatch(value) and _scalar(value) == value:
        return yaml.ScalarNode(_usual_tag(value), value)
    return yaml.ScalarNode(_STRING, value, style="|" if "\n" in value else "'" if '"' in value else '"')


def _expand(node: yaml.Node) -> yaml.Node:
    """A tree without aliases and merge keys, so that a place can be patched alone."""
    if isinstance(node, yaml.MappingNode):
        own, merged = {}, {}
        for key, value in node.value:
            if key.tag == _MERGE:
                merged.update(_merged(_expand(value)))
            else:
                own[key.value] = (_expand(key), _expand(value))
        # In the order of the file for what stands there, then what was merged.
        pairs = list((own | {name: pair for name, pair in merged.items() if name not in own}).values())
        return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark, node.flow_style)
    if isinstance(node, yaml.SequenceNode):
        items = [_expand(each) for each in node.value]
        return yaml.SequenceNode(node.tag, items, node.start_mark, node.end_mark, node.flow_style)
    if not isinstance(node, yaml.ScalarNode):
        raise Bug(f"no node of YAML: {type(node).__name__}")
    return yaml.ScalarNode(node.tag, node.value, node.start_mark, node.end_mark, node.style)


def _merged(value: yaml.Node) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """What a merge key brings; of several mappings the first that has a key wins."""
    found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
        if isinstance(each, yaml.MappingNode):
            found = {key.value: (key, child) for key, child in each.value} | found
    return found


def _read(node: yaml.Node, path: Path, places: dict[Path, tuple[int, int]]) -> Value:
    places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.SequenceNode):
        return [_read(each, (*path, index), places) for index, each in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node.value) if _is_plain(node) else str(node.value)
    result: dict[str, Value] = {}
    for key, value in node.value:
        below = (*path, key.value)
        places[below] = (key.start_mark.line + 1, key.start_mark.column + 1)
        result[key.value] = _read(value, below, places)
    return result


def _is_plain(node: yaml.ScalarNode) -> bool:
    """Whether a scalar stands without quotes and without the tag of text (`!!str 1`)."""
    return not node.style and (node.tag != _STRING or _usual_tag(node.value) == _STRING)


def _usual_tag(text: str) -> str:
    """The tag that PyYAML gives to plain text, and does not write therefore."""
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return tag


def _scalar(text: str) -> Value:
    """A scalar without quotes, by YAML 1.1 as kubectl has it."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    for form, base in _INTEGERS:
        if found := form.fullmatch(text):
            return int(found[1], base) * (-1 if text.startswith("-") else 1)
    number = float(text) if _FLOAT.fullmatch(text) else None
    return text if number is None or json.dumps(number) in ("Infinity", "-Infinity") else number
