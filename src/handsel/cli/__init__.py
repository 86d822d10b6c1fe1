"""The command line: a file per verb, imported only when it is called."""

from __future__ import annotations

from handsel.cli.main import main

__all__ = ["main"]
