"""What is wrong with the rules of a load balancer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from handsel.documents.yaml import Path
from handsel.model.balancer_file import MappingFile
from handsel.model.faults import did_you_mean
from handsel.model.uri_pattern import SUBDOMAIN, UriPattern

_MOST_MAPPINGS = 200
_MOST_APP_VARIABLES = 3
_MOST_RULES = 5000

Faults = Iterator[tuple[Path, str]]


def mappings_faults(said: Sequence[MappingFile], applications: Collection[str]) -> Faults:
    """Each with its path below the list. `applications`: the names that a rule may lead to."""
    if len(said) > _MOST_MAPPINGS:
        yield (), f"at most {_MOST_MAPPINGS} rules"
    seen: dict[tuple[object, ...], int] = {}
    expanded = 0
    for index, each in enumerate(said):
        found = list(_mapping(each, applications))
        yield from (((index, *below), text) for below, text in found)
        if found:
            continue
        key = (each.input_uri, each.strict, SUBDOMAIN in each.app_name)
        if key in seen:
            yield (index, "input_uri"), f"rule {seen[key] + 1} has {each.input_uri} already: this one takes nothing"
        seen.setdefault(key, index)
        expanded += _expanded(each, applications)
    if expanded > _MOST_RULES:
        yield (), f"the variables stand for more than {_MOST_RULES} combinations: write fewer of them"


def _expanded(said: MappingFile, applications: Collection[str]) -> int:
    app = UriPattern.parse(said.app_name)
    return sum(1 for _ in islice((b for name in applications for b in app.bindings(name)), _MOST_RULES + 1))


def _mapping(said: MappingFile, applications: Collection[str]) -> Faults:
    path = app = None
    try:
        path = UriPattern.parse(said.input_uri)
    except ValueError as error:
        yield ("input_uri",), str(error)
    try:
        app = UriPattern.parse(said.app_name)
    except ValueError as error:
        yield ("app_name",), str(error)
    if not said.input_uri.startswith("/"):
        yield ("input_uri",), "a path begins with /"
    if path and SUBDOMAIN in path.variables:
        yield ("input_uri",), f"{{{SUBDOMAIN}}} comes from the Host: it stands in app_name only"
    yield from _app_uri(said)
    if path and app:
        yield from _app_name(path, app, applications)


def _app_uri(said: MappingFile) -> Faults:
    try:
        literal = UriPattern.parse(said.app_uri).literal
    except ValueError as error:
        yield ("app_uri",), str(error)
        return
    if literal is None:
        yield ("app_uri",), "has no variables: it takes the place of what fitted as it stands"
    elif not literal.startswith("/"):
        yield ("app_uri",), "a path begins with /"


def _app_name(path: UriPattern, app: UriPattern, known: Collection[str]) -> Faults:
    unknown = [name for name in app.variables if name not in (*path.variables, SUBDOMAIN)]
    for name in unknown:
        hint = did_you_mean(name, (*path.variables, SUBDOMAIN))
        yield ("app_name",), f"the variable {{{name}}} is not in input_uri{hint and ', '}{hint}"
    if len(app.variables) > _MOST_APP_VARIABLES:
        yield ("app_name",), f"at most {_MOST_APP_VARIABLES} variables"
    elif app.literal is not None and app.literal not in known:
        yield (
            ("app_name",),
            f"there is no application {app.literal!r}, {did_you_mean(app.literal, known, known_here=True)}",
        )
    elif not unknown and not any(True for name in known for _ in app.bindings(name)):
        yield ("app_name",), f"no application has such a name: {', '.join(known)}"
