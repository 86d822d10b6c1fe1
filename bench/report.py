"""Rounds in turn, ratios with their quartiles, and what a run prints: a table on stderr, one JSON object on stdout."""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn

from harness import BENCH, facts, load_average


def interleave(sides: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """(round, side), the order of the sides turned round each time. Round 0 warms up and does not count."""
    for number in range(rounds + 1):
        for side in sides if number % 2 else tuple(reversed(sides)):
            yield number, side


@dataclass(frozen=True)
class Ratio:
    """The median of the rounds' ratios, between its quartiles."""

    name: str
    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, name: str, values: list[float]) -> Ratio:
        low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        return cls(name, median, low, high, len(values))

    @property
    def says(self) -> str:
        return "no difference seen" if self.low <= 1 <= self.high else f"{self.median:.2f}"


@dataclass
class Report:
    """What one run found. A round with an error is void, and told."""

    name: str
    claim: str
    conditions: dict[str, Any] = field(default_factory=dict)
    figures: dict[tuple[int, str], dict[str, float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    _void: set[tuple[str, int]] = field(default_factory=set)

    def add(self, number: int, side: str, figures: dict[str, float], errors: Sequence[str] = ()) -> None:
        """The figures of one side in one round. `side` may have a group before a slash: `l4/static`."""
        if number == 0 and not errors:
            return
        self.errors += [f"round {number}, {side}: {error}" for error in errors]
        if errors:
            self._void.add((side.partition("/")[0], number))
        self.figures[number, side] = figures

    def rounds_of(self, side: str) -> dict[int, dict[str, float]]:
        """The figures of a side by round, without the warm-up and without void rounds."""
        void = {number for group, number in self._void if group == side.partition("/")[0]}
        return {n: figures for (n, each), figures in self.figures.items() if each == side and n and n not in void}

    def compare(self, figure: str, over: str, under: str) -> None:
        """Report `figure` of one side ÷ that of another."""
        above, below = self.rounds_of(over), self.rounds_of(under)
        values = [above[n][figure] / below[n][figure] for n in above.keys() & below.keys() if below[n][figure]]
        if not values:
            sys.exit(f"{self.name}: no round without an error\n" + "\n".join(self.errors[:10]))
        self.ratios.append(Ratio.of(f"{figure}: {over} ÷ {under}", values))

    def sides(self) -> dict[str, dict[str, float]]:
        """The medians of every side."""
        medians: dict[str, dict[str, float]] = {}
        for side in dict.fromkeys(side for _, side in self.figures):
            rounds = list(self.rounds_of(side).values())
            names = rounds[0] if rounds else ()
            medians[side] = {name: statistics.median(each[name] for each in rounds) for name in names}
        return medians

    def content(self) -> dict[str, Any]:
        """The JSON object. Ends the bench when a field is missing."""
        content = {
            "bench": self.name,
            "claim": self.claim,
            **self.conditions,
            "load_after": load_average(),
            "errors": self.errors,
            "sides": self.sides(),
            "ratios": {
                each.name: {"median": each.median, "quartiles": [each.low, each.high], "rounds": each.rounds,
                            "says": each.says}
                for each in self.ratios
            },
            "values": self.values,
        }  # fmt: skip
        missing = [name for name, value in content.items() if value in (None, "")]
        if missing:
            sys.exit(f"{self.name}: no value for {', '.join(missing)}")
        return content

    def outside(self, limits: dict[str, Any]) -> list[str]:
        """What lies above its limit, or where the limit is `{"at_least": x}` below it."""
        found = {each.name: each.median for each in self.ratios} | self.values
        least = {name: limit["at_least"] for name, limit in limits.items() if isinstance(limit, dict)}
        most = {name: limit for name, limit in limits.items() if name not in least}
        return [
            *(f"{name}: {found[name]:.3g} > {limit}" for name, limit in most.items() if found[name] > limit),
            *(f"{name}: {found[name]:.3g} < {limit}" for name, limit in least.items() if found[name] < limit),
        ]


def table(report: Report, content: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"\n{report.name}: {report.claim}"]
    for side, figures in content["sides"].items():
        lines += [f"  {side:<22} " + "  ".join(f"{name} {_short(value)}" for name, value in figures.items())]
    for each in report.ratios:
        lines.append(f"  {each.name:<58} {each.median:7.2f}  [{each.low:.2f}, {each.high:.2f}]  {each.says}")
    lines += [f"  {name}: {_short(value)}" for name, value in report.values.items()]
    lines.append(f"  errors: {len(report.errors)}")
    lines += [f"    {error}" for error in report.errors[:5]]
    hidden = {"bench", "claim", "errors", "sides", "ratios", "values"}
    lines.append("  " + "; ".join(f"{name} {_short(value)}" for name, value in content.items() if name not in hidden))
    return "\n".join(lines)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def run(report: Report, bench: Callable[[Report, argparse.Namespace], None], *, seconds: float,
        options: Callable[[argparse.ArgumentParser], None] = lambda _: None) -> None:  # fmt: skip
    """Run a bench within a time limit and print what it found. Ctrl-C and SIGTERM tear everything down, too."""
    parser = argparse.ArgumentParser(description=report.claim)
    parser.add_argument("--gate", action="store_true", help="fail when a ratio is outside its limit in gates.json")
    options(parser)
    chosen = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _stop)
    signal.alarm(round(seconds + getattr(chosen, "seconds", 0)))
    report.conditions |= facts()
    try:
        bench(report, chosen)
    except KeyboardInterrupt:
        sys.exit(130)
    signal.alarm(0)
    content = report.content()
    print(table(report, content), file=sys.stderr)
    print(json.dumps(content))
    if chosen.gate and (wrong := report.outside(json.loads((BENCH / "gates.json").read_text())[report.name])):
        sys.exit("outside its gate: " + "; ".join(wrong))


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(f"stopped: {signal.Signals(number).name}")
