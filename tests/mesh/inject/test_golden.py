"""Manifests with the sidecar, recorded: `make golden` writes them anew, and a person reads the difference."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml

from handsel.mesh.inject.manifests import inject, read_namespaces
from handsel.mesh.inject.patch import diff
from handsel.mesh.inject.text import read
from tests.mesh.inject.manifests import CASES, GOLDEN, SETTINGS, needs_kubectl, read_case, run, validate


@pytest.mark.parametrize("case", CASES)
def test_manifests_are_as_they_were_recorded(case: str, request: pytest.FixtureRequest):
    result = run("-f", "-", text=(GOLDEN / "in" / f"{case}.yaml").read_bytes())
    assert result.exit_code == 0, result.output
    for recorded, text in ((f"{case}.yaml", result.stdout), (f"{case}.notes.txt", result.stderr)):
        file = GOLDEN / "out" / recorded
        if request.config.getoption("--golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        assert file.exists(), "run `make golden` and read what it wrote"
        assert text == file.read_text(), "if this is meant, run `make golden`"


@pytest.mark.parametrize("case", CASES)
def test_they_are_valid_in_kubernetes(case: str):
    documents = read((GOLDEN / "out" / f"{case}.yaml").read_bytes(), case)
    assert documents
    for each in documents:
        validate(each.document.value)


@pytest.mark.parametrize("case", CASES)
def test_json_and_yaml_say_the_same(case: str):
    answer = json.loads(run("-f", str(GOLDEN / "in" / f"{case}.yaml"), "-o", "json").stdout)
    written = [each.document.value for each in read((GOLDEN / "out" / f"{case}.yaml").read_bytes(), case)]
    assert (answer["items"] if len(written) > 1 else [answer]) == written


@pytest.mark.parametrize("case", CASES)
def test_injecting_twice_is_injecting_once(case: str):
    once = (GOLDEN / "out" / f"{case}.yaml").read_text()
    result = run("-f", "-", text=once)
    assert result.exit_code == 0, result.output
    assert result.stdout == once
    assert "is injected already" in result.stderr


@needs_kubectl
@pytest.mark.parametrize("case", ["deployment", "annotations"])
def test_kubectl_carries_the_patch_out_and_comes_to_the_same(case: str, tmp_path):
    """The patch is what an admission controller answers; kubectl also reads the YAML by its own rules."""
    manifests = read_case(case)
    namespaces = read_namespaces([each.document for each in manifests])
    injection = inject(manifests[-1].document, SETTINGS, namespaces)
    source = tmp_path / "in.yaml"
    source.write_text((GOLDEN / "in" / f"{case}.yaml").read_text().split("\n---\n")[-1])
    assert _kubectl(source, diff(manifests[-1].document.value, injection.value)) == injection.value
    written = tmp_path / "out.yaml"
    written.write_text(run("-f", str(source)).stdout)
    assert _kubectl(written, []) == injection.value


def _kubectl(file, operations: list) -> object:
    # Its own output; the command's help promises that nothing of a cluster is needed for this.
    done = subprocess.run(
        ["kubectl", "patch", "--local", "-f", file, "--type", "json", "-p", json.dumps(operations), "-o", "json"],
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_what_has_no_pods_keeps_its_words():
    text = (GOLDEN / "in" / "jobs.yaml").read_text() + "---\n# gone\nkind: Strange\nmode: 0644\non: {a: yes, b: 1e3}\n"
    out = run("-f", "-", text=text).stdout
    assert out.endswith("kind: Strange\nmode: 0644\non: {a: yes, b: 1e3}\n")
    assert yaml.safe_load_all(out)
