"""The stages of the compiler, recorded: `make golden` writes them anew, and a person reads the difference.

The plans of a case are what its Envoy configuration is made from, so both stages have the inputs in `golden/ir/in`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from handsel.mesh.stages import Stage
from tests.mesh.cases import CASES, GOLDEN, compiled

STAGES = [Stage.IR, Stage.XDS]


class _Dumper(yaml.SafeDumper):
    """YAML without aliases: what is shared in memory is written out, so that a difference is read where it is."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text(stage: Stage, case: str) -> str:
    content = json.loads(json.dumps(compiled(case, stage)))  # as the server's admin door gives it
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=120)


def _recorded(stage: Stage, case: str) -> Path:
    return GOLDEN / stage / "out" / f"{case}.yaml"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_as_it_was_recorded(stage: Stage, case: str, request: pytest.FixtureRequest):
    text = _text(stage, case)
    recorded = _recorded(stage, case)
    if request.config.getoption("--golden"):
        recorded.parent.mkdir(parents=True, exist_ok=True)
        recorded.write_text(text)
    assert recorded.exists(), "run `make golden` and read what it wrote"
    assert text == recorded.read_text(), "if this is meant, run `make golden`"


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_recorded_for_a_case_that_is_gone(stage: Stage, request: pytest.FixtureRequest):
    stale = [path for path in (GOLDEN / stage / "out").glob("*") if path.stem not in CASES]
    if request.config.getoption("--golden"):
        for path in stale:
            path.unlink()
        stale = []
    assert stale == [], "run `make golden`"
