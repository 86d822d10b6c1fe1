"""How callers speak to a callee: what Istio's DestinationRule and `traffic:` in the mesh file say. Plain nouns.

None everywhere means: nothing was said, and the proxy's (or our) usual holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from handsel.model.origin import NOWHERE, Origin


class Balance(StrEnum):
    """Which endpoint comes next. `PASSTHROUGH`: the address that the program wrote."""

    ROUND_ROBIN = "round_robin"
    LEAST_REQUEST = "least_request"
    RANDOM = "random"
    PASSTHROUGH = "passthrough"


class HashOn(StrEnum):
    """By what requests stay at one endpoint."""

    HEADER = "header"
    COOKIE = "cookie"
    QUERY = "query"
    SOURCE_ADDRESS = "source_address"


@dataclass(frozen=True)
class Sticky:
    """Consistent hashing. `name` of the header, cookie or parameter; a cookie is made when `ttl` is said (0: session).

    `table` 0: a ring with at least `ring` entries, else Maglev with a table of this size.
    """

    on: HashOn
    name: str = ""
    path: str = ""
    ttl: timedelta | None = None
    ring: int = 1024
    table: int = 0


@dataclass(frozen=True)
class KeepAlive:
    """TCP keep-alive."""

    probes: int | None = None
    time: timedelta | None = None
    interval: timedelta | None = None


@dataclass(frozen=True)
class Pool:
    """Limits on connections and requests, and how long connections live."""

    connections: int | None = None
    connect_timeout: timedelta | None = None
    keep_alive: KeepAlive | None = None
    maximum_age: timedelta | None = None
    tcp_idle_timeout: timedelta | None = None
    pending_requests: int | None = None
    requests: int | None = None
    requests_per_connection: int | None = None
    retries: int | None = None
    idle_timeout: timedelta | None = None
    upgrade_to_http2: bool | None = None
    use_client_protocol: bool = False
    concurrent_streams: int | None = None
    http2_ping_interval: timedelta | None = None
    http2_ping_timeout: timedelta | None = None


@dataclass(frozen=True)
class Outliers:
    """When an endpoint that fails is left out for a while. Counts are of failures in a row; None: not looked at."""

    server_errors: int | None = 5
    gateway_errors: int | None = None
    local_failures: int | None = None
    split_local: bool = False
    interval: timedelta = timedelta(seconds=10)
    ejection_time: timedelta = timedelta(seconds=30)
    most_ejected_percent: int = 10
    healthy_percent: int = 0
    error_codes: tuple[int, ...] = ()


@dataclass(frozen=True)
class RetryBudget:
    """Retries are at most this share of the requests under way, but at least `minimum`."""

    percent: float = 20.0
    minimum: int = 3
    interval: timedelta | None = None


class TlsMode(StrEnum):
    """How a caller's proxy speaks to a callee. `MESH`: with its identity (Istio: ISTIO_MUTUAL)."""

    DISABLE = "disable"
    SIMPLE = "simple"
    MUTUAL = "mutual"
    MESH = "mesh"


@dataclass(frozen=True)
class ClientTls:
    """The TLS of a caller's proxy. Paths are absolute; `credential` names a secret instead of them.

    `ca_certificates` empty: the operating system's roots. `names`: of which the callee's certificate must carry one;
    empty: `server_name`. `insecure`: any certificate is taken.
    """

    mode: TlsMode
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    crl: str = ""
    credential: str = ""
    server_name: str = ""
    names: tuple[str, ...] = ()
    insecure: bool = False
    origin: Origin = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class TrafficPolicy:
    """How callers speak to a callee, to one of its ports, or to a subset of it."""

    tls: ClientTls | None = None
    balance: Balance | None = None
    sticky: Sticky | None = None
    pool: Pool | None = None
    outliers: Outliers | None = None
    retry_budget: RetryBudget | None = None


NOTHING_SAID = TrafficPolicy()


@dataclass(frozen=True)
class Subset:
    """A part of a callee: its workloads with these labels. What `policy` says goes before what holds for all."""

    name: str
    labels: tuple[tuple[str, str], ...]
    policy: TrafficPolicy = NOTHING_SAID
    ports: tuple[tuple[int, TrafficPolicy], ...] = ()


@dataclass(frozen=True)
class Traffic:
    """The rule for a callee. `ports` replace `policy` as a whole for a port that programs write (not merged).

    `namespace`: where it was said, for which rule a caller finds: of its own namespace, of the callee's, of the mesh's.
    `selector`: only for callers with these labels. `visible_to`: namespaces, empty: all.
    """

    name: str
    namespace: str
    callees: tuple[str, ...]
    policy: TrafficPolicy = NOTHING_SAID
    ports: tuple[tuple[int, TrafficPolicy], ...] = ()
    subsets: tuple[Subset, ...] = field(default=())
    selector: tuple[tuple[str, str], ...] = ()
    visible_to: tuple[str, ...] = ()
    origin: Origin = field(default=NOWHERE, compare=False)

    def at(self, port: int) -> TrafficPolicy:
        """The policy for a port that programs write."""
        return dict(self.ports).get(port, self.policy)
