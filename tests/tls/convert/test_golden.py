"""What each target gets of each context, recorded with the notes: `make golden` writes it anew."""

from __future__ import annotations

import pytest

from handsel.tls.convert.model import BOTH
from handsel.tls.convert.write import TARGETS
from tests.tls.convert.contexts import GOLDEN, golden

CONTEXTS = golden()
CASES = [(name, target) for name in CONTEXTS for target in TARGETS]


def _written(name: str, target: str) -> dict[str, str]:
    exported = TARGETS[target](CONTEXTS[name], BOTH)
    return {**exported.files, "notes.txt": "".join(f"{note}\n" for note in exported.notes)}


@pytest.mark.parametrize(("name", "target"), CASES)
def test_what_is_written_is_as_it_was_recorded(name: str, target: str, request: pytest.FixtureRequest) -> None:
    folder = GOLDEN / name / target
    written = _written(name, target)
    if request.config.getoption("--golden"):
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for file, text in written.items():
            (folder / file).write_text(text)
    recorded = {path.name: path.read_text() for path in folder.glob("*")}
    assert recorded, "run `make golden` and read what it wrote"
    assert written == recorded, "if this is meant, run `make golden`"


def test_nothing_is_recorded_that_is_gone() -> None:
    recorded = {(path.parent.name, path.name) for path in GOLDEN.glob("*/*") if path.is_dir()}
    assert recorded <= set(CASES)
