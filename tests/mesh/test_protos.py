"""From Envoy's JSON form to bytes: the same bytes for the same content, and nothing that Envoy's API does not have."""

from __future__ import annotations

from typing import Any

import pytest

from handsel.errors import Bug
from handsel.mesh.render import protos, workload
from handsel.mesh.translate import translate
from handsel.xds.resources import CLUSTER, LISTENER
from tests.mesh.cases import CASES, read


def _turned(value: Any) -> Any:
    """The same content with every mapping in the other order."""
    if isinstance(value, dict):
        return {key: _turned(each) for key, each in reversed(value.items())}
    return [_turned(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_keys_changes_no_byte(case):
    for plan in translate(*read(case)).values():
        for kind, by_name in workload.render(plan).items():
            for content in by_name.values():
                assert protos.serialise(kind, _turned(content)) == protos.serialise(kind, content)


@pytest.mark.parametrize("case", CASES)
def test_what_was_serialised_reads_the_same_again(case):
    for plan in translate(*read(case)).values():
        for kind, by_name in workload.render(plan).items():
            for content in by_name.values():
                body = protos.serialise(kind, content)
                assert protos.serialise(kind, protos.to_json(kind, body)) == body


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (CLUSTER, {"name": "a", "later": 1}),
        (CLUSTER, {"name": 7}),
        (CLUSTER, {"name": "a", "type": "NOBODY"}),
        (LISTENER, {"name": "a", "filterChains": [{"filters": [{"typedConfig": {"@type": "example.com/Nobody"}}]}]}),
    ],
)
def test_what_envoys_api_does_not_have_is_a_bug_of_ours(kind, content):
    protos.serialise(kind, {"name": "a"})
    with pytest.raises(Bug, match="does not fit"):
        protos.serialise(kind, content)
