"""Names in a pod that are none of a callee: the pod's own servers are asked, as without a sidecar.

A pod's calls past its sidecar are refused by address, and some of them are left out of that on purpose; both may look
up the name. UDP only: the sidecar's user is not led back here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket

from handsel.agent.adapters.resolver import Reply
from handsel.agent.pod import Resolving

_MOST_AT_ONCE = 256
_SECONDS = 4.0  # a resolver asks again after 5
_LARGEST_ANSWER = 65535
_PORT = 53


class Asking:
    """Asks on. A question that gets no answer gets none here either: who asked will ask again, then the next server."""

    def __init__(self, resolving: Resolving) -> None:
        self._servers = itertools.cycle(resolving.servers) if resolving.servers else None
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, query: bytes, reply: Reply) -> bool:
        """Whether it is asked; `reply` is called with the answer."""
        if self._servers is None or len(self._tasks) >= _MOST_AT_ONCE:
            return False
        task = asyncio.get_running_loop().create_task(self._ask(next(self._servers), query, reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    @staticmethod
    async def _ask(server: str, query: bytes, reply: Reply) -> None:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with contextlib.suppress(OSError, TimeoutError), socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            asking.connect((server, _PORT))  # what others send to this port is not read
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(_SECONDS):
                await loop.sock_sendall(asking, query)
                while (answer := await loop.sock_recv(asking, _LARGEST_ANSWER))[:2] != query[:2]:
                    pass
            reply(answer)
