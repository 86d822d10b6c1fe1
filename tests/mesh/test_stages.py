"""Every stage of compiling can be printed, and no stage knows a key."""

from __future__ import annotations

import json

import pytest
import yaml

from handsel.mesh.stages import Stage
from tests.mesh.cases import CASES, compiled


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("stage", Stage)
def test_a_stage_is_json(case, stage):
    content = compiled(case, stage)
    assert content
    assert json.loads(json.dumps(content))


@pytest.mark.parametrize(
    "stage",
    [
        Stage.MODEL,
        Stage.IR,
        Stage.XDS,
    ],
)
def test_a_stage_is_yaml(stage):
    assert yaml.safe_load(yaml.safe_dump(compiled("http_layer_4", stage)))


@pytest.mark.parametrize("case", CASES)
def test_secrets_are_named_and_never_shown(case):
    text = json.dumps(compiled(case, Stage.XDS))
    assert "ROOTCA" in text
    assert not any(word in text for word in ("inlineBytes", 'inlineString": "-----', "PRIVATE KEY", "filename"))
