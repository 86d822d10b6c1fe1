"""The verbs that look at a running mesh say in one line what is wrong with the question."""

from __future__ import annotations

import pytest

from tests.e2e.mesh_process import run


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(("tap", "--status", "9"), 2, "--status: a status is a number such as 404", id="no status"),
        pytest.param(("tap",), 4, "no agent runs on the state folder", id="no agent"),
        pytest.param(("graph", "-o", "svg"), 4, "no server runs on the state folder", id="no server to draw"),
        pytest.param(("proxies",), 4, "no server runs on the state folder", id="no server"),
    ],
)
def test_a_question_that_cannot_be_answered(arguments, status, said, tmp_path) -> None:
    done = run("mesh", *arguments, "--state", str(tmp_path / "s"))
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr
