"""A network whose every frame is kept, so that each connection can be put together again and looked at from byte one."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator

from tests.e2e.network import _SNIFFER, Network

# IP's own protocols: ICMP and IGMP of both versions, with which machines find each other (0: hop-by-hop options).
_TCP, _NEIGHBOURS = 6, {0, 1, 2, 58}
# Answers every connection, once something was said.
_PLAIN_SERVER = """
import socket, sys
server = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(b"plain answer")
"""
_ASK = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2]))).sendall(sys.argv[3].encode())"

Stream = tuple[bytes, bytes, int, int]


class Frames:
    """Ethernet frames with IPv4 or IPv6 in them. A frame is seen at each port of the switch that it passes."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []

    def add(self, frame: bytes) -> None:
        self._kept.append(frame)

    def bytes(self) -> bytes:
        return b"".join(self._kept)

    def streams(self) -> dict[Stream, bytes]:
        """What each side of each TCP connection said, in order: the pieces are put where their sequence numbers say."""
        begins: dict[Stream, int] = {}
        pieces: dict[Stream, dict[int, bytes]] = {}
        for source, target, protocol, payload in self._packets():
            if protocol != _TCP:
                continue
            from_port, to_port, sequence, _, offset, flags = struct.unpack("!HHIIBB", payload[:14])
            stream, data = (source, target, from_port, to_port), payload[(offset >> 4) * 4 :]
            if flags & 2:  # SYN, which counts as one byte
                begins[stream] = sequence + 1
            elif data:
                at = (sequence - begins.get(stream, sequence)) & 0xFFFFFFFF
                pieces.setdefault(stream, {})[at] = data
        return {stream: _joined(there) for stream, there in pieces.items()}

    def others(self) -> list[tuple[int, bytes]]:
        """Packets that are neither TCP nor the talk of neighbours about addresses: protocol and content."""
        return [
            (protocol, payload) for _, _, protocol, payload in self._packets() if protocol not in {_TCP, *_NEIGHBOURS}
        ]

    @staticmethod
    def is_tls(data: bytes) -> bool:
        """Whether it is TLS records and nothing else, the last of which may be under way (RFC 8446, section 5.1)."""
        at = 0
        while at + 5 <= len(data):
            kind, version, length = data[at], data[at + 1 : at + 3], int.from_bytes(data[at + 3 : at + 5], "big")
            if kind not in {20, 21, 22, 23} or version not in {b"\x03\x01", b"\x03\x03"} or length > (1 << 14) + 256:
                return False
            at += 5 + length
        return bool(data) and data[0] in {20, 21, 22, 23}

    def _packets(self) -> Iterator[tuple[bytes, bytes, int, bytes]]:
        """Source, target, protocol and payload of each IP packet."""
        for frame in list(self._kept):
            kind, packet = frame[12:14], frame[14:]
            if kind == b"\x08\x00":
                end = int.from_bytes(packet[2:4], "big") or len(packet)
                yield packet[12:16], packet[16:20], packet[9], packet[(packet[0] & 15) * 4 : end]
            elif kind == b"\x86\xdd":
                yield packet[8:24], packet[24:40], packet[6], packet[40:]


class Wire(Network):
    """A network with plain servers, and a capture by frames. Its machines share the mounts of this one."""

    PORT = 9000

    def within(self, machine: str) -> list[str]:
        """Not `ip netns exec`, whose mounts are apart: namespaces that are made on a machine are seen on it again."""
        *_, name = super().within(machine)
        return ["nsenter", f"--net=/run/netns/{name}"]

    @contextlib.contextmanager
    def capture_frames(self) -> Iterator[Frames]:
        """Everything that passes through the switch meanwhile."""
        frames = Frames()
        words = [*self.within("switch"), sys.executable, "-c", _SNIFFER]
        with self._running(words) as sniffer:
            assert sniffer.stdout is not None
            lines = sniffer.stdout
            reader = threading.Thread(target=lambda: [frames.add(bytes.fromhex(line)) for line in lines])
            reader.start()
            yield frames
            sniffer.kill()
            reader.join()

    @contextlib.contextmanager
    def plain_server(self, machine: str) -> Iterator[str]:
        """One that speaks no TLS, on a machine. Gives its address."""
        address = self.add(machine)
        with self._running([*self.within(machine), sys.executable, "-c", _PLAIN_SERVER, str(self.PORT)]):
            yield address

    def ask_plain(self, machine: str, other: str, word: str) -> None:
        """Say a word from one machine to another, plain."""
        with self.plain_server(other) as address:
            words = [*self.within(machine), sys.executable, "-c", _ASK, address, str(self.PORT), word]
            subprocess.run(words, check=True, capture_output=True, timeout=10)

    @staticmethod
    @contextlib.contextmanager
    def _running(words: list[str]) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _joined(pieces: dict[int, bytes]) -> bytes:
    whole = bytearray()
    for at in sorted(pieces):
        if at <= len(whole):
            whole[at : at + len(pieces[at])] = pieces[at]
    return bytes(whole)


@contextlib.contextmanager
def wire() -> Iterator[Wire]:
    """A network of its own for one test."""
    made = Wire()
    try:
        yield made
    finally:
        made.close()
