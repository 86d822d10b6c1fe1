"""What a certificate by ACME costs the server: the whole flow with http-01 and durable writes, at four accounts.

The server's CPU time per certificate stands beside that of raw P-256 signatures in the same round, and beside Pebble,
which validates too here but keeps all in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from acme_client import Client, Responder, requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from harness import HANDSEL, cpu_seconds, end, folder, free_ports, start, wait_for
from report import Report, interleave, run

ROUNDS, ACCOUNTS, CERTIFICATES, SIGNATURES = 5, 4, 80, 1000
OURS, PEBBLE, RAW = "handsel", "Pebble", "raw P-256 signatures"


def bench(report: Report, _options: object) -> None:
    sides = [OURS, *([PEBBLE] if shutil.which("pebble") else [])]
    report.conditions |= {
        "rounds": ROUNDS, "accounts": ACCOUNTS, "certificates": CERTIFICATES, "keys": "ECDSA P-256", "challenge": "http-01",
        "durability": "handsel: SQLite, fsync on each commit; Pebble: none",
    }  # fmt: skip
    (answering,) = free_ports(1)
    with contextlib.ExitStack() as stack:
        started = {side: stack.enter_context(_SERVERS[side](answering)) for side in sides}
        for number, side in interleave((*sides, RAW), ROUNDS):
            figures = raw_signatures() if side == RAW else asyncio.run(_load(*started[side], answering))
            report.add(number, side, figures)
    report.compare("cpu_us", OURS, RAW)
    if PEBBLE in sides:
        report.compare("rate", OURS, PEBBLE)
        report.compare("cpu_us", OURS, PEBBLE)


async def _load(pid: int, directory: str, context: ssl.SSLContext, answering: int) -> dict[str, float]:
    """So many certificates by so many accounts at once."""
    responder = Responder()
    server = await responder.serve(answering)
    clients = [Client(directory, context, responder) for _ in range(ACCOUNTS)]
    for client in clients:
        await client.register()
    waiting = requests(CERTIFICATES)
    latencies: list[float] = []

    async def work(client: Client) -> None:
        while waiting:
            latencies.append(await client.issue(waiting.pop()))

    cpu, began = cpu_seconds([pid]), time.perf_counter()
    await asyncio.gather(*(work(client) for client in clients))
    spent, used = time.perf_counter() - began, cpu_seconds([pid]) - cpu
    server.close()
    return {
        "cpu_us": used / CERTIFICATES * 1e6,
        "rate": CERTIFICATES / spent,
        "p50_ms": statistics.median(latencies) * 1e3,
    }


def raw_signatures() -> dict[str, float]:
    key = ec.generate_private_key(ec.SECP256R1())
    began = time.process_time()
    for number in range(SIGNATURES):
        key.sign(number.to_bytes(32, "big"), ec.ECDSA(hashes.SHA256()))
    return {"cpu_us": (time.process_time() - began) / SIGNATURES * 1e6}


@contextlib.contextmanager
def _handsel(answering: int) -> Iterator[tuple[int, str, ssl.SSLContext]]:
    with folder() as place:
        validation = f"validation: {{http_port: {answering}}}"
        (place / "handsel.yaml").write_text(f"authority:\n  acme:\n    {validation}\n")
        command = [HANDSEL, "server", "--state", "s", "--listen", "127.0.0.1:0", "--metrics-port", "0", "--status-port", "0",
                   "--status-port", "0", "-f", "handsel.yaml"]  # fmt: skip
        process = start(command, place / "server.log")
        try:
            url = wait_for(lambda: said(place / "server.log"), 20, 0.05, "the server")
            roots = subprocess.run(
                [HANDSEL, "ca", "bundle", "--state", "s"], cwd=place, capture_output=True, check=True
            )
            yield process.pid, f"{url}/acme/directory", _context(roots.stdout.decode())
        finally:
            end([process])


@contextlib.contextmanager
def _pebble(answering: int) -> Iterator[tuple[int, str, ssl.SSLContext]]:
    with folder() as place:
        listening, managing, tls = free_ports(3)
        _self_signed(place)
        content = {
            "listenAddress": f"127.0.0.1:{listening}", "managementListenAddress": f"127.0.0.1:{managing}",
            "certificate": str(place / "own.pem"), "privateKey": str(place / "own.key"), "httpPort": answering,
            "tlsPort": tls, "ocspResponderURL": "", "externalAccountBindingRequired": False,
        }  # fmt: skip
        (place / "pebble.json").write_text(json.dumps({"pebble": content}))
        process = start(
            ["pebble", "-config", "pebble.json"], place / "pebble.log",
            PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0", PEBBLE_AUTHZREUSE="0",
        )  # fmt: skip
        try:
            wait_for(lambda: "Listening on" in (place / "pebble.log").read_text(), 20, 0.05, "Pebble")
            yield process.pid, f"https://localhost:{listening}/dir", _context((place / "own.pem").read_text())
        finally:
            end([process])


_SERVERS = {OURS: _handsel, PEBBLE: _pebble}


def said(log: Path) -> str:
    lines = [line for line in log.read_text().splitlines() if line.startswith("server https://")]
    return lines[-1].split()[1].rstrip(",") if lines else ""


def _self_signed(place: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
               "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "own.key", "-out", "own.pem"]  # fmt: skip
    subprocess.run(command, cwd=place, capture_output=True, check=True)


def _context(roots: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=roots)
    return context


if __name__ == "__main__":
    claim = "an ACME certificate costs at most 60 raw P-256 signatures of CPU, and the rate is near Pebble's"
    run(Report("acme", claim), bench, seconds=120)
