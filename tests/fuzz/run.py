"""Run one fuzz harness for some seconds: `python -m tests.fuzz.run NAME SECONDS`, from its kept corpus.

What finds a bug ends with a traceback, and the input that did lies in the folder `found`, if one is given third.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import atheris

_HERE = Path(__file__).parent
_LARGEST_INPUT = 1 << 15


def main() -> None:
    name, seconds, *found = sys.argv[1:]
    with atheris.instrument_imports(include=["handsel"]):
        harness = importlib.import_module(f"tests.fuzz.fuzz_{name}")
    corpus = _HERE / "corpus" / name
    folders = [*found, *([str(corpus)] if corpus.is_dir() else [])]
    options = [f"-max_total_time={seconds}", f"-max_len={_LARGEST_INPUT}", "-timeout=10", "-rss_limit_mb=2048"]
    where = [f"-artifact_prefix={found[0]}/"] if found else []
    atheris.Setup([sys.argv[0], *options, *where, *folders], harness.fuzz)
    atheris.Fuzz()


main()
