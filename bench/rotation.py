"""Whether requests fail while certificates rotate: every two seconds, under constant load, at both layers.

Both layers run at the same time, each with one load over kept connections and one with a new connection a request.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import threading
import time
from typing import Any

import load
from harness import CALLEE, CALLER, Mesh, mesh
from report import Report, run

LEAF_LIFETIME, RENEW_AFTER = 10, 2
KEPT_RATE, FRESH_RATE, CALLERS = 100.0, 40.0, 8
LAYERS = ("l4", "l7")


def bench(report: Report, options: argparse.Namespace) -> None:
    report.conditions |= {
        "seconds": options.seconds, "leaf_lifetime_s": LEAF_LIFETIME, "renew_after_s": RENEW_AFTER, "callers": CALLERS,
        "kept_rate": KEPT_RATE, "fresh_rate": FRESH_RATE, "keys": "ECDSA P-256", "rounds": 1,
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        meshes = {layer: stack.enter_context(mesh(_more(layer))) for layer in LAYERS}
        held: dict[str, set[str]] = {}
        for name, sample in _load(meshes, options.seconds, held).items():
            report.add(1, name, _figures(sample), sample.errors)
        time.sleep(0.5)  # the logs are written every 200 ms
        for layer, running in meshes.items():
            report.values |= {f"{layer} {name}": value for name, value in _seen(running).items()}
        report.values |= {f"{name} rotations": len(serials) - 1 for name, serials in held.items()}
    report.values["failed requests"] = len(report.errors)


def _more(layer: str) -> str:
    authority = f"authority: {{leaf_lifetime: {LEAF_LIFETIME}s, renew_after: {RENEW_AFTER}s}}\n"
    return authority + f"telemetry: {{requests: {'true' if layer == 'l7' else 'false'}}}\n"


def _load(meshes: dict[str, Mesh], seconds: float, held: dict[str, set[str]]) -> dict[str, load.Sample]:
    """All loads at once. Meanwhile `held` gathers the serials of the certificates that the agents hold."""
    samples: dict[str, load.Sample] = {}
    threads = [
        # Daemons, so that Ctrl-C does not wait for them.
        threading.Thread(target=_keep, args=(samples, f"{layer}-{kind}", running, rate, seconds, fresh), daemon=True)
        for layer, running in meshes.items()
        for kind, rate, fresh in (("kept", KEPT_RATE, False), ("fresh", FRESH_RATE, True))
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for layer, running in meshes.items():
            for service in (CALLER, CALLEE):
                serial = running.workload(service)["certificate"]["serial"]
                held.setdefault(f"{layer} {service}", set()).add(serial)
        time.sleep(0.5)
    return dict(sorted(samples.items()))


def _keep(samples: dict[str, load.Sample], name: str, running: Mesh, rate: float, seconds: float, fresh: bool) -> None:
    samples[name] = load.open_loop(running.port() or 0, rate, seconds, CALLERS, fresh=fresh)


def _figures(sample: load.Sample) -> dict[str, float]:
    return {
        "requests": len(sample.latencies),
        "failed": len(sample.errors),
        "offered_rate": sample.offered or 0,
        "achieved_rate": sample.achieved,
        "p50_us": sample.quantile(0.5) * 1e6,
        "p99_us": sample.quantile(0.99) * 1e6,
        "max_us": sample.quantile(1) * 1e6,
        "generator_share": sample.generator_share,
    }


def _seen(running: Mesh) -> dict[str, Any]:
    """The caller's certificates, and how they were shown, as the callee's access log has them."""
    log = running.of(CALLEE).access_log.read_text().splitlines()
    lines = [line for line in map(json.loads, log) if line.get("peer_serial")]
    return {
        "caller's serials in the inbound log": len({line["peer_serial"] for line in lines}),
        "tls": sorted({f"{line['tls_version']} {line['tls_group']}" for line in lines}),
        "Envoy restarts": sum(running.workload(service)["envoy_restarts"] for service in (CALLER, CALLEE)),
    }


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=20.0, help="for how long the load runs [20]")


if __name__ == "__main__":
    claim = "requests that fail while leaves rotate every 2 s under constant load; goal 0"
    run(Report("rotation", claim), bench, seconds=25, options=_options)
