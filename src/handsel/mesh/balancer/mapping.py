"""The load balancer's rules as a function: which one takes a request, and why the others do not. No proxy needed.

A rule whose `app_name` has variables is one rule for each application that it can name, so that nobody reaches what is
not listed; a name that no application has is answered with 404, by this rule and no later one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from handsel.mesh.balancer.names import fits, hosts_of_subdomain, with_subdomain
from handsel.model.balancer import Application, Mapping
from handsel.model.uri_pattern import SUBDOMAIN, UriPattern


@dataclass(frozen=True)
class Rule:
    """A mapping (its number from 1) for one application, `app`; empty: for the names that no application has.

    `hosts` None: any. `whole`: what fits ends at a `/` or with the path.
    """

    number: int
    mapping: Mapping
    app: str
    hosts: tuple[str, ...] | None
    path: UriPattern
    whole: bool

    @cached_property
    def _path(self) -> re.Pattern[str]:
        return re.compile(self.path.regex() + ("(?=/|$)" if self.whole else ""))

    def fits_host(self, host: str) -> bool:
        return self.hosts is None or fits(self.hosts, host)

    def rest(self, path: str) -> str | None:
        """What is left of a path (without its query) behind what fits; None when it does not."""
        found = self._path.match(path)
        return None if found is None else path[found.end() :]

    def seen(self, rest: str) -> str:
        """The path that the application sees."""
        return self.mapping.app_uri + (rest.removeprefix("/") if self.eats_slash else rest)

    @property
    def eats_slash(self) -> bool:
        """Whether a slash behind what fits is part of it: `/foo` in `/foo/x` becomes `/` of `/x`, not `//x`."""
        return self.mapping.app_uri.endswith("/") and not str(self.path).endswith("/")


@dataclass(frozen=True)
class Lost:
    """A mapping that does not take a request, and why."""

    number: int
    reason: str


@dataclass(frozen=True)
class Verdict:
    """What becomes of a request. `rule` None: no rule takes it (404). `path`: what the application sees."""

    rule: Rule | None
    path: str
    lost: tuple[Lost, ...]

    @property
    def app(self) -> str:
        """The application that gets it; empty: it is answered with 404."""
        return self.rule.app if self.rule else ""


def rules(mappings: Sequence[Mapping], applications: Sequence[Application], names: Sequence[str]) -> tuple[Rule, ...]:
    """Every rule in the order in which they are looked at. `names`: those of the certificate."""
    return tuple(
        rule for number, mapping in enumerate(mappings, 1) for rule in _expand(number, mapping, applications, names)
    )


def _expand(number: int, mapping: Mapping, applications: Sequence[Application], names: Sequence[str]) -> Iterator[Rule]:
    path, app = UriPattern.parse(mapping.input_uri), UriPattern.parse(mapping.app_name)
    literal = path.literal
    # With a slash at its end a prefix is whole anyway; a variable's value always goes on to the next slash.
    whole = path.ends_in_variable or (mapping.strict and not (literal or "").endswith("/"))
    if app.literal is not None:
        yield Rule(number, mapping, app.literal, None, path, whole)
        return
    for each in sorted(applications, key=lambda each: (-len(each.name), each.name)):
        for values in app.bindings(each.name):
            hosts = hosts_of_subdomain(names, values[SUBDOMAIN]) if SUBDOMAIN in values else None
            if hosts != ():
                yield Rule(number, mapping, each.name, hosts, path.bind(values), whole)
    yield Rule(number, mapping, "", with_subdomain(names) if SUBDOMAIN in app.variables else None, path, whole)


def decide(among: Sequence[Rule], host: str, path: str) -> Verdict:
    """The rule that takes a request to `path` (as it is compared: see `normal`) at `host`."""
    bare, mark, query = path.partition("?")
    taken, rest = next(
        ((rule, rest) for rule in among if rule.fits_host(host) and (rest := rule.rest(bare)) is not None), (None, "")
    )
    lost = tuple(_lost(among, taken, host, bare))
    seen = f"{taken.seen(rest)}{mark}{query}" if taken else path
    return Verdict(taken, seen, lost)


def _lost(among: Sequence[Rule], taken: Rule | None, host: str, path: str) -> Iterator[Lost]:
    by_number: dict[int, list[Rule]] = {}
    for rule in among:
        by_number.setdefault(rule.number, []).append(rule)
    for number, group in by_number.items():
        if taken is None or number != taken.number:
            yield Lost(number, _why(group, taken, host, path))


def _why(group: Sequence[Rule], taken: Rule | None, host: str, path: str) -> str:
    rule = group[-1]  # the most general of a mapping
    if not rule.fits_host(host):
        return f"{{subdomain}}: the Host {host} is none of {', '.join(rule.hosts or ()) or 'the certificate'}"
    if rule.rest(path) is None:
        wanted = rule.mapping.input_uri
        if rule.whole and re.match(rule.path.regex(), path):
            return f"the path goes on behind {wanted} without a /"
        return f"the path does not begin with {wanted}"
    return f"it would fit, but rule {taken.number} comes first" if taken else "it would fit"
