"""What a generated sidecar pair costs beside a hand-tuned one: latency and CPU per request, at layer 7 and layer 4.

Both pairs run at the same time, new in each round, in front of the same program, with the same certificates. Serial: one client on one
connection. Open loop: a fixed modest rate over several connections, timed from the moment a request was due.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import load
from harness import (
    CALLEE,
    CALLER,
    Material,
    Mesh,
    cpu_seconds,
    end,
    folder,
    free_ports,
    mesh,
    pair_files,
    pss_mb,
    tls_seen,
    wait_for,
)  # fmt: skip
from report import Report, run

ROUNDS = 6
WARM_UP_SECONDS, SERIAL_SECONDS, OPEN_SECONDS = 0.3, 0.7, 1.2
RATE, CALLERS = 400.0, 8
DIRECT, GENERATED, STATIC = "direct", "generated", "static"
FIGURES = ("serial_p50_us", "serial_p99_us", "open_p50_us", "open_p99_us")


@dataclass(frozen=True)
class Side:
    """Where a side is called, and the Envoys whose time it takes."""

    port: int
    envoys: list[int]
    admins: list[Path]


def bench(report: Report, _options: object) -> None:
    report.conditions |= {
        "rounds": ROUNDS, "serial_seconds": SERIAL_SECONDS, "open_seconds": OPEN_SECONDS, "offered_rate": RATE,
        "callers": CALLERS, "body_bytes": 64, "keys": "ECDSA P-256", "envoy_concurrency": 1,
        "access_log": "generated: every connection, and at layer 7 every request, to a file; static: refusals only",
    }  # fmt: skip
    for layer in ("l7", "l4"):
        for number in range(1, ROUNDS + 1):
            _round(report, number, layer)
        _compare(report, layer)


def _round(report: Report, number: int, layer: str) -> None:
    """Both pairs from new processes: two instances of one configuration differ by several per cent."""
    with _sides(layer) as sides:
        names = tuple(sides)
        for name in names:
            load.serial(sides[name].port, WARM_UP_SECONDS)
        for name in names if number % 2 else reversed(names):
            _measure(report, number, f"{layer}/{name}", sides[name])
        for name in (GENERATED, STATIC):
            report.values[f"tls {layer}/{name}, a round"] = tls_seen(sides[name].admins)


def _measure(report: Report, number: int, name: str, side: Side) -> None:
    before = cpu_seconds(side.envoys)
    serial = load.serial(side.port, SERIAL_SECONDS)
    paced = load.open_loop(side.port, RATE, OPEN_SECONDS, CALLERS)
    requests = len(serial.latencies) + len(paced.latencies)
    figures = {
        "serial_p50_us": serial.quantile(0.5) * 1e6,
        "serial_p99_us": serial.quantile(0.99) * 1e6,
        "open_p50_us": paced.quantile(0.5) * 1e6,
        "open_p90_us": paced.quantile(0.9) * 1e6,
        "open_p99_us": paced.quantile(0.99) * 1e6,
        "open_rate": paced.achieved,
        "requests": requests,
        "generator_share": paced.generator_share,
    }
    if side.envoys:
        figures["cpu_us"] = (cpu_seconds(side.envoys) - before) * 1e6 / max(requests, 1)
        figures["pss_mb"] = pss_mb(side.envoys)
    report.add(number, name, figures, serial.errors + paced.errors)


def _compare(report: Report, layer: str) -> None:
    generated, static, direct = f"{layer}/{GENERATED}", f"{layer}/{STATIC}", f"{layer}/{DIRECT}"
    for figure in (*FIGURES, "cpu_us", "pss_mb"):
        report.compare(figure, generated, static)
    for side in (generated, static):
        report.compare("serial_p50_us", side, direct)


@contextlib.contextmanager
def _sides(layer: str) -> Iterator[dict[str, Side]]:
    with mesh(f"telemetry: {{requests: {'true' if layer == 'l7' else 'false'}}}\n") as running, folder() as place:
        material = Material.copy(running, place)
        program = int(running.workload(CALLEE)["ports"]["application"])
        with _static(layer, material, program) as static:
            yield {DIRECT: Side(program, [], []), GENERATED: _generated(running), STATIC: static}


def _generated(running: Mesh) -> Side:
    return Side(running.port() or 0, running.envoys(), [running.of(CALLEE).sockets.admin])


@contextlib.contextmanager
def _static(layer: str, material: Material, program: int) -> Iterator[Side]:
    client, server = pair_files(layer)
    near, far = free_ports(2)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        processes.append(material.envoy(material.fill(server, CALLEE, CALLER, MESH_PORT=far, APP_PORT=program)))
        processes.append(material.envoy(material.fill(client, CALLER, CALLEE, MESH_PORT=far, CLIENT_PORT=near)))
        wait_for(lambda: load.once(near), 20, 0.01, "an answer through the static pair")
        yield Side(near, [process.pid for process in processes], [material.admin(server)])
    finally:
        end(processes)


if __name__ == "__main__":
    claim = "a generated sidecar pair ÷ a hand-tuned one: latency and CPU per request; goal 1"
    run(Report("latency", claim), bench, seconds=130)
