"""A path as the load balancer compares it and passes it on: as Envoy makes it normal (its library is Chromium's)."""

from __future__ import annotations

import re

_SLASHES = {"2F": "/", "5C": "\\"}
_UNRESERVED = re.compile(r"[A-Za-z0-9\-_~.]")
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_TO_ESCAPE = re.compile(r"[ \"<>`{}|^]")


def normal(path: str, *, keep_url_encoding: bool) -> str:
    """The path with its query, as rules see it. With `keep_url_encoding` as it came.

    Else escaped slashes and letters are what they stand for, `.` and `..` are resolved, and one slash stands for many:
    what one hop takes for two paths is one path here. Raises `ValueError` for a path that is refused (400).
    """
    if keep_url_encoding:
        return path
    bare, mark, query = path.partition("?")
    if "%00" in bare:
        raise ValueError("a path with %00 is refused (400)")
    bare = _ESCAPED.sub(lambda found: _SLASHES.get(found[1].upper(), found[0]), bare)
    bare = _ESCAPED.sub(_unescaped, bare.replace("\\", "/"))
    bare = _TO_ESCAPE.sub(lambda found: f"%{ord(found[0]):02X}", bare)
    return _merged(_resolved(bare)) + mark + query


def _merged(path: str) -> str:
    """With one slash for many; of nothing but slashes Envoy leaves two."""
    if "//" not in path:
        return path
    return "/" + "/".join(part for part in path.split("/") if part) + ("/" if path.endswith("/") else "")


def _unescaped(found: re.Match[str]) -> str:
    letter = chr(int(found[1], 16))
    return letter if _UNRESERVED.fullmatch(letter) else found[0]


def _resolved(path: str) -> str:
    """Without `.` and `..` (RFC 3986, section 5.2.4). An empty part counts as one, as it does there."""
    kept: list[str] = []
    parts = path.split("/")[1:]
    for position, part in enumerate(parts):
        is_last = position == len(parts) - 1
        if part == "..":
            kept = kept[:-1]
        if part not in (".", ".."):
            kept.append(part)
        elif is_last:
            kept.append("")
    return "/" + "/".join(kept)
