"""What a generated sidecar pair carries at layer 4: requests a second at saturation and CPU per request, beside a
hand-tuned Envoy pair and a pair of Caddy.

All pairs run at the same time in front of the same program, and are started anew a few times: two instances of one
configuration differ by several per cent. The load is closed: so many clients on kept connections, each asking again when
its answer is there. It shares the machine with what it measures, so that rates say less than the CPU: a proxy that
costs nothing would still end at what the load and the program take.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import load
from harness import CALLEE, Material, cpu_seconds, folder, mesh, tls_seen
from pairs import Side, caddies, caddy_version, envoys, own_material
from report import Report, run

STARTS, ROUNDS_A_START = 4, 6
WARM_UP_SECONDS, SECONDS = 0.3, 0.6
CONNECTIONS = 16
DIRECT, GENERATED, STATIC, CADDY = "direct", "generated", "hand-tuned", "Caddy"


def bench(report: Report, _options: object) -> None:
    report.conditions |= {
        "starts": STARTS, "rounds": STARTS * ROUNDS_A_START, "seconds": SECONDS, "connections": CONNECTIONS, "body_bytes": 64,
        "keys": "ECDSA P-256", "envoy_concurrency": 1, "caddy": caddy_version(), "caddy_gomaxprocs": 1, "caddy_layer": "HTTP/1.1 over TLS 1.3",
    }  # fmt: skip
    for begun in range(STARTS):
        with _sides() as sides:
            for side in sides.values():
                load.closed_loop(side.port, WARM_UP_SECONDS, CONNECTIONS)
            for number in range(begun * ROUNDS_A_START + 1, (begun + 1) * ROUNDS_A_START + 1):
                for name in sides if number % 2 else reversed(sides):
                    _measure(report, number, name, sides[name])
            for name in (GENERATED, STATIC):
                report.values[f"tls {name}, a start"] = tls_seen(sides[name].admins)
    for other in (STATIC, CADDY):
        report.compare("requests_a_second", GENERATED, other)
        report.compare("cpu_us", GENERATED, other)
    report.compare("requests_a_second", GENERATED, DIRECT)


def _measure(report: Report, number: int, name: str, side: Side) -> None:
    before = cpu_seconds(side.processes)
    sample = load.closed_loop(side.port, SECONDS, CONNECTIONS)
    figures = {
        "requests_a_second": sample.achieved,
        "p50_us": sample.quantile(0.5) * 1e6,
        "p99_us": sample.quantile(0.99) * 1e6,
        "requests": len(sample.latencies),
        "generator_share": sample.generator_share,
    }
    if side.processes:
        figures["cpu_us"] = (cpu_seconds(side.processes) - before) * 1e6 / max(len(sample.latencies), 1)
    report.add(number, name, figures, sample.errors)


@contextlib.contextmanager
def _sides() -> Iterator[dict[str, Side]]:
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(mesh("telemetry: {requests: false}\n"))
        material = Material.copy(running, stack.enter_context(folder()))
        program = int(running.workload(CALLEE)["ports"]["application"])
        generated = Side(running.port() or 0, running.envoys(), [running.of(CALLEE).sockets.admin])
        static = stack.enter_context(envoys("l4", material, program))
        caddy = stack.enter_context(caddies(own_material(stack.enter_context(folder())), program))
        yield {DIRECT: Side(program, [], []), GENERATED: generated, STATIC: static, CADDY: caddy}


if __name__ == "__main__":
    claim = "what a generated layer-4 pair carries ÷ a hand-tuned one, goal at least 0.95; ÷ a Caddy pair, at least 2"
    run(Report("throughput", claim), bench, seconds=420)
