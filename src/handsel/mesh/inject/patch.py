"""The difference of two JSON values as a JSON Patch (RFC 6902), which is how an admission controller answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

Operation = dict[str, Any]
"""`op` (add, replace, remove), `path` (a JSON pointer, RFC 6901) and, unless something is removed, `value`."""


def diff(before: Any, after: Any) -> list[Operation]:
    """The operations that make `after` out of `before`, in the order in which they must be carried out."""
    return list(_value(before, after, ""))


def steps(pointer: str) -> list[str]:
    """The steps of a JSON pointer."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _value(before: Any, after: Any, path: str) -> Iterator[Operation]:
    if _same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _mapping(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _list(before, after, path)
    else:
        yield {"op": "replace", "path": path, "value": after}


def _mapping(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Operation]:
    for key in before:
        if key not in after:
            yield {"op": "remove", "path": _join(path, key)}
    for key, value in after.items():
        if key in before:
            yield from _value(before[key], value, _join(path, key))
        else:
            yield {"op": "add", "path": _join(path, key), "value": value}


def _list(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[Operation]:
    """Items are paired by name, as Kubernetes does it; `at` is the index in the list as it is by then."""
    matcher = SequenceMatcher(None, [_name(item) for item in before], [_name(item) for item in after], autojunk=False)
    at = 0
    for tag, first, last, other_first, other_last in matcher.get_opcodes():
        if tag == "equal":
            for old, new in zip(before[first:last], after[other_first:other_last], strict=True):
                yield from _value(old, new, f"{path}/{at}")
                at += 1
            continue
        for _ in range(first, last):
            yield {"op": "remove", "path": f"{path}/{at}"}
        for item in after[other_first:other_last]:
            yield {"op": "add", "path": f"{path}/{at}", "value": item}
            at += 1


def _name(item: Any) -> str:
    if isinstance(item, dict) and isinstance(item.get("name"), str):
        return f"name {item['name']}"
    return json.dumps(item, sort_keys=True)


def _same(before: Any, after: Any) -> bool:
    """JSON's equality, in which true is not 1."""
    return bool(before == after) and json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)


def _join(path: str, key: str) -> str:
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
