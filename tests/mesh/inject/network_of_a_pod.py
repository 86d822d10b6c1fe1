"""Run in a network namespace of its own: a pod with the redirect rules, a peer beside it, and who answers whom."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
from ipaddress import ip_network

from handsel.mesh.inject.commands import redirect
from handsel.mesh.inject.redirect import Redirect, rules
from handsel.model.pod import Interception

_ORIGINAL_DST, _TRANSPARENT = 80, 19  # linux/netfilter_ipv4.h, linux/in.h
_POD = {15001: "sidecar outbound", 15006: "sidecar inbound", 15021: "health", 7000: "program", 9100: "metrics"}
_PEER = {80: "peer 80", 81: "peer 81"}


def main(mode: str) -> None:
    peer_net = _peer()
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", "pod", "type", "veth", "peer", "name", "peer", "netns", str(peer_net.pid))
    _run("ip", "link", "set", "pod", "up")
    for address in ("10.7.0.1/24", "10.8.0.1/24"):
        _run("ip", "addr", "add", address, "dev", "pod")
    _run("ip", "addr", "add", "fd07::1/64", "dev", "pod", "nodad")
    _say(peer_net, "set up")
    for port, name in _POD.items():
        _answer(port, name, transparent=mode == "TPROXY" and port == 15006)
    made = Redirect(
        Interception(mode), None, (ip_network("10.8.0.0/24"),), (), (81,), None, (9100,)
    )  # fmt: skip
    for _ in range(2):  # an init container may run again
        _run(*redirect(rules(made)))
    for host, port in (("10.7.0.2", 80), ("10.7.0.2", 81), ("10.8.0.2", 80)):
        print(f"out to {host}:{port} -> {_ask(host, port)}")
    print(f"out to 10.7.0.2:80 as 1337 -> {_ask_as_sidecar('10.7.0.2', 80)}")
    print(f"out to 127.0.0.1:7000 -> {_ask('127.0.0.1', 7000)}")
    print(f"out to [fd07::2]:80 -> {_ask('fd07::2', 80)}")
    for port in (7000, 15021, 9100):
        print(f"in to 10.7.0.1:{port} -> {_say(peer_net, f'ask 10.7.0.1 {port}')}")
    print(f"own address 10.7.0.1:7000 as 1337 -> {_ask_as_sidecar('10.7.0.1', 7000)}")
    peer_net.stdin.close()
    peer_net.wait(5)


def peer() -> None:
    """The other side, which does as it is told line by line."""
    print("ready", flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "set":
            _run("ip", "link", "set", "lo", "up")
            _run("ip", "link", "set", "peer", "up")
            for address in ("10.7.0.2/24", "10.8.0.2/24"):
                _run("ip", "addr", "add", address, "dev", "peer")
            _run("ip", "addr", "add", "fd07::2/64", "dev", "peer", "nodad")
            for port, name in _PEER.items():
                _answer(port, name, transparent=False)
            print("done", flush=True)
        else:
            print(_ask(words[1], int(words[2])), flush=True)


def _peer() -> subprocess.Popen[str]:
    command = ["unshare", "--net", sys.executable, __file__, "peer"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def _say(process: subprocess.Popen[str], line: str) -> str:
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def _answer(port: int, name: str, *, transparent: bool) -> None:
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if transparent:
        listener.setsockopt(socket.IPPROTO_IP, _TRANSPARENT, 1)
    listener.bind(("::", port))
    listener.listen()

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall((name + _meant_for(connection, name, transparent=transparent)).encode())

    threading.Thread(target=serve, daemon=True).start()


def _meant_for(connection: socket.socket, name: str, *, transparent: bool) -> str:
    """Where the client wanted to go, as Envoy's listener filter `original_dst` finds it."""
    if not name.startswith("sidecar"):
        return ""
    here = connection.getsockname()
    host, port = here[0].removeprefix("::ffff:"), here[1]
    if not transparent or port == 15006:
        if "." in host:
            port, packed = struct.unpack("!2xH4s8x", connection.getsockopt(socket.IPPROTO_IP, _ORIGINAL_DST, 16))
            host = socket.inet_ntop(socket.AF_INET, packed)
        else:
            port, packed = struct.unpack("!2xH4x16s4x", connection.getsockopt(socket.IPPROTO_IPV6, _ORIGINAL_DST, 28))
            host = socket.inet_ntop(socket.AF_INET6, packed)
    return f", meant for {f'[{host}]' if ':' in host else host}:{port}"


def _ask(host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), timeout=3) as connection:
            return connection.recv(1000).decode()
    except OSError as error:
        return f"{type(error).__name__} {error}"


def _ask_as_sidecar(host: str, port: int) -> str:
    """Ask from a copy of this process, which need not read any file as that user."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(1337)
        os.setuid(1337)
        os.write(writer, _ask(host, port).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(reader, 1000).decode()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=10)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        if sys.argv[1] == "peer":
            peer()
        else:
            main(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)
