"""The rules for requests in a VirtualService."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from handsel.mesh.istio.resources.common import (
    Duration,
    NotYet,
    Part,
    Percent,
    SomeMatch,
    StringMatch,
    Timeout,
    not_empty,
    one_of,
)
from handsel.mesh.istio.resources.destination_rule import PortSelector
from handsel.model.faults import HOST, NAME, Port, short
from handsel.model.re2 import check_pattern
from handsel.model.routing import MESH_GATEWAY


def _gateway(text: str) -> str:
    namespace, slash, name = text.rpartition("/")
    if (slash and not NAME.fullmatch(namespace)) or not HOST.fullmatch(name):
        raise ValueError(f"a gateway is {MESH_GATEWAY}, a name, or namespace/name, unlike {short(text)}")
    return text


def _redirect_code(code: int) -> int:
    if code not in (301, 302, 303, 307, 308):
        raise ValueError(f"a redirect has the status 301, 302, 303, 307 or 308, not {code}")
    return code


GatewayName = Annotated[str, AfterValidator(_gateway)]
Labels = dict[str, str]


class HttpMatch(Part):
    """`HTTPMatchRequest`: all that is said must hold."""

    name: str = ""
    uri: SomeMatch | None = None
    scheme: SomeMatch | None = None
    method: SomeMatch | None = None
    authority: SomeMatch | None = None
    headers: dict[str, StringMatch] = Field({})
    port: Port | None = None
    source_labels: Labels = Field({})
    gateways: list[GatewayName] = Field([])
    query_params: dict[str, StringMatch] = Field({})
    ignore_uri_case: bool = False
    without_headers: dict[str, StringMatch] = Field({})
    source_namespace: str = ""
    stat_prefix: str = ""


class Destination(Part):
    """A host, perhaps a subset of it, and its port."""

    host: Annotated[str, AfterValidator(not_empty)]
    subset: str = ""
    port: PortSelector | None = None


class HeaderOperations(Part):
    """Headers that are set, added, removed."""

    set: dict[str, str] = Field({})
    add: dict[str, str] = Field({})
    remove: list[str] = Field([])


class Headers(Part):
    """What becomes of the headers of a request and of its response."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


class HttpDestination(Part):
    """A share of the requests. The only destination ignores its weight."""

    destination: Destination
    weight: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    headers: Headers | None = None


class Retries(Part):
    """`HTTPRetry`. `retryRemoteLocalities` means nothing as long as no locality is preferred."""

    attempts: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    per_try_timeout: Timeout | None = None
    retry_on: str = ""
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None
    backoff: Duration | None = None


class RegexRewrite(Part):
    """A pattern and what takes the place of what it fits."""

    match: Annotated[str, AfterValidator(check_pattern)]
    rewrite: str = ""


class Rewrite(Part):
    """`HTTPRewrite`."""

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Rewrite:
        if self.uri and self.uri_regex_rewrite:
            raise ValueError("uri and uriRegexRewrite exclude each other")
        if not (self.uri or self.authority or self.uri_regex_rewrite):
            raise ValueError("one of uri, authority, uriRegexRewrite")
        return self


class Delay(Part):
    """A delay before requests are sent on."""

    fixed_delay: Duration | None = None
    percentage: Percent | None = None
    percent: Annotated[int, Field(ge=0, le=100)] | None = None  # deprecated
    exponential_delay: NotYet = None


class Abort(Part):
    """An answer in place of the callee's."""

    http_status: Annotated[int, Field(ge=200, le=599)] | None = None
    grpc_status: Annotated[str, AfterValidator(not_empty)] | None = None
    percentage: Percent | None = None
    http2_error: NotYet = Field(None, alias="http2Error")

    @model_validator(mode="after")
    def _says_one(self) -> Abort:
        if (self.http_status is None) == (self.grpc_status is None):
            raise ValueError("one of httpStatus, grpcStatus")
        return self


class FaultInjection(Part):
    """`HTTPFaultInjection`."""

    delay: Delay | None = None
    abort: Abort | None = None


class Mirror(Part):
    """`HTTPMirrorPolicy`."""

    destination: Destination
    percentage: Percent | None = None


class Redirect(Part):
    """`HTTPRedirect`."""

    uri: str = ""
    uri_prefix: str = ""
    authority: str = ""
    scheme: Annotated[str, BeforeValidator(one_of({"": "", "http": "http", "https": "https"}))] = ""
    port: Port | None = None
    derive_port: (
        Annotated[str, BeforeValidator(one_of({each: each for each in ("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT")}))]
        | None
    ) = None
    redirect_code: Annotated[int, AfterValidator(_redirect_code)] = 301

    @model_validator(mode="after")
    def _says_one(self) -> Redirect:
        if self.uri and self.uri_prefix:
            raise ValueError("uri and uriPrefix exclude each other")
        if self.port and self.derive_port:
            raise ValueError("port and derivePort exclude each other")
        return self


class Body(Part):
    """`HTTPBody`. `bytes` is base64."""

    string: str | None = None
    bytes: str | None = None


class DirectResponse(Part):
    """`HTTPDirectResponse`."""

    status: Annotated[int, Field(ge=200, le=599)]
    body: Body | None = None


class CorsPolicy(Part):
    """`CorsPolicy`. `allowOrigin` is deprecated: exact names."""

    allow_origins: list[SomeMatch] = Field([])
    allow_origin: list[str] = Field([])
    allow_methods: list[str] = Field([])
    allow_headers: list[str] = Field([])
    expose_headers: list[str] = Field([])
    max_age: Timeout | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Annotated[
        str, BeforeValidator(one_of({each: each for each in ("UNSPECIFIED", "FORWARD", "IGNORE")}))
    ] = "UNSPECIFIED"


class HttpRoute(Part):
    """`HTTPRoute`: what happens with a request that fits one of `match`."""

    name: str = ""
    match: list[HttpMatch] = Field([])
    route: list[HttpDestination] = Field([])
    redirect: Redirect | None = None
    direct_response: DirectResponse | None = None
    timeout: Timeout | None = None
    retries: Retries | None = None
    fault: FaultInjection | None = None
    mirror: Destination | None = None
    mirrors: list[Mirror] = Field([])
    mirror_percent: Annotated[int, Field(ge=0, le=100)] | None = None  # deprecated
    mirror_percentage: Percent | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None
    rewrite: Rewrite | None = None
    delegate: Any = None

    @model_validator(mode="after")
    def _says_one(self) -> HttpRoute:
        ways = {
            "route": self.route,
            "redirect": self.redirect,
            "directResponse": self.direct_response,
            "delegate": self.delegate,
        }
        said = [key for key, value in ways.items() if value]
        if len(said) != 1:
            raise ValueError(f"one of route, redirect, directResponse{', not ' + ' and '.join(said) if said else ''}")
        if len(self.route) > 1 and not sum(each.weight for each in self.route):
            raise ValueError("the weights of several destinations are 0 together")
        if self.mirror and self.mirrors:
            raise ValueError("mirror and mirrors exclude each other")
        if self.redirect and (self.rewrite or self.fault):
            raise ValueError("a redirect has no use for rewrite and fault")
        return self
