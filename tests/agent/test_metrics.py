"""The agent's metrics: asking proxies is bounded in time and size, and what comes out is Prometheus' format."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from handsel.agent.adapters.statistics import Statistics
from handsel.agent.layout import Layout
from handsel.envoy.stats import Counts, ProxyCounts
from handsel.telemetry.adapters.agent_scrape import agent_metrics
from handsel.telemetry.model import AgentMeasured, SecretMeasured, WorkloadMeasured
from tests.e2e.mesh_process import short_folder
from tests.support import NOW

LINE = b"cluster.emoji.upstream_cx_total: 7\n"


@contextlib.asynccontextmanager
async def _proxies(folder: Path) -> AsyncIterator[tuple[Layout, list[str]]]:
    """Admin sockets: one that answers, one that hangs, one that never ends, one that says no, one without anybody."""
    layout = Layout(folder, folder)
    servers, asked, handling = [], [], []

    def serve(name: str, answer: bytes, repeat: int = 1, pause: float = 0) -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handling.append(asyncio.current_task())
            try:
                await reader.readuntil(b"\r\n\r\n")
                asked.append(name)
                await asyncio.sleep(pause)
                for _ in range(repeat):
                    writer.write(answer)
                    await writer.drain()
            except (ConnectionError, asyncio.CancelledError):
                writer.transport.abort()
            else:
                writer.close()

        servers.append((handle, layout.of(name).sockets.admin))

    serve("well", b"HTTP/1.1 200 OK\r\n\r\n" + LINE)
    serve("hangs", b"", pause=30)
    serve("endless", b"HTTP/1.1 200 OK\r\n\r\n" + LINE * 50_000, repeat=1000)
    serve("refuses", b"HTTP/1.1 404 Not Found\r\n\r\n")
    serve("broken", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    async with contextlib.AsyncExitStack() as stack:
        for handle, path in servers:
            server = await asyncio.start_unix_server(handle, str(path))
            stack.callback(server.close)
        yield layout, asked
        for task in handling:
            task.cancel()
        await asyncio.gather(*handling, return_exceptions=True)
        await asyncio.sleep(0.01)


async def test_a_proxy_that_is_not_well_costs_nothing_but_its_own_lines() -> None:
    with short_folder() as folder:
        async with _proxies(folder) as (layout, _):
            names = ["hangs", "endless", "refuses", "broken", "nobody", "well"]
            before = time.monotonic()
            counted = await Statistics(layout, lambda: names).gather()
            assert time.monotonic() - before < 8
            assert set(counted) == {"well"}
            assert counted["well"].callees["emoji"].connections == 7


async def test_two_who_ask_at_once_are_told_the_same_and_the_proxy_is_asked_once() -> None:
    with short_folder() as folder:
        async with _proxies(folder) as (layout, asked):
            statistics = Statistics(layout, lambda: ["well"])
            one, other = await asyncio.gather(statistics.gather(), statistics.gather())
            assert one is other
            assert asked == ["well"]
            await asyncio.sleep(0.6)
            await statistics.gather()
            assert asked == ["well", "well"]


COUNTS = ProxyCounts(
    inbound=Counts(connections=4, responses={"2xx": 3}, tls_versions={"TLSv1.3": 4}, refused={"policy": 2}),
    callees={
        "emoji": Counts(
            connections=8, active=1, failures=2, sent=10, received=20, responses={"2xx": 38, "5xx": 2},
            tls_versions={"TLSv1.3": 2}, tls_groups={"X25519MLKEM768": 2}, refused={"identity": 3}, grpc={"INTERNAL": 7},
            times={1.0: 20, 5.0: 22, 1.8e6: 23},
        ),
        "old": Counts(connections=5, failures=1),
    },
)  # fmt: skip
MEASURED = AgentMeasured(
    server_reached=True,
    workloads=(
        WorkloadMeasured("web", True, 1, 0, NOW, COUNTS),
        WorkloadMeasured("emoji", False, 0, 2, None, None),
    ),
    secrets=(SecretMeasured("web", 'de"fault\n', 1, 1, NOW, None),),
)


def _samples(measured: AgentMeasured) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    registry = CollectorRegistry()

    class Collected:
        def collect(self):
            return agent_metrics(measured, "1.2")

    registry.register(Collected())
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def _of(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def test_what_was_counted_is_there_under_our_names() -> None:
    samples = _samples(MEASURED)
    edge = {"service": "web", "callee": "emoji"}
    assert samples[_of("handsel_proxy_requests_total", **edge, response_class="5xx")] == 2
    assert samples[_of("handsel_proxy_grpc_requests_total", **edge, grpc_status="INTERNAL")] == 7
    assert samples[_of("handsel_proxy_bytes_total", **edge, direction="received")] == 20
    assert samples[_of("handsel_proxy_request_duration_seconds_bucket", **edge, le="0.005")] == 22
    assert samples[_of("handsel_proxy_request_duration_seconds_bucket", **edge, le="+Inf")] == 23
    assert samples[_of("handsel_edge_connections_total", caller="web", callee="emoji", tls="TLSv1.3")] == 2
    assert samples[_of("handsel_edge_connections_total", caller="web", callee="old", tls="none")] == 4
    assert samples[_of("handsel_edge_key_exchanges_total", caller="web", callee="emoji", group="X25519MLKEM768")] == 2
    assert samples[_of("handsel_proxy_refused_total", service="web", reason="policy")] == 2
    assert samples[_of("handsel_proxy_restarts_total", service="web")] == 1
    assert samples[_of("handsel_workload_in_sync", service="emoji")] == 0
    assert samples[_of("handsel_proxy_up", service="emoji")] == 0
    assert samples[_of("handsel_secret_last_ack_timestamp_seconds", service="web", secret='de"fault\n')] > 0
    assert not [key for key in samples if key[0] == "handsel_secret_last_nack_timestamp_seconds"]


def test_buckets_of_a_histogram_only_grow() -> None:
    samples = _samples(MEASURED)
    buckets = [
        (float(dict(labels)["le"]), value) for (name, labels), value in samples.items() if name.endswith("_bucket")
    ]
    values = [value for _, value in sorted(buckets)]
    assert values == sorted(values)
    assert timedelta(seconds=min(buckets)[0]) == timedelta(milliseconds=1)
