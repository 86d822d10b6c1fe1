"""Conditions on a request, in the words of Envoy's routes."""

from __future__ import annotations

from typing import Any

from handsel.model.routing import Compare, RequestMatch, Text

_PLAIN_ONLY = {"name": ":scheme", "stringMatch": {"exact": "http"}}


def request(match: RequestMatch, *, plain_only: bool) -> dict[str, Any]:
    """A RouteMatch. What a match says of the sender was decided before. `plain_only`: no request for https."""
    made = _path(match.path)
    pseudo = ((":method", match.method), (":scheme", match.scheme), (":authority", match.authority))
    headers = [_named(name, text) for name, text in pseudo if text]
    headers += [_named(name, text) for name, text in match.headers]
    headers += [_without(name, text) for name, text in match.without_headers]
    if plain_only and not match.scheme:
        headers.append(_PLAIN_ONLY)
    if headers:
        made["headers"] = headers
    if match.query:
        made["queryParameters"] = [_named(name, text) for name, text in match.query]
    return made


def _path(text: Text | None) -> dict[str, Any]:
    if text is None or text.compare is Compare.PRESENT:
        return {"prefix": "/"}
    if text.compare is Compare.REGEX:
        return {"safeRegex": {"regex": text.value}}
    made: dict[str, Any] = {"caseSensitive": False} if text.ignore_case else {}
    if text.compare is Compare.SUBPATH and text.value == "/":
        return {**made, "prefix": "/"}
    key = {Compare.EXACT: "path", Compare.PREFIX: "prefix", Compare.SUBPATH: "pathSeparatedPrefix"}[text.compare]
    return {**made, key: text.value}


def _named(name: str, text: Text) -> dict[str, Any]:
    """A HeaderMatcher or a QueryParameterMatcher, which look the same."""
    if text.compare is Compare.PRESENT:
        return {"name": name, "presentMatch": True}
    return {"name": name, "stringMatch": string(text)}


def _without(name: str, text: Text) -> dict[str, Any]:
    made = {**_named(name, text), "invertMatch": True}
    # Otherwise a request without the header would not be one without this value of it.
    return made if text.compare is Compare.PRESENT else {**made, "treatMissingHeaderAsEmpty": True}


def string(text: Text) -> dict[str, Any]:
    """A StringMatcher."""
    if text.compare is Compare.REGEX:
        return {"safeRegex": {"regex": text.value}}
    key = "exact" if text.compare is Compare.EXACT else "prefix"
    return {key: text.value, **({"ignoreCase": True} if text.ignore_case else {})}
