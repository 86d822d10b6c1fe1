"""A load balancer: a gateway that ends TLS for names of its own and maps paths to applications.

The words are those of MuleSoft's dedicated load balancer, so that a plan for one is read as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from handsel.model.gateway import KeyFiles
from handsel.model.origin import NOWHERE, Origin


class HttpMode(StrEnum):
    """What the plain port does: nobody listens, it serves the default endpoint, or it sends clients to https."""

    OFF = "off"
    ON = "on"
    REDIRECT = "redirect"


class ClientMode(StrEnum):
    """Whether a client must show a certificate. `OPTIONAL`: the application is told in a header what it was worth."""

    OFF = "off"
    ON = "on"
    OPTIONAL = "optional"


class UpstreamProtocol(StrEnum):
    """How an application is spoken to. `WS` and `WSS` let WebSockets through as well."""

    HTTP = "http"
    HTTPS = "https"
    WS = "ws"
    WSS = "wss"

    @property
    def is_tls(self) -> bool:
        return self in (UpstreamProtocol.HTTPS, UpstreamProtocol.WSS)

    @property
    def is_websocket(self) -> bool:
        return self in (UpstreamProtocol.WS, UpstreamProtocol.WSS)


class CipherSet(StrEnum):
    """The sets of cipher suites for TLS 1.2, by the names that MuleSoft gives them."""

    NEW_DEFAULT = "NewDefault-v1"
    OLD_DEFAULT = "OldDefault"
    ECDHE = "EcdheEcdsaRsa"
    RESTRICT = "RestrictCiphers"


class Preset(StrEnum):
    """`SHARED`: one for all applications of a domain, without rules or certificates of their own."""

    DEDICATED = "dedicated"
    SHARED = "shared"


@dataclass(frozen=True)
class Mapping:
    """A rule: what fits `input_uri` goes to `app_name`, and `app_uri` takes the place of what fitted.

    `/foo` also fits `/foobar`; `strict`: only `/foo` and what lies below it.
    """

    input_uri: str
    app_name: str
    app_uri: str = "/"
    protocol: UpstreamProtocol = UpstreamProtocol.HTTP
    strict: bool = False
    origin: Origin = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Health:
    """How often an endpoint is looked at, and after how many bad or good looks in a row it leaves or returns.

    `path` empty: it must take connections. Else it must answer a GET of this path with 200.
    """

    path: str = ""
    interval: timedelta = timedelta(seconds=5)
    timeout: timedelta = timedelta(seconds=2)
    unhealthy: int = 3
    healthy: int = 2


@dataclass(frozen=True)
class Application:
    """What a rule may lead to. Without `workers` it is a callee of the mesh; else they are (address, port) pairs.

    Port 0 is `http_port` or `https_port`, as the rule's protocol has it. `ca_certificates` empty: the operating
    system's roots; `server_name`: the name that its certificate must carry.
    """

    name: str
    workers: tuple[tuple[str, int], ...] = ()
    http_port: int = 8091
    https_port: int = 8092
    ca_certificates: str = ""
    server_name: str = ""
    health: Health | None = Health()


@dataclass(frozen=True)
class Clients:
    """Client certificates. Paths are absolute. `forward_failed`: one that is not believed comes through, marked."""

    mode: ClientMode = ClientMode.OFF
    ca: str = ""
    crl: str = ""
    forward: bool = True
    forward_failed: bool = False


@dataclass(frozen=True)
class SslEndpoint:
    """Names of one certificate, and what is served there. `names`: lower case, perhaps `*.x`; the first names it.

    `certificates`: of several kinds of key; none for the plain port.
    """

    certificates: tuple[KeyFiles, ...]
    names: tuple[str, ...]
    mappings: tuple[Mapping, ...]
    clients: Clients = Clients()
    allow: tuple[str, ...] = ()
    vanity_names: tuple[str, ...] = ()
    has_common_name: bool = True
    origin: Origin = field(default=NOWHERE, compare=False)

    @property
    def name(self) -> str:
        return self.names[0] if self.names else ""


@dataclass(frozen=True)
class Balancer:
    """One load balancer. The endpoint `default` takes connections without a name, or with one that nobody has.

    `mappings` and `allow` hold where no endpoint says others; `domain` is that of the shared preset.
    `payload_limit` is in bytes; `rate_limit` in requests a second, 0: none.
    """

    name: str
    endpoints: tuple[SslEndpoint, ...]
    applications: tuple[Application, ...]
    mappings: tuple[Mapping, ...] = ()
    default: int = 0
    preset: Preset = Preset.DEDICATED
    domain: str = ""
    started: bool = True
    bind: str = ""
    http_mode: HttpMode = HttpMode.OFF
    http_port: int = 80
    https_port: int = 443
    tls_1_0: bool = False
    ciphers: CipherSet = CipherSet.NEW_DEFAULT
    allow: tuple[str, ...] = ()
    trusted_hops: int = 0
    proxy_protocol: bool = False
    read_timeout: timedelta = timedelta(seconds=300)
    keep_url_encoding: bool = False
    payload_limit: int = 200 << 20
    rate_limit: int = 0
    origin: Origin = field(default=NOWHERE, compare=False)

    def application(self, name: str) -> Application | None:
        return next((each for each in self.applications if each.name == name), None)

    @property
    def callees(self) -> tuple[str, ...]:
        """The callees of the mesh among its applications, by name."""
        return tuple(each.name for each in self.applications if not each.workers)

    @property
    def plain(self) -> SslEndpoint:
        """What the plain port serves: the default endpoint, or where there is none what is said for all."""
        if self.endpoints and self.preset is Preset.DEDICATED:
            return replace(self.endpoints[min(self.default, len(self.endpoints) - 1)], certificates=())
        of_domain = (f"*.{self.domain}",) if self.domain else ()
        return SslEndpoint((), of_domain, self.mappings, allow=self.allow, origin=self.origin)
