"""How quick the command line is: `handsel --help` against an interpreter that does nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence

from harness import HANDSEL, environment
from report import Report, interleave, run

ROUNDS = 15
HELP, BARE = "handsel --help", "bare interpreter"
COMMANDS = {HELP: [HANDSEL, "--help"], BARE: [sys.executable, "-c", "pass"]}
# Work for a command that runs, never for help.
HEAVY = {"asyncio", "cryptography", "fastapi", "google", "grpc", "httpx2", "jinja2", "prometheus_client", "pydantic",
         "rich", "sqlalchemy", "ssl", "starlette", "structlog", "uvicorn", "uvloop", "yaml"}  # fmt: skip
_LINE = re.compile(r"import time: +(\d+) \| +(\d+) \| +(\S+)")


def bench(report: Report, _options: object) -> None:
    report.conditions |= {"rounds": ROUNDS}
    for number, side in interleave(tuple(COMMANDS), ROUNDS):
        report.add(number, side, {"ms": _milliseconds(COMMANDS[side])})
    report.compare("ms", HELP, BARE)
    spent = _imported()
    report.values["heavy modules imported"] = sorted(HEAVY & {name.partition(".")[0] for name in spent}) or "none"
    slowest = sorted(spent, key=lambda name: -spent[name])[:8]
    report.values["slowest imports, ms of their own"] = {name: round(spent[name] / 1e3, 1) for name in slowest}
    report.values["modules imported"] = len(spent)


def _milliseconds(command: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, env=environment(), check=True)
    return (time.perf_counter() - started) * 1e3


def _imported() -> dict[str, int]:
    """The microseconds that each module took itself."""
    command = [sys.executable, "-X", "importtime", HANDSEL, "--help"]
    told = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True).stderr
    return {found[3]: int(found[1]) for line in told.splitlines() if (found := _LINE.match(line))}


if __name__ == "__main__":
    run(Report("cli_help", "`handsel --help` ÷ a bare interpreter, and what it imports"), bench, seconds=20)
