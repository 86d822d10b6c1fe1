"""Guards: whether what is known of a host fits what a rule asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from handsel.authority.attest.model import Selectors

_MOST_VALUES = 64
_LONGEST_VALUE = 1024
_DEEPEST = 4


def misfit(when: Mapping[str, tuple[str, ...]], selectors: Selectors) -> str:
    """Why the selectors do not fit, or nothing when they do: each guard must have a value that fits a pattern."""
    for name, patterns in when.items():
        values = selectors.get(name, ())
        if not values:
            return f"there is no {name}"
        if not any(fits(pattern, value) for pattern in patterns for value in values):
            return f"{name} {_quoted(values)} does not fit {_quoted(patterns)}"
    return ""


def fits(pattern: str, value: str) -> bool:
    """Whether the whole value fits: `*` stands for anything without a slash, `**` for anything."""
    return _compiled(pattern).fullmatch(value) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern)
    kinds = {"**": r"[\s\S]*", "*": r"[^/]*"}
    return re.compile("".join(kinds.get(part) or re.escape(part) for part in parts))


def of_claims(claims: Mapping[str, Any]) -> Selectors:
    """Selectors of the claims of a token: `a.b` for nested ones, and `x_name` for what follows the last slash of x.

    Lists of texts are several values. What is no text, number or truth value is left out, as is what is too long.
    """
    found: dict[str, tuple[str, ...]] = {}
    _collect(claims, "", found, _DEEPEST)
    for name, values in list(found.items()):
        if len(values) == 1 and "/" in values[0]:
            found.setdefault(f"{name}_name", (values[0].rpartition("/")[2],))
    return found


def _collect(claims: Mapping[str, Any], prefix: str, found: dict[str, tuple[str, ...]], depth: int) -> None:
    for name, value in claims.items():
        if len(found) >= _MOST_VALUES:
            return
        if isinstance(value, Mapping):
            if depth:
                _collect(value, f"{prefix}{name}.", found, depth - 1)
            continue
        texts = [_text(each) for each in (value if isinstance(value, list) else [value])[:_MOST_VALUES]]
        kept = tuple(text for text in texts if text is not None and len(text) <= _LONGEST_VALUE)
        if kept:
            found[f"{prefix}{name}"] = kept


def _text(value: Any) -> str | None:
    match value:
        case bool():
            return str(value).lower()
        case str() | int():
            return str(value)
        case _:
            return None


def _quoted(values: tuple[str, ...]) -> str:
    return " or ".join(repr(each[:80]) for each in values[:5])
