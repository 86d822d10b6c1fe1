"""What the service manager is told, by datagrams to a Unix socket (sd_notify(3))."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, MutableMapping
from dataclasses import dataclass

_LOOK_SECONDS = 1.0
_LONGEST_STATUS = 400
_PATIENCE_SECONDS = 0.5


@dataclass(frozen=True)
class ServiceManager:
    """`address` is empty when nobody wants to be told. `watchdog_seconds`: how often a sign of life is expected."""

    address: str = ""
    watchdog_seconds: float = 0.0

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> ServiceManager:
        """Who started us. The variables are taken out: what we start in turn has nothing to tell."""
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        ours = microseconds.isdecimal() and pid in ("", str(os.getpid()))
        return cls(address if address[:1] in ("/", "@") else "", int(microseconds) / 1e6 if ours else 0.0)

    def tell(self, *lines: str) -> None:
        """Send lines such as `READY=1`. Nobody listening is no fault of ours."""
        # A name with @ is one of the abstract namespace, which begins with a zero byte (unix(7)).
        address = self.address.replace("@", "\0", 1) if self.address.startswith("@") else self.address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.settimeout(_PATIENCE_SECONDS)  # a queue that is full is emptied in a moment
            sending.sendto("\n".join(lines).encode(), address)

    @contextlib.asynccontextmanager
    async def following(self, status: Callable[[], str]) -> AsyncIterator[None]:
        """Say that we are ready, then how we are and that we live, at the end that we stop."""
        if not self.address:
            yield
            return
        said = _line(status())
        self.tell("READY=1", said)
        task = asyncio.create_task(self._follow(status, said))
        try:
            yield
        finally:
            task.cancel()
            self.tell("STOPPING=1", "STATUS=stopping")

    async def _follow(self, status: Callable[[], str], said: str) -> None:
        # From the loop that does the work: when it hangs, nothing is told, and we are started anew.
        pause = min(_LOOK_SECONDS, self.watchdog_seconds / 3) if self.watchdog_seconds else _LOOK_SECONDS
        while True:
            now = _line(status())
            lines = (["WATCHDOG=1"] if self.watchdog_seconds else []) + ([now] if now != said else [])
            if lines:
                self.tell(*lines)
            said = now
            await asyncio.sleep(pause)


def _line(status: str) -> str:
    return f"STATUS={' '.join(status.split())[:_LONGEST_STATUS]}"
