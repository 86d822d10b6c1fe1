"""Whether a server would take a group that this machine's OpenSSL cannot compute in: it is asked, and nothing more."""

from __future__ import annotations

import contextlib
import socket
import time

from handsel.diagnose.handshake import hello

_MOST_BYTES = 1 << 14
_HANDSHAKE, _SERVER_HELLO = 22, 2


def asked(address: tuple[str, int], group: int, first: bytes, seconds: float) -> int | None:
    """The group that a server picks when it is offered `group` first; None when it says nothing about it.

    `first`: the body of the ClientHello that it took before. The connection ends after its answer.
    """
    deadline = time.monotonic() + seconds
    with contextlib.suppress(OSError, ValueError), socket.create_connection(address, timeout=seconds) as connection:
        message = hello.asking_for(group, first)
        connection.sendall(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message)
        came = b""
        while (size := _size(came)) is None or len(came) < 5 + size:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            part = connection.recv(4096)
            if not part or len(came) > _MOST_BYTES:
                return None
            came += part
        if came[0] != _HANDSHAKE or came[5:6] != bytes([_SERVER_HELLO]):
            return None
        answer = hello.server_hello(came[9 : 9 + int.from_bytes(came[6:9], "big")])
        return answer.group if answer.retry else None
    return None


def _size(came: bytes) -> int | None:
    """Of the first record; None when its header is not there yet."""
    return int.from_bytes(came[3:5], "big") if len(came) >= 5 else None
