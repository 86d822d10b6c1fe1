"""Python's garbage collector, in processes that live long and hold many small objects that stay."""

from __future__ import annotations

import gc

_THRESHOLDS = (50_000, 20, 100)


def calm() -> None:
    """Look for cycles more rarely.

    With ten thousand streams open, looking through all of them again and again took half of what a push to them costs
    (`bench/fan_out.py`); of what is thrown away here hardly anything is in a cycle.
    """
    gc.set_threshold(*_THRESHOLDS)
