"""Who answers inside a workload's network namespace: a stub resolver, and one who refuses all other calls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable, Mapping

import structlog

from handsel.agent import dns
from handsel.agent.namespace import STUB, Refusals

_log = structlog.get_logger("handsel.agent")
_AT_ONCE = 16  # then the loop's other work has its turn
_ORIGINAL_DESTINATION = 80  # SO_ORIGINAL_DST of linux/netfilter_ipv4.h
_ADDRESS_BYTES = 16


class Stub:
    """Answers questions about names, over UDP. Made where it is to listen; raises `OSError`."""

    def __init__(self, names: Callable[[], Mapping[str, str]]) -> None:
        self._names = names
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(STUB)

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nothing is left, or who asked has gone
            for _ in range(_AT_ONCE):
                query, client = self._socket.recvfrom(dns.LARGEST_QUERY)
                reply = dns.answer(query, self._names())
                if reply is not None:
                    self._socket.sendto(reply, client)


class Refuser:
    """Takes the calls to anybody who is no callee, resets them, and says so. Made where it is to listen."""

    def __init__(self, service: str) -> None:
        self.refusals = Refusals()
        self._service = service
        self._socket = socket.create_server((STUB[0], 0))
        self._socket.setblocking(False)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._accept)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # nothing is left, or it was given up meanwhile
            for _ in range(_AT_ONCE):
                connection, _ = self._socket.accept()
                with connection:
                    self._refuse(connection)

    def _refuse(self, connection: socket.socket) -> None:
        # Without lingering, closing is a reset (socket(7), SO_LINGER).
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        place = connection.getsockopt(socket.SOL_IP, _ORIGINAL_DESTINATION, _ADDRESS_BYTES)
        destination = f"{socket.inet_ntoa(place[4:8])}:{int.from_bytes(place[2:4], 'big')}"
        if self.refusals.note(destination, time.monotonic()):
            _log.warning("a call past the sidecar was refused", service=self._service, destination=destination)
