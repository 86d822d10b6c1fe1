"""DestinationRule: how callers speak to a host."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from handsel.mesh.istio.resources.client_tls import ClientTls
from handsel.mesh.istio.resources.common import (
    Count,
    Duration,
    ExportTo,
    NotYet,
    Object,
    Part,
    Percent,
    Percentage,
    Some,
    Timeout,
    WildHost,
    WorkloadSelector,
    not_empty,
    one_of,
)
from handsel.model.faults import Port
from handsel.model.traffic import Balance


class PortSelector(Part):
    """A port by its number."""

    number: Port


class HttpCookie(Part):
    """A cookie by which requests stay at an endpoint. `ttl` zero makes one for the session."""

    name: Annotated[str, AfterValidator(not_empty)]
    path: str = ""
    ttl: Timeout | None = None


class RingHash(Part):
    """Consistent hashing by a ring."""

    minimum_ring_size: Count = 1024


class Maglev(Part):
    """Consistent hashing by a table, whose size is a prime number."""

    table_size: Count = 65537


class ConsistentHash(Part):
    """`ConsistentHashLB`: by what requests stay at one endpoint."""

    http_header_name: str | None = None
    http_cookie: HttpCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: Maglev | None = None
    minimum_ring_size: Count | None = None  # deprecated in favour of ringHash

    @model_validator(mode="after")
    def _says_one(self) -> ConsistentHash:
        keys = (self.http_header_name, self.http_cookie, self.use_source_ip, self.http_query_parameter_name)
        if sum(bool(each) for each in keys) != 1:
            raise ValueError("one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName")
        if self.maglev and (self.ring_hash or self.minimum_ring_size):
            raise ValueError("ringHash and maglev exclude each other")
        return self


class Simple(StrEnum):
    """Istio's names of ways to choose an endpoint."""

    UNSPECIFIED = "UNSPECIFIED"
    RANDOM = "RANDOM"
    PASSTHROUGH = "PASSTHROUGH"
    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"
    LEAST_CONN = "LEAST_CONN"

    @property
    def balance(self) -> Balance | None:
        """What it means; None: what is usual."""
        if self is Simple.UNSPECIFIED:
            return None
        return Balance.LEAST_REQUEST if self is Simple.LEAST_CONN else Balance[self.name]


class LoadBalancer(Part):
    """`LoadBalancerSettings`."""

    simple: Annotated[Simple, BeforeValidator(one_of({str(each): each for each in Simple}))] | None = None
    consistent_hash: ConsistentHash | None = None
    locality_lb_setting: NotYet = None
    warmup: NotYet = None
    warmup_duration_secs: NotYet = None
    zone_aware_lb_setting: NotYet = None

    @model_validator(mode="after")
    def _says_one(self) -> LoadBalancer:
        if self.simple and self.consistent_hash:
            raise ValueError("simple and consistentHash exclude each other")
        return self


class TcpKeepalive(Part):
    """TCP keep-alive."""

    probes: Count | None = None
    time: Duration | None = None
    interval: Duration | None = None


class TcpPool(Part):
    """Limits on connections."""

    max_connections: Some | None = None
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: Timeout | None = None


class Http2KeepAlive(Part):
    """HTTP/2 pings."""

    interval: Duration | None = None
    timeout: Duration | None = None


class HttpPool(Part):
    """Limits on requests."""

    http1_max_pending_requests: Some | None = Field(None, alias="http1MaxPendingRequests")
    http2_max_requests: Some | None = Field(None, alias="http2MaxRequests")
    max_requests_per_connection: Count | None = None
    max_retries: Count | None = None
    idle_timeout: Timeout | None = None
    h2_upgrade_policy: (
        Annotated[bool | None, BeforeValidator(one_of({"DEFAULT": None, "DO_NOT_UPGRADE": False, "UPGRADE": True}))]
        | None
    ) = Field(None, alias="h2UpgradePolicy")
    use_client_protocol: bool = False
    max_concurrent_streams: Some | None = None
    http2_keep_alive: Http2KeepAlive | None = Field(None, alias="http2KeepAlive")


class ConnectionPool(Part):
    """`ConnectionPoolSettings`."""

    tcp: TcpPool | None = None
    http: HttpPool | None = None


class OutlierDetection(Part):
    """When an endpoint that fails is left out for a while."""

    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: Count | None = None
    consecutive_gateway_errors: Count | None = None
    consecutive5xx_errors: Count = Field(5, alias="consecutive5xxErrors")
    consecutive_errors: Count | None = None  # deprecated: what consecutiveGatewayErrors is now
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Annotated[int, Field(ge=0, le=100)] = 10
    min_health_percent: Annotated[int, Field(ge=0, le=100)] = 0
    outlier_detection_http_error_codes: list[Annotated[int, Field(ge=100, le=599)]] = Field([])


class RetryBudget(Part):
    """`TrafficPolicy.RetryBudget`."""

    percent: Percent | Percentage | None = None
    min_retry_concurrency: Count | None = None
    budget_interval: Duration | None = None


class PolicyPart(Part):
    """What a policy says for all ports or for one."""

    tls: ClientTls | None = None
    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None


class PortTrafficPolicy(PolicyPart):
    """What holds for one service port, instead of (not beside) what the rule says for all."""

    port: PortSelector


def _check_ports(settings: list[PortTrafficPolicy]) -> list[PortTrafficPolicy]:
    numbers = [each.port.number for each in settings]
    twice = next((number for index, number in enumerate(numbers) if number in numbers[:index]), None)
    if twice is not None:
        raise ValueError(f"port {twice} is there twice")
    return settings


class TrafficPolicy(PolicyPart):
    """`TrafficPolicy`."""

    port_level_settings: Annotated[list[PortTrafficPolicy], AfterValidator(_check_ports)] = Field([])
    retry_budget: RetryBudget | None = None
    tunnel: NotYet = None
    proxy_protocol: NotYet = None


class Subset(Part):
    """The workloads of a host with these labels."""

    name: Annotated[str, AfterValidator(not_empty)]
    labels: dict[str, str] = Field({})
    traffic_policy: TrafficPolicy | None = None


class DestinationRuleSpec(Part):
    """The rule."""

    host: WildHost
    traffic_policy: TrafficPolicy | None = None
    subsets: list[Subset] = Field([])
    export_to: ExportTo = Field([])
    workload_selector: WorkloadSelector | None = None


class DestinationRule(Object):
    """How callers speak to a host."""

    spec: DestinationRuleSpec
