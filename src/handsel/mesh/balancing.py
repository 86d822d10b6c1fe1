"""What the proxy of a load balancer does, as its plan has it. Knows nothing of Envoy's words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from handsel.mesh.intent import TlsIntent
from handsel.model.balancer import Health
from handsel.model.uri_pattern import UriPattern


@dataclass(frozen=True)
class Forward:
    """Requests whose path begins like `path` go to the cluster `upstream`; empty: they are answered with 404.

    `whole`: what fits ends at a `/` or with the path. `hosts` None: any. `app_uri` takes the place of what fitted,
    together with a slash behind it when it `eats_slash`.
    """

    name: str
    hosts: tuple[str, ...] | None
    path: UriPattern
    whole: bool
    upstream: str
    app_uri: str
    eats_slash: bool
    websocket: bool


@dataclass(frozen=True)
class ClientCheck:
    """What becomes of client certificates. `told`: the application learns of them. `admits_failed`: one that is not
    believed does not end in a refusal.
    """

    told: bool
    admits_failed: bool


@dataclass(frozen=True)
class Site:
    """What is served under some server names (none: under all others), in `forwards` or as a redirect to https.

    `clients` None: nobody is asked for a certificate. `believes_later`: one that is not believed does not end the
    handshake, so that it can be told. `allow`: the networks whose connections are taken, none: all.
    """

    name: str
    server_names: tuple[str, ...] = ()
    tls: TlsIntent | None = None
    forwards: tuple[Forward, ...] = ()
    redirect_port: int = 0
    clients: ClientCheck | None = None
    believes_later: bool = False
    allow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Port:
    """A port of the load balancer."""

    name: str
    address: str
    number: int
    sites: tuple[Site, ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets without which it cannot begin."""
        return tuple(dict.fromkeys(name for each in self.sites if each.tls for name in each.tls.secrets))


@dataclass(frozen=True)
class Balancing:
    """Everything that a load balancer does. `health`: how the endpoints of a cluster are looked at, by its name.

    `revocation`: the number of the last one of an application; a new one drains the ports.
    """

    ports: tuple[Port, ...]
    health: tuple[tuple[str, Health], ...]
    read_timeout: timedelta
    payload_limit: int
    keep_url_encoding: bool
    trusted_hops: int
    proxy_protocol: bool
    rate_limit: int
    idle_timeout: timedelta
    revocation: int = 0

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for port in self.ports for name in port.secrets))
