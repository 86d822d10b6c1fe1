"""The parts of a policy of `traffic:` in the mesh file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from handsel.model.faults import FilePath, Strict
from handsel.model.matching_file import HeaderName
from handsel.model.origin import Origin
from handsel.model.route_parts_file import Percent, SomeTime, Status, within
from handsel.model.traffic import (
    Balance,
    ClientTls,
    HashOn,
    KeepAlive,
    Outliers,
    Pool,
    RetryBudget,
    Sticky,
    TlsMode,
    TrafficPolicy,
)

# Envoy wants a prime number below this one (Maglev, section 5.3).
_LARGEST_TABLE = 5_000_011
_MOST = 0x7FFFFFFF
Count = Annotated[int, Field(strict=True), within(1, _MOST)]


def _prime(number: int) -> int:
    if number and any(number % each == 0 for each in range(2, int(number**0.5) + 1)):
        raise ValueError("the size of a table is a prime number, such as 65537")
    return number


def _seconds(value: timedelta) -> timedelta:
    if value.total_seconds() % 1:
        raise ValueError("whole seconds only")
    return value


Seconds = Annotated[SomeTime, AfterValidator(_seconds)]


class StickyFile(Strict):
    """By what requests stay at one instance: one of header, cookie, query and source."""

    header: HeaderName | None = Field(None, description="The value of this header.")
    cookie: str | None = Field(None, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", description="The value of this cookie.")
    query: str | None = Field(None, min_length=1, description="The value of this parameter of the query.")
    source: Literal[True] | None = Field(None, description="The address from which the connection comes.")
    ttl: SomeTime | None = Field(None, description="Who has no such cookie gets one for so long.")
    path: str = Field("", description="The path of that cookie.")
    ring: Annotated[int, Field(strict=True), within(1, 8 << 20)] = Field(1024, description="Least entries of the ring.")
    table: Annotated[int, Field(strict=True), within(2, _LARGEST_TABLE), AfterValidator(_prime)] | None = Field(
        None, description="In place of a ring a table of Maglev with so many entries, a prime number."
    )

    @model_validator(mode="after")
    def _is_one(self) -> StickyFile:
        if len([key for key in ("header", "cookie", "query", "source") if getattr(self, key) is not None]) != 1:
            raise ValueError("say one of header, cookie, query and source")
        if self.cookie is None and (self.ttl is not None or self.path):
            raise ValueError("ttl and path are for a cookie")
        if self.table is not None and "ring" in self.model_fields_set:
            raise ValueError("say either ring or table")
        return self

    def sticky(self) -> Sticky:
        kinds = (
            (HashOn.HEADER, self.header), (HashOn.COOKIE, self.cookie), (HashOn.QUERY, self.query),
            (HashOn.SOURCE_ADDRESS, "" if self.source else None),
        )  # fmt: skip
        on, name = next((on, name) for on, name in kinds if name is not None)
        return Sticky(on, name, self.path, self.ttl, self.ring, self.table or 0)


class KeepAliveFile(Strict):
    """TCP keep-alive."""

    probes: Count | None = Field(None, description="How many may stay without an answer.")
    time: Seconds | None = Field(None, description="The silence before the first, in whole seconds.")
    interval: Seconds | None = Field(None, description="The time between two, in whole seconds.")

    def keep_alive(self) -> KeepAlive:
        return KeepAlive(self.probes, self.time, self.interval)


class PoolFile(Strict):
    """Limits on connections and requests of one proxy, and how long connections live."""

    connections: Count | None = Field(None, description="Most connections.")
    pending_requests: Count | None = Field(None, description="Most requests that wait for a connection.")
    requests: Count | None = Field(None, description="Most requests at a time.")
    retries: Count | None = Field(None, description="Most retries at a time.")
    requests_per_connection: Count | None = Field(None, description="After so many it is closed.")
    connect_timeout: SomeTime | None = Field(None, description="How long connecting may take.")
    idle_timeout: SomeTime | None = Field(None, description="A connection without requests is closed after this.")
    maximum_age: SomeTime | None = Field(None, description="A connection is drained after this.")
    keep_alive: KeepAliveFile | None = Field(None, description="TCP keep-alive.")
    http2: bool | None = Field(None, description="True: a third party that speaks http is spoken to in HTTP/2.")
    streams: Count | None = Field(None, description="Most requests at a time on one connection of HTTP/2.")
    ping: SomeTime | None = Field(None, description="The time between two pings of HTTP/2.")
    ping_timeout: SomeTime | None = Field(None, description="How long the answer to a ping may take.")

    def pool(self, *, tcp: bool) -> Pool:
        return Pool(
            connections=self.connections,
            connect_timeout=self.connect_timeout,
            keep_alive=self.keep_alive.keep_alive() if self.keep_alive else None,
            maximum_age=self.maximum_age,
            tcp_idle_timeout=self.idle_timeout if tcp else None,
            pending_requests=self.pending_requests,
            requests=self.requests,
            requests_per_connection=self.requests_per_connection,
            retries=self.retries,
            idle_timeout=None if tcp else self.idle_timeout,
            upgrade_to_http2=self.http2,
            concurrent_streams=self.streams,
            http2_ping_interval=self.ping,
            http2_ping_timeout=self.ping_timeout,
        )

    @property
    def only_for_requests(self) -> list[str]:
        counted = {"pending_requests", "requests", "retries", "requests_per_connection", "http2", "streams"}
        return sorted(self.model_fields_set & (counted | {"ping", "ping_timeout"}))


class OutliersFile(Strict):
    """When an instance that fails is left out for a while. Counts are of failures in a row."""

    errors: Annotated[int, Field(strict=True), within(0, 1_000_000)] = Field(
        5, description="Answers 5xx and failed connections; 0: they do not count."
    )
    gateway_errors: Count | None = Field(None, description="Answers 502, 503 and 504, and failed connections.")
    local_failures: Count | None = Field(None, description="Failed connections and timeouts alone.")
    interval: SomeTime = Field(timedelta(seconds=10), description="How often is looked who may come back.")
    ejection_time: SomeTime = Field(
        timedelta(seconds=30), description="How long it is left out, times how often it was already."
    )
    most_ejected: Annotated[int, Field(strict=True), within(0, 100)] = Field(
        50, description="Most percent of the instances that are left out."
    )
    healthy: Annotated[int, Field(strict=True), within(0, 100)] = Field(
        0, description="With fewer percent left all are asked again."
    )
    codes: list[Status] = Field([], description="The statuses that count, in place of 5xx.")

    def outliers(self) -> Outliers:
        return Outliers(
            self.errors or None, self.gateway_errors, self.local_failures, self.local_failures is not None,
            self.interval, self.ejection_time, self.most_ejected, self.healthy, tuple(self.codes),
        )  # fmt: skip


class BudgetFile(Strict):
    """How many retries there may be at a time."""

    percent: Percent = Field(20.0, description="Of the requests under way.")
    minimum: Annotated[int, Field(strict=True), within(0, _MOST)] = Field(3, description="But at least so many.")


class ClientTlsFile(Strict):
    """The TLS of the callers' proxies towards what is no workload of the mesh."""

    mode: Literal["disable", "simple", "mutual", "mesh"] = Field(description="`mesh`: with their identity.")
    client_certificate: FilePath | None = Field(None, description="PEM file with the client's chain.")
    private_key: FilePath | None = Field(None, description="PEM file with its key.")
    ca_certificates: FilePath | None = Field(None, description="PEM file with the roots. The system's when left out.")
    server_name: str | None = Field(None, description="The name sent as SNI.")
    names: list[str] = Field([], description="Of which its certificate must carry one. `server_name` when left out.")

    @model_validator(mode="after")
    def _fits(self) -> ClientTlsFile:
        if (self.mode == "mutual") != bool(self.client_certificate and self.private_key):
            raise ValueError("mode mutual, and no other, has client_certificate and private_key")
        if self.mode in ("disable", "mesh") and self.model_fields_set != {"mode"}:
            raise ValueError(f"mode {self.mode} says it all: leave the rest out")
        return self

    def tls(self, absolute: Callable[[str], str], origin: Origin) -> ClientTls:
        paths = [
            absolute(each) if each else "" for each in (self.client_certificate, self.private_key, self.ca_certificates)
        ]
        certificate, key, roots = paths
        return ClientTls(
            TlsMode(self.mode), certificate, key, roots, server_name=self.server_name or "", names=tuple(self.names),
            origin=origin,
        )  # fmt: skip


class PolicyFile(Strict):
    """How callers speak to a callee, to one of its ports, or to a subset."""

    balance: Literal["round_robin", "least_request", "random"] | None = Field(
        None, description="Which instance comes next; that with the fewest requests when left out."
    )
    sticky: StickyFile | None = Field(None, description="Requests that belong together go to one instance.")
    pool: PoolFile | None = Field(None, description="Limits on connections and requests.")
    outliers: OutliersFile | None = Field(None, description="Instances that fail are left out for a while.")
    retry_budget: BudgetFile | None = Field(None, description="How many retries there may be at a time.")
    tls: ClientTlsFile | None = Field(None, description="How TLS is made.")

    @model_validator(mode="after")
    def _agrees(self) -> PolicyFile:
        if self.balance and self.sticky:
            raise ValueError("say either balance or sticky")
        if self.retry_budget and self.pool and self.pool.retries:
            raise ValueError("say either retry_budget or pool.retries")
        return self

    @property
    def only_for_requests(self) -> list[str]:
        """What has no meaning where requests are not looked into."""
        found = ["sticky"] if self.sticky and self.sticky.source is None else []
        found += ["retry_budget"] if self.retry_budget else []
        return found + ([f"pool.{key}" for key in self.pool.only_for_requests] if self.pool else [])

    def policy(self, origin: Origin, absolute: Callable[[str], str], *, tcp: bool) -> TrafficPolicy:
        budget = self.retry_budget
        return TrafficPolicy(
            tls=self.tls.tls(absolute, origin) if self.tls else None,
            balance=Balance(self.balance) if self.balance else None,
            sticky=self.sticky.sticky() if self.sticky else None,
            pool=self.pool.pool(tcp=tcp) if self.pool else None,
            outliers=self.outliers.outliers() if self.outliers else None,
            retry_budget=RetryBudget(budget.percent, budget.minimum) if budget else None,
        )
