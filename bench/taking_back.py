"""How soon a revoked certificate opens nothing more, and how soon what it had open is closed.

A stranger has the key and certificate of a service. From the moment at which `cert revoke` has its answer: the time to
the first refused handshake, beside that of a handshake that is let in; and the time to the end of its open connection,
beside the time that is set for draining. The service itself has another certificate before the next round.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import time
from pathlib import Path

from harness import CALLEE, CALLER, Mesh, folder, mesh, wait_for
from report import Report, run

from handsel.cli.local import call_server

ROUNDS, DRAIN_SECONDS = 8, 5.0
REVOKED, REFERENCE = "revoked", "let in"


def bench(report: Report, _options: object) -> None:
    report.conditions |= {"rounds": ROUNDS, "drain_s": DRAIN_SECONDS, "layer": 4}
    with mesh() as running, folder() as place:
        port = int(running.workload(CALLEE)["ports"]["mesh"])
        for number in range(ROUNDS + 1):
            stranger = _Stranger(running, place)
            report.add(number, REFERENCE, {"handshake_ms": _handshake_ms(stranger, port), "closed_s": DRAIN_SECONDS})
            report.add(number, REVOKED, _revoke(running, stranger, port))
            wait_for(lambda old=stranger.serial: _serial(running) not in ("", old), 20, 0.05, "a new certificate")
            wait_for(running.answers, 20, 0.05, "an answer through the mesh")
            time.sleep(0.5)
    report.compare("handshake_ms", REVOKED, REFERENCE)
    report.compare("closed_s", REVOKED, REFERENCE)


def _revoke(running: Mesh, stranger: _Stranger, port: int) -> dict[str, float]:
    with stranger.connection(port) as opened:
        wish = {"serial": stranger.serial, "reason": "key-compromise", "dry_run": False}
        call_server(running.state, "POST", "/v1/certificates/revoke", wish)
        began = time.perf_counter()
        wait_for(lambda: not stranger.is_let_in(port), 10, 0.0, "a refusal")
        refused = time.perf_counter() - began
        opened.settimeout(DRAIN_SECONDS * 3)
        with contextlib.suppress(ConnectionError):
            while opened.recv(4096):
                pass
        return {"handshake_ms": refused * 1e3, "closed_s": time.perf_counter() - began}


class _Stranger:
    """Whoever has copied the caller's key and certificate."""

    def __init__(self, running: Mesh, place: Path) -> None:
        self.serial = _serial(running)
        for name in (running.of(CALLER).key, running.of(CALLER).chain):
            shutil.copy(name, place / name.name)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False  # the peer has a SPIFFE ID
        self._context.load_verify_locations(running.state / "agent" / "roots.crt")
        self._context.load_cert_chain(place / running.of(CALLER).chain.name, place / running.of(CALLER).key.name)

    @contextlib.contextmanager
    def connection(self, port: int):
        """A connection over which the callee has answered once."""
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            self._context.wrap_socket(plain) as connection,
        ):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
            if not connection.recv(4096):
                raise ConnectionError
            yield connection

    def is_let_in(self, port: int) -> bool:
        try:
            with self.connection(port):
                return True
        except OSError:
            return False


def _handshake_ms(stranger: _Stranger, port: int) -> float:
    began = time.perf_counter()
    with stranger.connection(port):
        return (time.perf_counter() - began) * 1e3


def _serial(running: Mesh) -> str:
    certificate = running.workload(CALLER)["certificate"]
    return str(certificate["serial"]) if certificate else ""


if __name__ == "__main__":
    run(
        Report("taking_back", "what is revoked opens nothing within a second, and is closed in the time to drain"),
        bench,
        seconds=400,
    )
