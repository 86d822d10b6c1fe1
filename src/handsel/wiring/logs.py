"""Where a process logs: one JSON object a line, or lines for people on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

import structlog

from handsel.errors import StateError
from handsel.store.adapters.files import make_folder


def log_to(path: Path | None = None) -> None:
    """Log one JSON object a line, to a file or to stderr; to a terminal in a form for people."""
    stream = _open_log(path) if path else sys.stderr
    last = structlog.dev.ConsoleRenderer() if stream.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )


def _open_log(path: Path) -> TextIO:
    make_folder(path.parent, passable=True)
    try:
        return path.open("a", buffering=1)
    except OSError as error:
        raise StateError(
            f"{path} cannot be written: {error.strerror}",
            next_step="check the folder's owner and mode, or name another with --state",
        ) from error
