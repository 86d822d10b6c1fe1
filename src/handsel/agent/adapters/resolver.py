"""Who answers inside a workload's network namespace, or its pod: a stub resolver, and one who refuses other calls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from handsel.agent import dns
from handsel.agent.namespace import STUB, Refusals

_log = structlog.get_logger("handsel.agent")
_AT_ONCE = 16  # then the loop's other work has its turn
_ORIGINAL_DESTINATION = 80  # SO_ORIGINAL_DST of linux/netfilter_ipv4.h, IP6T_SO_ORIGINAL_DST of netfilter_ipv6
_ADDRESS_BYTES, _ADDRESS6_BYTES = 16, 28


Reply = Callable[[bytes], None]


class Stub:
    """Answers questions about names, over UDP. Made where it is to listen; raises `OSError`.

    `others`: whom to ask for the names that it does not know, and cannot itself.
    """

    def __init__(
        self,
        names: Callable[[], Mapping[str, str]],
        place: tuple[str, int] = STUB,
        others: Callable[[bytes, Reply], bool] | None = None,
    ) -> None:
        self._names = names
        self._others = others
        self.socket = socket.socket(_family(place[0]), socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(place)

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nothing is left, or who asked has gone
            for _ in range(_AT_ONCE):
                query, client = self.socket.recvfrom(dns.LARGEST_QUERY)
                reply = dns.answer(query, self._names())
                if reply is not None and not (
                    self._others and dns.is_unknown(reply) and self._others(query, partial(self._reply, client))
                ):
                    self.socket.sendto(reply, client)

    def _reply(self, client: Any, reply: bytes) -> None:
        with contextlib.suppress(OSError):
            self.socket.sendto(reply, client)


class Refuser:
    """Takes the calls to anybody who is no callee, resets them, and says so. Made where it is to listen."""

    def __init__(self, service: str, place: tuple[str, int] = (STUB[0], 0)) -> None:
        self.refusals = Refusals()
        self._service = service
        self.socket = socket.create_server(place, family=_family(place[0]))
        self.socket.setblocking(False)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._accept)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # nothing is left, or it was given up meanwhile
            for _ in range(_AT_ONCE):
                connection, _ = self.socket.accept()
                with connection:
                    self._refuse(connection)

    def _refuse(self, connection: socket.socket) -> None:
        # Without lingering, closing is a reset (socket(7), SO_LINGER).
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        destination = _meant_for(connection)
        if self.refusals.note(destination, time.monotonic()):
            _log.warning("a call past the sidecar was refused", service=self._service, destination=destination)


def _meant_for(connection: socket.socket) -> str:
    """Where the client of a redirected connection wanted to go (sockaddr_in and sockaddr_in6 of ip(7) and ipv6(7))."""
    if connection.family == socket.AF_INET6:
        place = connection.getsockopt(socket.IPPROTO_IPV6, _ORIGINAL_DESTINATION, _ADDRESS6_BYTES)
        host = f"[{socket.inet_ntop(socket.AF_INET6, place[8:24])}]"
    else:
        place = connection.getsockopt(socket.SOL_IP, _ORIGINAL_DESTINATION, _ADDRESS_BYTES)
        host = socket.inet_ntoa(place[4:8])
    return f"{host}:{int.from_bytes(place[2:4], 'big')}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
