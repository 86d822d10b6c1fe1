"""How requests and connections to a callee are routed: what Istio's VirtualService and `routes:` in the mesh file say.

Plain nouns; defaults are in the readers, since Istio's and ours differ. Durations are `timedelta`; percentages are
numbers from 0 to 100.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from handsel.model.origin import NOWHERE, Origin


class Compare(StrEnum):
    """How a text is compared. `SUBPATH`: this path, or one below it (`/v1` matches `/v1/x`, not `/v10`)."""

    EXACT = "exact"
    PREFIX = "prefix"
    SUBPATH = "subpath"
    REGEX = "regex"
    PRESENT = "present"


@dataclass(frozen=True)
class Text:
    """A comparison of a text. `REGEX` is RE2 and covers the whole text."""

    compare: Compare
    value: str = ""
    ignore_case: bool = False


Named = tuple[tuple[str, Text], ...]
"""Comparisons by name (of a header, of a query parameter), sorted by name."""


@dataclass(frozen=True)
class RequestMatch:
    """A condition on a request: everything said must hold. Also on who sends it: labels, namespace, gateway.

    `port` is the port that programs write, None any. `source_labels` must all be the caller's. `gateways` empty: as
    the route has it.
    """

    path: Text | None = None
    method: Text | None = None
    scheme: Text | None = None
    authority: Text | None = None
    headers: Named = ()
    without_headers: Named = ()
    query: Named = ()
    port: int | None = None
    source_labels: tuple[tuple[str, str], ...] = ()
    source_namespace: str = ""
    gateways: tuple[str, ...] = ()
    name: str = ""
    stat_prefix: str = ""


@dataclass(frozen=True)
class HeaderChange:
    """Headers that are set (in place of what is there), added, and removed."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True)
class Headers:
    """What becomes of the headers of a request and of its response."""

    request: HeaderChange = HeaderChange()
    response: HeaderChange = HeaderChange()


UNCHANGED = Headers()


@dataclass(frozen=True)
class Target:
    """Where a part of the requests goes: a callee by its name in the graph, or a subset of it. Weights are relative."""

    callee: str
    subset: str = ""
    weight: int = 1
    headers: Headers = UNCHANGED


@dataclass(frozen=True)
class Mirror:
    """A copy of this many percent of the requests, whose answers nobody waits for."""

    callee: str
    subset: str = ""
    percent: float = 100.0


@dataclass(frozen=True)
class Retry:
    """`attempts` beside the first; 0: none. `on`: Envoy's words for when (`connect-failure`, `5xx`, a status code).

    `per_try_timeout` None: as long as the whole request may take. `backoff`: the shortest pause.
    """

    attempts: int
    on: tuple[str, ...]
    per_try_timeout: timedelta | None = None
    backoff: timedelta | None = None
    other_hosts: bool = True
    """Whether an attempt prefers a host that was not tried before."""


@dataclass(frozen=True)
class Rewrite:
    """`path` takes the place of what a prefix matched, or of the whole path; `pattern` with `substitution` (RE2)."""

    path: str = ""
    authority: str = ""
    pattern: str = ""
    substitution: str = ""


@dataclass(frozen=True)
class Redirect:
    """An answer with a new place. Empty parts stay as they are, port 0 too.

    `prefix_only`: `path` takes the place of what a prefix matched, not of the whole path.
    """

    path: str = ""
    authority: str = ""
    scheme: str = ""
    port: int = 0
    code: int = 301
    prefix_only: bool = False


@dataclass(frozen=True)
class Response:
    """An answer without asking anybody."""

    status: int
    body: str = ""


@dataclass(frozen=True)
class Fault:
    """Faults on purpose: a delay, and an abort with an HTTP status or a gRPC status (name or number, as text)."""

    delay: timedelta | None = None
    delay_percent: float = 0.0
    abort_status: int = 0
    abort_grpc: str = ""
    abort_percent: float = 0.0


@dataclass(frozen=True)
class Cors:
    """Cross-origin requests (the Fetch standard, CORS protocol)."""

    origins: tuple[Text, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    maximum_age: timedelta | None = None
    credentials: bool | None = None
    forward_unmatched: bool = True


@dataclass(frozen=True)
class HttpRule:
    """What happens with a request that fits one of `matches` (none: every one). The first rule that fits counts.

    Exactly one of `to`, `redirect`, `response` says what. `timeout` zero is no limit, None leaves it to us; `retry`
    None likewise.
    """

    matches: tuple[RequestMatch, ...] = ()
    to: tuple[Target, ...] = ()
    redirect: Redirect | None = None
    response: Response | None = None
    timeout: timedelta | None = None
    retry: Retry | None = None
    headers: Headers = UNCHANGED
    rewrite: Rewrite | None = None
    fault: Fault | None = None
    mirrors: tuple[Mirror, ...] = ()
    cors: Cors | None = None
    name: str = ""
    origin: Origin = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class ConnectionMatch:
    """A condition on a connection. `server_names`: of TLS (SNI), perhaps `*.example.com`; empty for plain TCP."""

    server_names: tuple[str, ...] = ()
    destination_subnets: tuple[str, ...] = ()
    source_subnets: tuple[str, ...] = ()
    port: int | None = None
    source_labels: tuple[tuple[str, str], ...] = ()
    source_namespace: str = ""
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConnectionRule:
    """Where a connection that fits one of `matches` (none: every one) goes, without a look into it."""

    matches: tuple[ConnectionMatch, ...]
    to: tuple[Target, ...]
    origin: Origin = field(default=NOWHERE, compare=False)


MESH_GATEWAY = "mesh"
"""Istio's word for all sidecars where gateways are named."""


@dataclass(frozen=True)
class Routes:
    """The rules for requests and connections to some hosts.

    `hosts`: names as programs write them, or `*.example.com`. `callees`: the names in the graph of those that sidecars
    call. `gateways`: those at which the rules hold, `mesh` for sidecars. `visible_to`: namespaces, empty: all.
    """

    name: str
    namespace: str
    hosts: tuple[str, ...]
    callees: tuple[str, ...]
    gateways: tuple[str, ...] = (MESH_GATEWAY,)
    http: tuple[HttpRule, ...] = ()
    tls: tuple[ConnectionRule, ...] = ()
    tcp: tuple[ConnectionRule, ...] = ()
    visible_to: tuple[str, ...] = ()
    origin: Origin = field(default=NOWHERE, compare=False)
