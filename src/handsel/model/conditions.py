"""Conditions on requests: what fits them, and which leave nothing to those after them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from handsel.model.re2 import compiled
from handsel.model.routing import Compare, RequestMatch, Text

_THERE = Compare.PRESENT


class Rule(Protocol):
    """Whatever has conditions, of which one must hold (none: always): `HttpRule` and `ir.Route`."""

    @property
    def matches(self) -> tuple[RequestMatch, ...]: ...


def fits(text: Text, value: str) -> bool:
    """Whether a value compares as said."""
    wanted = text.value
    if text.compare is Compare.PRESENT:
        return True
    if text.compare is Compare.REGEX:
        return compiled(wanted).fullmatch(value) is not None
    if text.ignore_case:
        wanted, value = wanted.lower(), value.lower()
    if text.compare is Compare.EXACT:
        return value == wanted
    if text.compare is Compare.PREFIX:
        return value.startswith(wanted)
    return f"{value}/".startswith(f"{wanted.rstrip('/')}/")


def show(text: Text) -> str:
    """A comparison in words."""
    word = {
        Compare.EXACT: "exactly", Compare.PREFIX: "starting with", Compare.SUBPATH: "at or below",
        Compare.REGEX: "fitting", Compare.PRESENT: "there",
    }[text.compare]  # fmt: skip
    return word if text.compare is Compare.PRESENT else f"{word} {text.value!r}"


def unreachable(rules: Sequence[Rule]) -> dict[int, int]:
    """The rules that never get a request, since an earlier one takes all of theirs: by index, the earlier one.

    Only what is certain: of patterns little is.
    """
    found = {}
    for index, rule in enumerate(rules):
        mine = rule.matches or (RequestMatch(),)
        takers = [next((n for n, other in enumerate(rules[:index]) if _takes(other, each)), None) for each in mine]
        if None not in takers:
            found[index] = max(each for each in takers if each is not None)
    return found


def contradictory(match: RequestMatch) -> str:
    """The name of a header that must be there and must not; empty when there is none."""
    without = {name for name, text in match.without_headers if text.compare is Compare.PRESENT}
    same = set(match.headers) & set(match.without_headers)
    return next((name for name, text in match.headers if name in without or (name, text) in same), "")


def _takes(rule: Rule, match: RequestMatch) -> bool:
    return not rule.matches or any(_covers(each, match) for each in rule.matches)


def _covers(wide: RequestMatch, narrow: RequestMatch) -> bool:
    """Whether every request that fits `narrow` fits `wide`."""
    texts = ((wide.method, narrow.method), (wide.scheme, narrow.scheme), (wide.authority, narrow.authority))
    return (
        _implied(wide.path, narrow.path, path=True)
        and all(_implied(mine, other) for mine, other in texts)
        and all(_implied(text, dict(narrow.headers).get(name)) for name, text in wide.headers)
        and all(_implied(text, dict(narrow.query).get(name)) for name, text in wide.query)
        and set(wide.without_headers) <= set(narrow.without_headers)
        and wide.port in (None, narrow.port)
        and set(wide.source_labels) <= set(narrow.source_labels)
        and wide.source_namespace in ("", narrow.source_namespace)
        and (not wide.gateways or (bool(narrow.gateways) and set(narrow.gateways) <= set(wide.gateways)))
    )


def _implied(wide: Text | None, narrow: Text | None, *, path: bool = False) -> bool:
    """Whether every value that fits `narrow` fits `wide`; None is no condition."""
    if wide is None or wide == narrow or (path and _is_everything(wide)):
        return True
    if narrow is None or wide.compare is _THERE or wide == Text(Compare.REGEX, ".*"):
        return narrow is not None
    if narrow.compare in (Compare.PRESENT, Compare.REGEX) or (narrow.ignore_case and not wide.ignore_case):
        return False
    if narrow.compare is Compare.EXACT:
        return fits(wide, narrow.value)
    if wide.compare is Compare.SUBPATH and narrow.compare is Compare.PREFIX:
        return fits(Text(Compare.PREFIX, wide.value.rstrip("/") + "/", wide.ignore_case), narrow.value)
    return wide.compare in (Compare.PREFIX, Compare.SUBPATH) and fits(wide, narrow.value)


def _is_everything(text: Text) -> bool:
    """Of paths, which all start with a slash."""
    everything = {Compare.PREFIX: ("/",), Compare.SUBPATH: ("/",), Compare.REGEX: (".*", "/.*")}
    return text.value in everything.get(text.compare, ())
