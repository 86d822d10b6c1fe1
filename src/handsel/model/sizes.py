"""Sizes as people write them: `512KB`, `200MB`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_SIZE = re.compile(r"(\d{1,9})(B|KB|MB|GB)")
_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def parse_size(text: Any) -> int:
    """Bytes. A KB is 1,024 of them. Raises `ValueError`."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("a size is a whole number with a unit, such as 512KB or 200MB")
    return int(match[1]) * _UNITS[match[2]]


def show_size(size: int) -> str:
    """In the largest unit that fits."""
    unit = next(each for each in ("GB", "MB", "KB", "B") if size % _UNITS[each] == 0)
    return f"{size // _UNITS[unit]}{unit}"


Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str), PlainSerializer(show_size)]
