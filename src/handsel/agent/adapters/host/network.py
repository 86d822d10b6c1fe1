"""Work that is done in a workload's network namespace instead of the host's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from handsel.agent.adapters.host import launch

_T = TypeVar("_T")


def inside(path: str, action: Callable[[], _T]) -> _T:
    """What `action` gives, done in the network namespace at `path`; where we are when it is empty. Raises `OSError`."""
    if not path:
        return action()

    def enter() -> _T:
        launch.enter_network(path)
        return action()

    # A thread of its own, which ends: no other work is ever done in there by mistake.
    with ThreadPoolExecutor(1) as own:
        return own.submit(enter).result()
