"""Small files that people name."""

from __future__ import annotations

from pathlib import Path

_MOST_BYTES = 1 << 20


def read(path: Path) -> bytes:
    """The content of a small file. Raises `UsageError`."""
    from handsel.errors import UsageError

    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise UsageError(f"{path} has more than {_MOST_BYTES} bytes")
    return content
