"""Resources that are applied: what they are known by, and what an apply does to each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.documents import yaml
from handsel.errors import InvalidFile
from handsel.model.applied import Applied, ResourceId, What, changes, identify, merged, resources_of

TWO = """\
# A comment.
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
---
kind: Secret
metadata: {name: keys}
"""


def _applied(text: str, file: str = "a.yaml", set_name: str = "") -> list[Applied]:
    return resources_of(yaml.parse(text.encode(), file), set_name)


def test_a_resource_is_known_by_kind_namespace_and_name():
    assert [str(each.id) for each in _applied(TWO)] == ["VirtualService shop/reviews", "Secret default/keys"]


def test_a_document_of_no_kind_is_the_mesh_file():
    (document,) = yaml.parse(b"services: {web: {}}", "handsel.yaml")
    assert str(identify(document)) == "Mesh handsel.yaml"


def test_what_is_kept_has_the_places_that_it_had():
    for kept, document in zip(_applied(TWO), yaml.parse(TWO.encode(), "a.yaml"), strict=True):
        assert kept.document == document
        assert kept.document.places == document.places


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("kind: Secret", "a.yaml:1:1: metadata: a resource has a kind and a metadata.name"),
        ("kind: Secret\nmetadata: {}", "a.yaml:2:1: metadata: a resource has a kind and a metadata.name"),
        ("- 1", "a.yaml:1:1: metadata: a resource has a kind and a metadata.name"),
    ],
)
def test_what_has_no_name_is_refused(text: str, fault: str):
    with pytest.raises(InvalidFile) as caught:
        _applied(text)
    assert str(caught.value) == fault


def test_one_resource_twice_is_refused():
    with pytest.raises(InvalidFile) as caught:
        _applied(TWO + "---\nkind: Secret\nmetadata: {name: keys}\n")
    assert str(caught.value) == "a.yaml:11:1: Secret default/keys is there twice, first at a.yaml:8"


names = st.sampled_from(["a", "b", "c", "d"])
texts = st.sampled_from(["one", "two"])
sets = st.sampled_from(["x", "y"])
there = st.dictionaries(names, st.tuples(texts, sets))


def _resource(name: str, text: str, set_name: str) -> Applied:
    return Applied(ResourceId("Secret", "default", name), "f", 1, text, set_name)


@given(there, st.dictionaries(names, texts), sets, st.booleans())
def test_afterwards_there_is_what_was_applied_and_what_was_not_pruned(before, wanted, set_name, prune):
    kept = {each.id: each for each in (_resource(name, *said) for name, said in before.items())}
    new = [_resource(name, text, set_name) for name, text in wanted.items()]
    found = changes(kept, new, prune=set_name if prune else None)
    after = {each.id.name: each.text for each in merged(kept, new, found)}
    stays = {name: text for name, (text, of) in before.items() if not (prune and of == set_name)}
    assert after == {**stays, **wanted}
    assert {each.id.name for each in found if each.what is What.PRUNED} == set(before) - set(after)
    assert {each.id.name for each in found if each.what is What.CREATED} == set(wanted) - set(before)
    unchanged = {name for name, text in wanted.items() if name in before and before[name][0] == text}
    assert {each.id.name for each in found if each.what is What.UNCHANGED} == unchanged
