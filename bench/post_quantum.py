"""What the hybrid post-quantum group costs: one hand-tuned layer-4 pair with X25519MLKEM768 first, one with X25519 only.

Only their curve lists differ. Steady: kept connections, no handshake in the time that counts. Fresh: a connection, and
so a full handshake, for each request. The Envoys' own counters prove which group was used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

import load
from harness import backend, cpu_seconds, end, folder, free_ports, tls_seen, wait_for
from pairs import Side, envoys, own_material
from report import Report, interleave, run

ROUNDS = 40
WARM_UP_SECONDS, STEADY_SECONDS, FRESH_SECONDS = 0.05, 0.5, 0.3
CONNECTIONS, FRESH_CALLERS = 16, 4
HYBRID, CLASSICAL = "X25519MLKEM768", "X25519"
_BOTH = f"ecdh_curves: [{HYBRID}, {CLASSICAL}]"


def bench(report: Report, _options: object) -> None:
    report.conditions |= {
        "rounds": ROUNDS, "steady_seconds": STEADY_SECONDS, "fresh_seconds": FRESH_SECONDS, "layer": "l4",
        "connections": CONNECTIONS, "fresh_callers": FRESH_CALLERS, "body_bytes": 64, "keys": "ECDSA P-256",
        "resumption": "none", "envoy_concurrency": 1,
    }  # fmt: skip
    with _sides() as sides:
        for number, name in interleave((HYBRID, CLASSICAL), ROUNDS):
            _measure(report, number, name, sides[name])
        for name, side in sides.items():
            report.values[f"tls {name}"] = seen = tls_seen(side.admins)
            if seen[f"curves.{name}"] != seen["handshake"]:
                report.errors.append(f"{name}: other groups were used: {seen}")
    for figure in ("steady_a_second", "steady_cpu_us", "handshakes_a_second", "handshake_cpu_us"):
        report.compare(figure, HYBRID, CLASSICAL)


def _measure(report: Report, number: int, name: str, side: Side) -> None:
    load.closed_loop(side.port, WARM_UP_SECONDS, CONNECTIONS)
    handshakes = _handshakes(side)
    before = cpu_seconds(side.processes)
    steady = load.closed_loop(side.port, STEADY_SECONDS, CONNECTIONS)
    between = cpu_seconds(side.processes)
    errors = steady.errors
    if _handshakes(side) - handshakes > CONNECTIONS:
        errors.append("connections were not kept")
    fresh = load.closed_loop(side.port, FRESH_SECONDS, FRESH_CALLERS, fresh=True)
    after = cpu_seconds(side.processes)
    figures = {
        "steady_a_second": steady.achieved,
        "steady_cpu_us": (between - before) * 1e6 / max(len(steady.latencies), 1),
        "handshakes_a_second": fresh.achieved,
        "handshake_cpu_us": (after - between) * 1e6 / max(len(fresh.latencies), 1),
        "steady_p99_us": steady.quantile(0.99) * 1e6,
        "generator_share": steady.generator_share,
    }
    report.add(number, name, figures, [*errors, *fresh.errors])


def _handshakes(side: Side) -> int:
    return tls_seen(side.admins)["handshake"]


@contextlib.contextmanager
def _sides() -> Iterator[dict[str, Side]]:
    """Both pairs at the same time, in front of the same program."""
    with contextlib.ExitStack() as stack:
        (program,) = free_ports(1)
        running = backend(program, stack.enter_context(folder()) / "backend.log")
        stack.callback(end, [running])
        wait_for(lambda: load.once(program), 10, 0.01, "an answer of the program")
        sides = {}
        for name, curves in ((HYBRID, _BOTH), (CLASSICAL, f"ecdh_curves: [{CLASSICAL}]")):
            material = own_material(stack.enter_context(folder()))
            sides[name] = stack.enter_context(envoys("l4", material, program, partial(_with, curves)))
        yield sides


def _with(curves: str, text: str) -> str:
    assert _BOTH in text
    return text.replace(_BOTH, curves)


if __name__ == "__main__":
    claim = f"{HYBRID} ÷ {CLASSICAL}: steady throughput, goal at least 0.97; handshakes a second beside it"
    run(Report("post_quantum", claim), bench, seconds=180)
