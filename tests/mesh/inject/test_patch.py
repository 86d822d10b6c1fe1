"""The difference of two values, as RFC 6902 has it."""

from __future__ import annotations

import copy
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from handsel.documents import yaml_text
from handsel.mesh.inject.patch import diff, steps
from handsel.mesh.inject.text import patched, read, write

LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab/~é\n", max_size=3)
KEYS = st.text("ab/~.", min_size=1, max_size=3)
VALUES = st.recursive(
    LEAVES,
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(KEYS, below, max_size=4)
        | st.lists(
            st.dictionaries(st.just("name"), st.text("ab", max_size=2)).map(lambda each: each | {"x": 1}), max_size=4
        )
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


def _carry_out(value: Any, operations: list[dict[str, Any]]) -> Any:
    """RFC 6902, section 4, by the letter."""
    whole = {"": copy.deepcopy(value)}
    for operation in operations:
        parent: Any = whole
        *above, last = ["", *steps(operation["path"])]
        for step in above:
            parent = parent[int(step)] if isinstance(parent, list) else parent[step]
        exists = int(last) < len(parent) if isinstance(parent, list) else last in parent
        if operation["op"] == "add":
            if isinstance(parent, list):
                assert int(last) <= len(parent)
                parent.insert(int(last), operation["value"])
            else:
                parent[last] = operation["value"]
            continue
        assert exists, f"{operation} has no target"
        where = int(last) if isinstance(parent, list) else last
        if operation["op"] == "remove":
            del parent[where]
        else:
            assert operation["op"] == "replace"
            parent[where] = operation["value"]
    return whole[""]


def _exact(value: Any) -> Any:
    """JSON's equality: true is not 1."""
    if isinstance(value, dict):
        return {key: _exact(each) for key, each in value.items()}
    return [_exact(each) for each in value] if isinstance(value, list) else (type(value), value)


@given(VALUES, VALUES)
@example(True, 1)
@example([{"name": "a", "x": 0}], [{"name": "a", "x": False}])
def test_the_patch_makes_one_value_of_the_other(before: Any, after: Any):
    assert _exact(_carry_out(before, diff(before, after))) == _exact(after)


@given(VALUES)
def test_nothing_is_patched_where_nothing_changed(value: Any):
    assert diff(value, copy.deepcopy(value)) == []


@given(OBJECTS, OBJECTS)
def test_the_tree_of_a_file_is_patched_to_the_same(before: dict[str, Any], after: dict[str, Any]):
    (manifest,) = read(yaml_text.write(before).encode(), "x.yaml")
    assert _exact(manifest.document.value) == _exact(before)
    text = write([patched(manifest.node, diff(before, after))])
    (again,) = read(text.encode(), "x.yaml")
    assert _exact(again.document.value) == _exact(after)
    assert _exact(yaml.safe_load(text)) == _exact(after), "other readers of YAML understand it in the same way"


def test_containers_are_paired_by_name():
    before = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}
    after = {"containers": [{"name": "new"}, {"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}
    assert diff(before, after) == [
        {"op": "add", "path": "/containers/0", "value": {"name": "new"}},
        {"op": "replace", "path": "/containers/2/image", "value": "2"},
    ]
