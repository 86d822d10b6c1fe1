"""The scrape, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from handsel.door.asgi import Handler, Request, Response
from handsel.telemetry.model import Measured

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Scrape:
    """A registry of its own for each scrape, for which `measure` is called."""

    def __init__(self, measure: Callable[[], Awaitable[Measured]], version: str) -> None:
        self._measure = measure
        self._version = version

    def handler(self) -> Handler:
        async def scrape(_request: Request) -> Response:
            registry = CollectorRegistry()
            registry.register(_Measurement(await self._measure(), self._version))
            return Response(200, generate_latest(registry), _TEXT)

        return scrape


class _Measurement:
    """One measurement, as the registry collects it."""

    def __init__(self, measured: Measured, version: str) -> None:
        self._measured = measured
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """The metrics (called by the registry)."""
        measured = self._measured
        build = GaugeMetricFamily("handsel_build_info", "Which handsel this is.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        ends = GaugeMetricFamily(
            "handsel_cert_not_after_timestamp_seconds",
            "When a certificate ends.",
            labels=["trust_domain", "service", "role"],
        )
        for end in measured.ends:
            ends.add_metric([measured.trust_domain, end.service, end.role], end.not_after.timestamp())
        yield ends
        yield GaugeMetricFamily("handsel_hosts", "Hosts that have joined.", value=measured.hosts)
        yield GaugeMetricFamily("handsel_proxies", "Proxies that were reported.", value=measured.proxies)
        yield GaugeMetricFamily(
            "handsel_proxies_in_sync", "Proxies that acknowledged all of their configuration.",
            value=measured.proxies_in_sync,
        )  # fmt: skip
        yield GaugeMetricFamily(
            "handsel_xds_rejections", "Configuration that proxies refuse now.", value=measured.rejections
        )
        yield CounterMetricFamily("handsel_certificates_issued", "Certificates issued.", value=measured.issued)
