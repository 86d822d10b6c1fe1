"""How long `handsel up` takes to its first request over mutual TLS, against Envoys that are handed static files.

Each time runs from the start of the first process to the first 200 through the caller's port. Both sides start the
same program. `handsel up` makes its authority and all keys in that time; the static sides have theirs on disk.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import load
from harness import (
    BENCH,
    CALLEE,
    CALLER,
    Material,
    Mesh,
    backend,
    cpu_seconds,
    end,
    folder,
    free_ports,
    mesh,
    pair_files,
    tls_seen,
    wait_for,
)  # fmt: skip
from report import Report, interleave, run

ROUNDS = 6
_POLL_SECONDS = 0.002
UP, PAIR, SINGLE = "handsel up", "static pair", "one static Envoy"


def bench(report: Report, _options: object) -> None:
    with folder() as place:
        with mesh() as first:
            material = Material.copy(first, place)
        report.conditions |= {
            "rounds": ROUNDS, "layer": 4, "keys": "ECDSA P-256", "leaf_chain": "leaf, issuing CA",
            "durability": "handsel up: SQLite, fsync on each commit; static: nothing written",
        }  # fmt: skip
        sides: dict[str, Callable[[Report], dict[str, float]]] = {
            UP: _up, PAIR: lambda report: _static(report, material, _pair), SINGLE: lambda report: _static(report, material, _single),
        }  # fmt: skip
        for number, side in interleave(tuple(sides), ROUNDS):
            report.add(number, side, sides[side](report))
    for under in (PAIR, SINGLE):
        report.compare("first_200_s", UP, under)
        report.compare("cpu_s", UP, under)


def _up(report: Report) -> dict[str, float]:
    with folder() as place:
        started = time.perf_counter()
        running = Mesh(place)
        try:
            wait_for(running.answers, 60, _POLL_SECONDS, "an answer through the mesh")
            seconds, cpu = time.perf_counter() - started, cpu_seconds(running.pids())
            report.values["tls_of_handsel_up"] = tls_seen([running.of(CALLEE).sockets.admin])
            return {"first_200_s": seconds, "cpu_s": cpu, **_told(running, seconds)}
        finally:
            running.stop()


def _told(running: Mesh, seconds: float) -> dict[str, float]:
    """Where the time went: the steps as `up` tells them, and the rest, most of which is before the first."""
    steps = {f"{name}_s": each for name, each in running.steps().items() if name in ("authority", "agent")}
    return {**steps, "rest_s": seconds - sum(steps.values())}


def _static(
    report: Report, material: Material, start: Callable[[Material, list[int]], list[subprocess.Popen[bytes]]]
) -> dict[str, float]:
    ports = free_ports(3)
    started = time.perf_counter()
    processes = [backend(ports[2], material.folder / "backend.log"), *start(material, ports)]
    try:
        wait_for(lambda: load.once(ports[0]), 20, _POLL_SECONDS, "an answer through the static Envoys")
        seconds, cpu = time.perf_counter() - started, cpu_seconds(process.pid for process in processes)
        report.values["tls_of_static"] = tls_seen([_admin(material, start)])
        return {"first_200_s": seconds, "cpu_s": cpu}
    finally:
        end(processes)


def _pair(material: Material, ports: list[int]) -> list[subprocess.Popen[bytes]]:
    client, server = pair_files("l4")
    return [
        material.envoy(material.fill(server, CALLEE, CALLER, MESH_PORT=ports[1], APP_PORT=ports[2])),
        material.envoy(material.fill(client, CALLER, CALLEE, MESH_PORT=ports[1], CLIENT_PORT=ports[0])),
    ]


def _single(material: Material, ports: list[int]) -> list[subprocess.Popen[bytes]]:
    names = dict(zip(("CLIENT_PORT", "MESH_PORT", "APP_PORT"), ports, strict=True))
    return [material.envoy(material.fill(BENCH / "l4-single.yaml", CALLER, CALLEE, **names))]


def _admin(material: Material, start: object) -> Path:
    return material.admin(BENCH / "l4-single.yaml" if start is _single else pair_files("l4")[1])


if __name__ == "__main__":
    claim = "cold start to the first mutual TLS request ÷ that of Envoys handed static files; goal at most 3"
    run(Report("cold_start", claim), bench, seconds=45)
