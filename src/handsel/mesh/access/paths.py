"""How a path is written before a rule compares it, as the proxy does it (RFC 3986, section 6.2.2)."""

from __future__ import annotations

import re

from handsel.mesh.ir import Access

_HIDDEN_SLASH = re.compile(r"%(2f|5c)", re.IGNORECASE)
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def asks_for_paths(access: Access) -> bool:
    """Whether a rule looks at paths. Where none does they are left as they were written."""
    rules = (*access.deny, *(access.allow or ()), *access.audit)
    return any(each.paths or each.not_paths for _, rule in rules for each in rule.operations)


def normalised(target: str) -> str | None:
    """The path of a request's target, without the query; None: it hides a slash, and is refused."""
    path = target.partition("?")[0]
    if _HIDDEN_SLASH.search(path):
        return None
    plain = _ESCAPED.sub(_unescape, path).replace("\\", "/")
    return re.sub("//+", "/", _without_dots(plain))


def _unescape(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0]


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")[1:]
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
            continue
        if last:
            kept.append("")
    return "/" + "/".join(kept)
