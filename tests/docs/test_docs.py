"""The documentation says what the code does: references are current, the README's block is what a run prints."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _generator()


@pytest.mark.parametrize("name", ["commands.md", "mesh-file.md", "errors.md", "istio.md", "findings.md"])
def test_a_reference_is_current(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text() == generate.pages()[name], "run `make docs`"


def _shape(text: str) -> list[str]:
    """Lines without what changes from run to run: numbers, and notes about ports that were in use."""
    lines = [line for line in text.splitlines() if "is in use" not in line]
    return [re.sub(r"\s+", " ", re.sub(r"[\d.]+", "N", line)).replace("found:", "made:") for line in lines]


@pytest.mark.e2e
def test_the_readme_shows_what_the_demonstration_prints() -> None:
    shown = (ROOT / "README.md").read_text().partition("$ make demo\n")[2].partition("\n```")[0]
    assert _shape(shown) == _shape(generate.demo_output()), "run `python docs/generate.py --readme`"


def test_the_mesh_file_of_the_readme_is_one(tmp_path: Path) -> None:
    from handsel.wiring.mesh_files import load_mesh

    text = (ROOT / "README.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "handsel.yaml").write_text(text)
    mesh = load_mesh(tmp_path / "handsel.yaml")
    assert set(mesh.services) == {"web", "emoji"}


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_command_has_examples() -> None:
    for name, command in generate._commands("handsel", generate.root):
        assert "Examples:" in (command.help or ""), name


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "threat-model.md").read_text())
    assert len(named) > 15
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"
