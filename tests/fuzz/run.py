"""Run one fuzz harness for some seconds, from its kept corpus: `python -m tests.fuzz.run NAME SECONDS [SEED [FOUND]]`.

What finds a bug ends with a traceback, and the input that did lies in the folder FOUND. SEED 0 is another one each time.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import atheris

_HERE = Path(__file__).parent
_LARGEST_INPUT = 1 << 15


def main() -> None:
    name, seconds, *more = sys.argv[1:]
    seed, found = (more[0] if more else "0"), more[1:]
    with atheris.instrument_imports(include=["handsel"]):
        harness = importlib.import_module(f"tests.fuzz.fuzz_{name}")
    corpus = _HERE / "corpus" / name
    folders = [*found, *([str(corpus)] if corpus.is_dir() else [])]
    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={_LARGEST_INPUT}", "-timeout=10"]
    options.append("-rss_limit_mb=2048")
    where = [f"-artifact_prefix={found[0]}/"] if found else []
    atheris.Setup([sys.argv[0], *options, *where, *folders], harness.fuzz)
    atheris.Fuzz()


main()
