"""Machines as network namespaces of their own, joined by a switch; and what passes through the switch, seen."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from handsel.agent.adapters.host import rights

needs_network = pytest.mark.skipif(
    shutil.which("ip") is None or not rights.may_set_names(), reason="needs root and iproute2"
)

# Prints every packet on any interface, as hex, until it is ended (packet(7)).
_SNIFFER = """
import socket
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
print("ready", flush=True)
while True:
    print(raw.recv(65536).hex(), flush=True)
"""


class Network:
    """A switch and the machines at it. Nothing of it is seen outside."""

    def __init__(self) -> None:
        self._name = f"hs{secrets.token_hex(3)}"
        self._machines: dict[str, str] = {}
        self._switch = self._namespace("switch")
        _ip("-n", self._switch, "link", "add", "name", "switch", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "dev", "switch", "up")

    def add(self, machine: str) -> str:
        """The address of a machine, which is made if it is new."""
        if machine in self._machines:
            return self._machines[machine]
        number = len(self._machines) + 1
        space, port = self._namespace(machine), f"p{number}"
        _ip("link", "add", "name", "eth0", "netns", space, "type", "veth", "peer", "name", port, "netns", self._switch)
        _ip("-n", self._switch, "link", "set", "dev", port, "master", "switch", "up")
        self._machines[machine] = f"10.77.0.{number}"
        _ip("-n", space, "address", "add", f"{self._machines[machine]}/24", "dev", "eth0")
        for interface in ("lo", "eth0"):
            _ip("-n", space, "link", "set", "dev", interface, "up")
        return self._machines[machine]

    def within(self, machine: str) -> list[str]:
        """The command that runs another one on a machine."""
        if machine != "switch":
            self.add(machine)
        return ["ip", "netns", "exec", f"{self._name}-{machine}"]

    @contextlib.contextmanager
    def capture(self) -> Iterator[bytearray]:
        """Everything that passes through the switch meanwhile."""
        seen = bytearray()
        sniffer = subprocess.Popen(
            [*self.within("switch"), sys.executable, "-c", _SNIFFER], stdout=subprocess.PIPE, text=True
        )
        assert sniffer.stdout is not None
        assert sniffer.stdout.readline() == "ready\n"
        lines = sniffer.stdout
        reader = threading.Thread(target=lambda: [seen.extend(bytes.fromhex(line)) for line in lines])
        reader.start()
        try:
            yield seen
        finally:
            sniffer.kill()
            sniffer.wait()
            reader.join()
            lines.close()

    def close(self) -> None:
        for machine in ("switch", *self._machines):
            subprocess.run(["ip", "netns", "delete", f"{self._name}-{machine}"], check=False, capture_output=True)

    def _namespace(self, machine: str) -> str:
        name = f"{self._name}-{machine}"
        _ip("netns", "add", name)
        return name


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A network of its own for one test."""
    made = Network()
    try:
        yield made
    finally:
        made.close()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
