"""The proof that a rule can never take a request: every path that fits it fits a rule before it.

The paths of a rule are a regular language, so this is decided, not guessed: both sides are read letter by letter, in
all ways at once (the subset construction), until a path fits one side alone or there is nothing new to read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from handsel.mesh.balancer.mapping import Rule
from handsel.mesh.balancer.names import fits
from handsel.model.uri_pattern import Variable

_MOST_READ = 200_000
"""Letters, for all rules of a load balancer together: about a second. What is not proven by then is not said."""
_OTHER = "\0"
"""Stands for every letter that no pattern has."""
_DONE = -1
"""All that fits has been read; whatever follows, follows."""


@dataclass
class Effort:
    """How many letters may still be read."""

    left: int = _MOST_READ


def never_taken(rules: Sequence[Rule]) -> dict[int, tuple[int, ...]]:
    """The mappings that never take a request, by number, each with the numbers of those that take them all."""
    # The last rule of a mapping is for the names that no application has: what fits any of the mapping, fits it.
    general = list({each.number: each for each in rules}.values())
    found: dict[int, tuple[int, ...]] = {}
    effort = Effort()
    for position, rule in enumerate(general):
        takers = _takers(rule, [each for each in general[:position] if each.number not in found], effort)
        if takers is not None:
            found[rule.number] = takers
    return found


def _takers(rule: Rule, before: Sequence[Rule], effort: Effort) -> tuple[int, ...] | None:
    """Who takes all requests of a rule; None when some are left to it."""
    takers: set[int] = set()
    for host in _hosts([*before, rule]):
        if not _is_at(rule, host):
            continue
        here = [each for each in before if _is_at(each, host)]
        alone = next((each for each in here if covered(rule, [each], effort)), None)
        if alone is None and not covered(rule, here, effort):
            return None
        takers |= {alone.number} if alone else {each.number for each in here if not _disjoint(rule, each)}
    return tuple(sorted(takers))


def _is_at(rule: Rule, host: str) -> bool:
    return rule.hosts is None or (bool(host) and fits(rule.hosts, host))


def _hosts(rules: Iterable[Rule]) -> list[str]:
    """One host for each set of hosts that the rules tell apart; empty: all that no rule names."""
    named = sorted({host for each in rules for host in each.hosts or ()})
    return ["", *(f"-{host[1:]}" if host.startswith("*") else host for host in named)]


@dataclass(frozen=True)
class _Reader:
    """Reads a path for a rule. A state is how many letters and variables have been read, or `_DONE`."""

    rule: Rule

    @cached_property
    def symbols(self) -> tuple[str | Variable, ...]:
        return tuple(
            symbol for part in self.rule.path.parts for symbol in ((part,) if isinstance(part, Variable) else part)
        )

    def start(self) -> frozenset[int]:
        return self._settled({0})

    def read(self, states: frozenset[int], letter: str) -> frozenset[int]:
        return self._settled({after for state in states for after in self._after(state, letter)})

    def fits(self, states: frozenset[int]) -> bool:
        return _DONE in states or len(self.symbols) in states

    def _after(self, state: int, letter: str) -> Iterable[int]:
        if state == _DONE:
            return (_DONE,)
        found = []
        symbol = self.symbols[state] if state < len(self.symbols) else None
        if isinstance(symbol, Variable) and letter != "/":
            found.append(state + 1)
        if symbol == letter:
            found.append(state + 1)
        if state and isinstance(self.symbols[state - 1], Variable) and letter != "/":
            found.append(state)  # the value goes on
        if symbol is None and self.rule.whole and letter == "/":
            found.append(_DONE)
        return found

    def _settled(self, states: set[int]) -> frozenset[int]:
        if len(self.symbols) in states and not self.rule.whole:
            states.add(_DONE)
        return frozenset({_DONE}) if _DONE in states else frozenset(states)


def covered(rule: Rule, before: Sequence[Rule], effort: Effort) -> bool:
    """Whether every path of a rule is one of those before it. False too when that takes more than the effort left."""
    one, others = _Reader(rule), [_Reader(each) for each in before]
    letters = _letters([one, *others])
    begin = (one.start(), tuple(each.start() for each in others))
    seen, waiting = {begin}, deque([begin])
    while waiting:
        mine, theirs = waiting.popleft()
        if any(_DONE in states for states in theirs):
            continue  # whatever comes now, one of them has it
        if one.fits(mine) and not any(each.fits(states) for each, states in zip(others, theirs, strict=True)):
            return False
        effort.left -= len(letters) * (len(others) + 1)
        if effort.left < 0:
            return False
        for letter in letters:
            after = one.read(mine, letter)
            step = (after, tuple(each.read(states, letter) for each, states in zip(others, theirs, strict=True)))
            if after and step not in seen:
                seen.add(step)
                waiting.append(step)
    return True


def _disjoint(one: Rule, other: Rule) -> bool:
    """Whether no path fits both, as far as their beginnings tell."""
    first, second = (_beginning(each) for each in (one, other))
    return not (first.startswith(second) or second.startswith(first))


def _beginning(rule: Rule) -> str:
    part = rule.path.parts[0] if rule.path.parts else ""
    return part if isinstance(part, str) else ""


def _letters(readers: Iterable[_Reader]) -> list[str]:
    found = {symbol for each in readers for symbol in each.symbols if isinstance(symbol, str)}
    return sorted(found | {"/", _OTHER})
