"""The scrape of an agent: what it holds, and what its proxies counted, under our names and with our labels."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from handsel.door.asgi import Handler
from handsel.envoy.stats import Counts
from handsel.telemetry.adapters.prometheus import build_info, scrape
from handsel.telemetry.model import AgentMeasured, SecretMeasured, WorkloadMeasured

_BUCKETS_MS = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
Sides = list[tuple[str, str, Counts]]
"""Service, callee, and what the service's proxy counted of it."""


def agent_scrape(measure: Callable[[], Awaitable[AgentMeasured]], version: str) -> Handler:
    """The handler of the agent's `/metrics`."""

    async def collect() -> Iterable[Metric]:
        return agent_metrics(await measure(), version)

    return scrape(collect)


def agent_metrics(measured: AgentMeasured, version: str) -> Iterator[Metric]:
    """One measurement, as metrics."""
    yield build_info(version)
    yield GaugeMetricFamily(
        "handsel_agent_server_reached", "Whether the last call to the server was answered.",
        value=measured.server_reached,
    )  # fmt: skip
    yield from _of_workloads(measured.workloads)
    yield from _of_secrets(measured.secrets)
    counted = [(each.service, each.counts) for each in measured.workloads if each.counts is not None]
    sides = [(name, callee, side) for name, counts in counted for callee, side in sorted(counts.callees.items())]
    yield from _of_callees(sides)
    yield from _of_tls(sides)
    yield from _of_inbound({name: counts.inbound for name, counts in counted})


def _of_workloads(workloads: Iterable[WorkloadMeasured]) -> Iterator[Metric]:
    labels = ["service"]
    sync = GaugeMetricFamily(
        "handsel_workload_in_sync", "Whether its proxy acknowledged all it should have.", labels=labels
    )
    ends = GaugeMetricFamily(
        "handsel_workload_cert_not_after_timestamp_seconds", "When the workload's certificate ends.", labels=labels
    )
    up = GaugeMetricFamily("handsel_proxy_up", "Whether its proxy answers at its admin socket.", labels=labels)
    restarts = CounterMetricFamily("handsel_proxy_restarts", "How often its proxy ended by itself.", labels=labels)
    rejections = GaugeMetricFamily("handsel_proxy_rejections", "Resources that its proxy refuses now.", labels=labels)
    for each in workloads:
        sync.add_metric([each.service], each.in_sync)
        up.add_metric([each.service], each.counts is not None)
        restarts.add_metric([each.service], each.restarts)
        rejections.add_metric([each.service], each.rejections)
        if each.not_after is not None:
            ends.add_metric([each.service], each.not_after.timestamp())
    yield from (sync, ends, up, restarts, rejections)


def _of_secrets(secrets: Iterable[SecretMeasured]) -> Iterator[Metric]:
    labels = ["service", "secret"]
    subscribers = GaugeMetricFamily(
        "handsel_secret_subscribers", "Who is subscribed to a secret on the workload's socket.", labels=labels
    )
    current = GaugeMetricFamily(
        "handsel_secret_current", "Subscribers that acknowledged the version of now.", labels=labels
    )
    ack = GaugeMetricFamily(
        "handsel_secret_last_ack_timestamp_seconds", "When a version of it was taken last.", labels=labels
    )
    nack = GaugeMetricFamily(
        "handsel_secret_last_nack_timestamp_seconds", "When a version of it was refused last.", labels=labels
    )
    for each in secrets:
        names = [each.service, each.name]
        subscribers.add_metric(names, each.subscribers)
        current.add_metric(names, each.current)
        if each.last_ack is not None:
            ack.add_metric(names, each.last_ack.timestamp())
        if each.last_nack is not None:
            nack.add_metric(names, each.last_nack.timestamp())
    yield from (subscribers, current, ack, nack)


def _of_callees(sides: Sides) -> Iterator[Metric]:
    labels = ["service", "callee"]
    requests = CounterMetricFamily(
        "handsel_proxy_requests",
        "Answers that a service got of a callee, by class.",
        labels=[*labels, "response_class"],
    )
    grpc = CounterMetricFamily(
        "handsel_proxy_grpc_requests", "Answers of a callee by their gRPC status.", labels=[*labels, "grpc_status"]
    )
    times = HistogramMetricFamily(
        "handsel_proxy_request_duration_seconds", "How long the callee took to answer.", labels=labels
    )
    connections = CounterMetricFamily("handsel_proxy_connections", "Connections to a callee.", labels=labels)
    active = GaugeMetricFamily("handsel_proxy_connections_active", "Of them, those open now.", labels=labels)
    failures = CounterMetricFamily(
        "handsel_proxy_connection_failures", "Connections to a callee that could not be made.", labels=labels
    )
    traffic = CounterMetricFamily(
        "handsel_proxy_bytes", "Bytes to and from a callee, inside TLS.", labels=[*labels, "direction"]
    )
    for service, callee, side in sides:
        for response_class, number in sorted(side.responses.items()):
            requests.add_metric([service, callee, response_class], number)
        for status, number in sorted(side.grpc.items()):
            grpc.add_metric([service, callee, status], number)
        if side.times:
            times.add_metric([service, callee], _buckets(side.times), None)
        connections.add_metric([service, callee], side.connections)
        active.add_metric([service, callee], side.active)
        failures.add_metric([service, callee], side.failures)
        traffic.add_metric([service, callee, "sent"], side.sent)
        traffic.add_metric([service, callee, "received"], side.received)
    yield from (requests, grpc, times, connections, active, failures, traffic)


def _buckets(times: Mapping[float, int]) -> list[tuple[str, float]]:
    """Milliseconds become seconds; the last one holds all."""
    kept = [
        (f"{limit / 1000:g}", float(max((count for at, count in times.items() if at <= limit), default=0)))
        for limit in _BUCKETS_MS
    ]
    return [*kept, ("+Inf", float(max(times.values())))]


def _of_tls(sides: Sides) -> Iterator[Metric]:
    labels = ["caller", "callee"]
    versions = CounterMetricFamily(
        "handsel_edge_connections", "Connections of an edge by version of TLS; none: in plaintext.",
        labels=[*labels, "tls"],
    )  # fmt: skip
    groups = CounterMetricFamily(
        "handsel_edge_key_exchanges", "Handshakes of an edge by the group of the key exchange.",
        labels=[*labels, "group"],
    )  # fmt: skip
    refused = CounterMetricFamily(
        "handsel_edge_refused", "Callees that a caller's proxy did not believe, by reason.", labels=[*labels, "reason"]
    )
    for caller, callee, side in sides:
        for version, number in sorted(side.tls_versions.items()):
            versions.add_metric([caller, callee, version], number)
        if side.connections and not side.tls_versions and not side.refused:
            versions.add_metric([caller, callee, "none"], side.connections - side.failures)
        for group, number in sorted(side.tls_groups.items()):
            groups.add_metric([caller, callee, group], number)
        for reason, number in sorted(side.refused.items()):
            refused.add_metric([caller, callee, reason], number)
    yield from (versions, groups, refused)


def _of_inbound(inbound: Mapping[str, Counts]) -> Iterator[Metric]:
    connections = CounterMetricFamily(
        "handsel_proxy_inbound_connections", "Connections at the mesh port.", labels=["service"]
    )
    requests = CounterMetricFamily(
        "handsel_proxy_inbound_requests", "Answers of a service at its mesh port, by class.",
        labels=["service", "response_class"],
    )  # fmt: skip
    versions = CounterMetricFamily(
        "handsel_proxy_inbound_handshakes", "Handshakes at the mesh port by version of TLS.", labels=["service", "tls"]
    )
    refused = CounterMetricFamily(
        "handsel_proxy_refused", "Connections and requests that a mesh port refused, by reason.",
        labels=["service", "reason"],
    )  # fmt: skip
    for service, side in inbound.items():
        connections.add_metric([service], side.connections)
        for response_class, number in sorted(side.responses.items()):
            requests.add_metric([service, response_class], number)
        for version, number in sorted(side.tls_versions.items()):
            versions.add_metric([service, version], number)
        for reason, number in sorted(side.refused.items()):
            refused.add_metric([service, reason], number)
    yield from (connections, requests, versions, refused)
