"""The scrape of a server, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from handsel.door.asgi import Handler, Request, Response
from handsel.telemetry.model import Measured

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def scrape(collect: Callable[[], Awaitable[Iterable[Metric]]]) -> Handler:
    """A door's answer to Prometheus: `collect` is called for each scrape, which gets a registry of its own."""

    async def handle(_request: Request) -> Response:
        registry = CollectorRegistry()
        registry.register(_Collected(list(await collect())))
        return Response(200, generate_latest(registry), _TEXT)

    return handle


class _Collected:
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        """The metrics (called by the registry)."""
        return self._metrics


class Scrape:
    """The scrape of a server, for which `measure` is called."""

    def __init__(self, measure: Callable[[], Awaitable[Measured]], version: str) -> None:
        self._measure = measure
        self._version = version

    def handler(self) -> Handler:
        async def collect() -> Iterable[Metric]:
            return server_metrics(await self._measure(), self._version)

        return scrape(collect)


def build_info(version: str) -> Metric:
    """Which handsel a door is of."""
    build = GaugeMetricFamily("handsel_build_info", "Which handsel this is.", labels=["version"])
    build.add_metric([version], 1)
    return build


def server_metrics(measured: Measured, version: str) -> Iterator[Metric]:
    """One measurement, as metrics."""
    yield build_info(version)
    ends = GaugeMetricFamily(
        "handsel_cert_not_after_timestamp_seconds",
        "When a certificate ends.",
        labels=["trust_domain", "service", "role"],
    )
    for end in measured.ends:
        ends.add_metric([measured.trust_domain, end.service, end.role], end.not_after.timestamp())
    yield ends
    yield GaugeMetricFamily("handsel_hosts", "Hosts that have joined.", value=measured.hosts)
    yield GaugeMetricFamily(
        "handsel_hosts_in_quarantine", "Hosts for which nothing is signed until somebody has looked.",
        value=measured.hosts_in_quarantine,
    )  # fmt: skip
    yield GaugeMetricFamily("handsel_proxies", "Proxies that were reported.", value=measured.proxies)
    yield GaugeMetricFamily(
        "handsel_proxies_in_sync", "Proxies that acknowledged all of their configuration.",
        value=measured.proxies_in_sync,
    )  # fmt: skip
    yield GaugeMetricFamily(
        "handsel_xds_rejections", "Configuration that proxies refuse now.", value=measured.rejections
    )
    yield CounterMetricFamily("handsel_certificates_issued", "Certificates issued.", value=measured.issued)
    alerts = GaugeMetricFamily("handsel_alerts", "Alerts that are active, by kind.", labels=["kind"])
    for kind, number in sorted(measured.alerts.items()):
        alerts.add_metric([kind], number)
    yield alerts
