"""Who wants to know that something changed: callbacks by topic, called on the loop that asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

OnChange = Callable[[], None]


@dataclass(frozen=True)
class _Listener:
    loop: asyncio.AbstractEventLoop
    act: OnChange
    elsewhere: bool


class Changes:
    """What was committed, by topic. A topic is said with the appliers: the type of a write belongs to it.

    A callback is told that there is something new, not what: it reads again. It may be told once for several commits,
    and once more than needed; never less.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, list[_Listener]] = {}

    def on(self, topic: str, act: OnChange, *, elsewhere: bool = False) -> None:
        """Call `act` on this loop after each commit about `topic`; with `elsewhere` only after other servers' ones."""
        listener = _Listener(asyncio.get_running_loop(), act, elsewhere)
        self._listeners.setdefault(topic, []).append(listener)

    def tell(self, topics: Iterable[str], *, elsewhere: bool) -> None:
        """Something about these topics was committed, by another server or by this one. From any thread."""
        for topic in topics:
            for listener in self._listeners.get(topic, ()):
                if elsewhere or not listener.elsewhere:
                    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                        listener.loop.call_soon_threadsafe(listener.act)

    def tell_all(self) -> None:
        """Something may have been missed: everybody reads again."""
        self.tell(tuple(self._listeners), elsewhere=True)
