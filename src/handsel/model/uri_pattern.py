"""Patterns of a load balancer's rules: literal text and variables, as in `/{app}/v1/` or `{app}-{region}`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

SUBDOMAIN = "subdomain"
"""The variable that comes from the Host, compared with the names of the certificate."""
_VALUE = "[!-.0-~]+"
_MOST_CHARACTERS = 512
_MOST_VARIABLES = 8
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[a-z]{1,32}")
# What may stand in a path (RFC 3986, section 3.3); braces are ours.
_LITERAL = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*")


@dataclass(frozen=True)
class Variable:
    """A part whose value is one or more visible characters of ASCII, without `/`."""

    name: str


Part = str | Variable


@dataclass(frozen=True)
class UriPattern:
    """Parts in order; no two variables follow one another, since nobody could tell where one ends."""

    parts: tuple[Part, ...]

    @classmethod
    def parse(cls, text: str) -> UriPattern:
        """Raises `ValueError` when it is none, with the reason."""
        if len(text) > _MOST_CHARACTERS:
            raise ValueError(f"a pattern has at most {_MOST_CHARACTERS} characters")
        parts: list[Part] = []
        for position, piece in enumerate(_VARIABLE.split(text)):
            if position % 2:
                parts.append(_variable(piece))
            elif not _LITERAL.fullmatch(piece):
                bad = next(each for each in piece if not _LITERAL.fullmatch(each))
                raise ValueError(f"{bad!r} cannot stand in a pattern: write letters, digits, /, %XX or a {{variable}}")
            elif piece:
                parts.append(piece)
        pattern = cls(tuple(parts))
        pattern._check()
        return pattern

    def _check(self) -> None:
        if len(self.variables) > _MOST_VARIABLES:
            raise ValueError(f"a pattern has at most {_MOST_VARIABLES} variables")
        for name in self.variables:
            if self.variables.count(name) > 1:
                raise ValueError(f"the variable {{{name}}} stands twice")
        for first, second in pairwise(self.parts):
            if isinstance(first, Variable) and isinstance(second, Variable):
                raise ValueError(f"nothing is between {{{first.name}}} and {{{second.name}}}: put a literal there")

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts if isinstance(part, Variable))

    @property
    def ends_in_variable(self) -> bool:
        return bool(self.parts) and isinstance(self.parts[-1], Variable)

    @property
    def literal(self) -> str | None:
        """The text, when there is no variable in it."""
        return None if self.variables else "".join(str(part) for part in self.parts)

    def bind(self, values: Mapping[str, str]) -> UriPattern:
        """The same with these values in the place of their variables."""
        parts: list[Part] = []
        for part in self.parts:
            bound = values.get(part.name, part) if isinstance(part, Variable) else part
            if isinstance(bound, str) and parts and isinstance(parts[-1], str):
                parts[-1] += bound
            else:
                parts.append(bound)
        return UriPattern(tuple(parts))

    def regex(self) -> str:
        """The same as a regular expression that RE2 and Python read alike."""
        return "".join(_VALUE if isinstance(part, Variable) else re.escape(part) for part in self.parts)

    def bindings(self, text: str) -> Iterator[dict[str, str]]:
        """Every way in which the whole `text` fits, longer values of earlier variables first."""
        yield from _bindings(self.parts, text)

    def __str__(self) -> str:
        return "".join(f"{{{part.name}}}" if isinstance(part, Variable) else part for part in self.parts)


def _variable(name: str) -> Variable:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{{{name[:40]}}} is no variable: its name has one to 32 letters from a to z")
    return Variable(name)


def _bindings(parts: tuple[Part, ...], text: str) -> Iterator[dict[str, str]]:
    if not parts:
        if not text:
            yield {}
        return
    first, rest = parts[0], parts[1:]
    if isinstance(first, str):
        if text.startswith(first):
            yield from _bindings(rest, text[len(first) :])
        return
    end = text.find("/")
    for length in range(len(text) if end < 0 else end, 0, -1):
        for values in _bindings(rest, text[length:]):
            yield {first.name: text[:length], **values}
