"""Where something was said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """A place in a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else "(built in)"


NOWHERE = Origin("", 0)
"""Of what nobody wrote."""
