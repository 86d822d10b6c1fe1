"""What the tests of the injector share."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from click.testing import CliRunner, Result
from kubernetes_validate import utils

from handsel.cli.mesh.inject import command
from handsel.documents.yaml import Document
from handsel.errors import InvalidFile
from handsel.mesh.inject.manifests import inject, read_namespaces
from handsel.mesh.inject.model import Injection, Settings
from handsel.mesh.inject.text import Manifest, read

GOLDEN = Path(__file__).parents[2] / "golden" / "inject"
CASES = sorted(path.stem for path in (GOLDEN / "in").glob("*.yaml"))
NEWEST = utils.all_versions()[-3:]
SETTINGS = Settings()

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")


def run(*arguments: str, text: str | bytes | None = None) -> Result:
    """The verb; `text` is its standard input."""
    return CliRunner().invoke(command, list(arguments), input=text)


def read_case(case: str) -> list[Manifest]:
    path = GOLDEN / "in" / f"{case}.yaml"
    return read(path.read_bytes(), str(path))


def injected(text: str | bytes, settings: Settings = SETTINGS) -> list[Injection]:
    """Every manifest of a file, injected. Raises `InvalidFile`."""
    documents = [each.document for each in read(text.encode() if isinstance(text, str) else text, "x.yaml")]
    return [inject(document, settings, read_namespaces(documents)) for document in documents]


def faults(text: str, settings: Settings = SETTINGS) -> list[str]:
    """What is wrong with a file."""
    with pytest.raises(InvalidFile) as caught:
        injected(text, settings)
    return [str(fault) for fault in caught.value.faults]


def notes(text: str, settings: Settings = SETTINGS) -> list[str]:
    return [str(note) for each in injected(text, settings) for note in each.notes]


def as_document(value: Any) -> Document:
    """A value without places, as an admission request has it."""
    return Document("admission request", value, {})


def validate(manifest: Any) -> None:
    """Raises unless a manifest is valid in the newest three minors of Kubernetes, unknown fields refused."""
    for each in manifest["items"] if manifest["kind"] == "List" else [manifest]:
        for version in NEWEST:
            kubernetes_validate.validate(each, version, strict=True)


def pod(annotations: str = "", labels: str = "", spec: str = "containers: [{name: app, image: app}]") -> str:
    """A pod as text: each annotation on its own line, from line 7 on."""
    return "\n".join([
        "apiVersion: v1",
        "kind: Pod",
        "metadata:",
        "  name: app",
        f"  labels: {{{labels}}}",
        "  annotations:",
        *(f"    {line}" for line in annotations.splitlines()),
        "spec:",
        *(f"  {line}" for line in spec.splitlines()),
        "",
    ])  # fmt: skip
