"""What a generated sidecar pair costs beside a hand-tuned one: latency and CPU per request, at layer 7 and layer 4.

All pairs run at the same time in front of the same program, with the same certificates, and are started anew a few times.
Serial: one client on one connection. Open loop: a fixed modest rate over several connections, timed from the moment a
request was due. At layer 7 the generated pair logs each request on both sides; what that costs, a third pair tells: the
hand-tuned one with that log.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import load
import yaml
from harness import CALLEE, Material, cpu_seconds, folder, mesh, pss_mb, tls_seen
from pairs import Side, envoys
from report import Report, run

from handsel.mesh.render import log

STARTS, ROUNDS_A_START = 4, 4
WARM_UP_SECONDS, SERIAL_SECONDS, OPEN_SECONDS = 0.3, 0.5, 0.7
RATE, CALLERS = 400.0, 8
DIRECT, GENERATED, STATIC, LOGGING = "direct", "generated", "static", "static with log"
FIGURES = ("serial_p50_us", "serial_p99_us", "open_p50_us", "open_p99_us")


def bench(report: Report, _options: object) -> None:
    report.conditions |= {
        "starts": STARTS, "rounds": STARTS * ROUNDS_A_START, "serial_seconds": SERIAL_SECONDS,
        "open_seconds": OPEN_SECONDS, "offered_rate": RATE, "callers": CALLERS, "body_bytes": 64, "keys": "ECDSA P-256", "envoy_concurrency": 1,
        "access_log": "generated: every connection, and at layer 7 every request, to a file; static: refusals only",
    }  # fmt: skip
    for layer in ("l7", "l4"):
        for begun in range(STARTS):
            _rounds(report, begun * ROUNDS_A_START + 1, layer)
        _compare(report, layer)


def _rounds(report: Report, first: int, layer: str) -> None:
    """From new processes: two instances of one configuration differ by several per cent."""
    with _sides(layer) as sides:
        for side in sides.values():
            load.serial(side.port, WARM_UP_SECONDS)
        for number in range(first, first + ROUNDS_A_START):
            for name in sides if number % 2 else reversed(sides):
                _measure(report, number, f"{layer}/{name}", sides[name])
        for name in (GENERATED, STATIC):
            report.values[f"tls {layer}/{name}, a start"] = tls_seen(sides[name].admins)


def _measure(report: Report, number: int, name: str, side: Side) -> None:
    before = cpu_seconds(side.processes)
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
    if side.processes:
        figures["cpu_us"] = (cpu_seconds(side.processes) - before) * 1e6 / max(requests, 1)
        figures["pss_mb"] = pss_mb(side.processes)
    report.add(number, name, figures, serial.errors + paced.errors)


def _compare(report: Report, layer: str) -> None:
    generated, static, direct = f"{layer}/{GENERATED}", f"{layer}/{STATIC}", f"{layer}/{DIRECT}"
    for figure in (*FIGURES, "cpu_us", "pss_mb"):
        report.compare(figure, generated, static)
    if layer == "l7":
        for figure in (*FIGURES, "cpu_us"):
            report.compare(figure, generated, f"{layer}/{LOGGING}")
    for side in (generated, static):
        report.compare("serial_p50_us", side, direct)


@contextlib.contextmanager
def _sides(layer: str) -> Iterator[dict[str, Side]]:
    with contextlib.ExitStack() as stack:
        seen = "true" if layer == "l7" else "false"
        running = stack.enter_context(mesh(f"telemetry: {{requests: {seen}}}\n"))
        material = Material.copy(running, stack.enter_context(folder()))
        program = int(running.workload(CALLEE)["ports"]["application"])
        generated = Side(running.port() or 0, running.envoys(), [running.of(CALLEE).sockets.admin])
        sides = {DIRECT: Side(program, [], []), GENERATED: generated}
        sides[STATIC] = stack.enter_context(envoys(layer, material, program))
        if layer == "l7":
            other = Material.copy(running, stack.enter_context(folder()))
            sides[LOGGING] = stack.enter_context(envoys(layer, other, program, _with_log))
        yield sides


def _with_log(text: str) -> str:
    """The hand-tuned file with the generated side's log of requests in place of its own."""
    config = yaml.safe_load(text)
    (listener,) = config["static_resources"]["listeners"]
    path = config["admin"]["address"]["pipe"]["path"] + ".log"
    seen = log.inbound_requests(path) if listener["name"] == "mesh" else log.outbound_requests(path)
    listener["filter_chains"][0]["filters"][0]["typed_config"]["access_log"] = seen
    return json.dumps(config)


if __name__ == "__main__":
    claim = "a generated sidecar pair ÷ a hand-tuned one: latency and CPU per request; goal 1"
    run(Report("latency", claim), bench, seconds=420)
