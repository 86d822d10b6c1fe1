"""The demo: an application to look at, carried inside the package."""

from __future__ import annotations

from pathlib import Path


def mesh_file() -> Path:
    """The mesh file of emojivote, for `handsel up --demo`."""
    return Path(__file__).with_name("emojivote") / "handsel.yaml"
