"""Gateways: proxies without a program, at the edge. What Istio's Gateway and `gateways:` in the mesh file say."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from handsel.model.access import Labels
from handsel.model.origin import NOWHERE, Origin
from handsel.model.traffic import ClientTls


class Role(StrEnum):
    """What a proxy is for.

    `AMBASSADOR`: outbound only; `ADAPTER`: gives something old a modern face; the last three have no program.
    """

    SIDECAR = "sidecar"
    AMBASSADOR = "ambassador"
    ADAPTER = "adapter"
    INGRESS = "ingress"
    EGRESS = "egress"
    BALANCER = "balancer"

    @property
    def is_gateway(self) -> bool:
        return self in (Role.INGRESS, Role.EGRESS, Role.BALANCER)

    @property
    def has_inbound(self) -> bool:
        """Whether it stands before a program."""
        return self in (Role.SIDECAR, Role.ADAPTER)


class ServerTlsMode(StrEnum):
    """How a gateway's port speaks TLS. `MESH`: to workloads of the mesh (Istio: ISTIO_MUTUAL)."""

    PLAIN = "plain"
    SIMPLE = "simple"
    MUTUAL = "mutual"
    OPTIONAL_MUTUAL = "optional_mutual"
    PASSTHROUGH = "passthrough"
    AUTO_PASSTHROUGH = "auto_passthrough"
    MESH = "mesh"


@dataclass(frozen=True)
class KeyFiles:
    """A certificate and its key: absolute paths of PEM files, or the name of a secret."""

    certificate: str = ""
    private_key: str = ""
    credential: str = ""


@dataclass(frozen=True)
class ServerTls:
    """The TLS of a gateway's port. `certificates` empty: the gateway's own identity. Versions as `TLSv1.2`.

    `names`, `spki`, `hashes`: of a client's certificate (URI or DNS name, base64 SHA-256 of the key, hex SHA-256).
    """

    mode: ServerTlsMode
    certificates: tuple[KeyFiles, ...] = ()
    ca_certificates: str = ""
    ca_credential: str = ""
    crl: str = ""
    names: tuple[str, ...] = ()
    spki: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    minimum: str = ""
    maximum: str = ""
    ciphers: tuple[str, ...] = ()
    insecure: bool = False


@dataclass(frozen=True)
class GatewayPort:
    """A port of a gateway: HTTP, HTTPS, GRPC, HTTP2, TLS or TCP. `hosts`: those that it takes, perhaps `*.x` or `*`."""

    number: int
    protocol: str
    hosts: tuple[str, ...]
    tls: ServerTls | None = None
    https_redirect: bool = False
    bind: str = ""
    name: str = ""
    origin: Origin = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Legacy:
    """What an adapter stands before: something old that is left as it is, on another host or this one.

    `tls` None: plain. `http10`: it knows HTTP/1.0 only. Versions as `TLSv1`; empty: ours for third parties.
    """

    host: str
    port: int
    tls: ClientTls | None = None
    minimum: str = ""
    maximum: str = ""
    ciphers: tuple[str, ...] = ()
    http10: bool = False


@dataclass(frozen=True)
class Gateway:
    """What some gateway workloads listen for: those with the labels `selector`.

    `guards`: externals to which all calls go through them, and by no other way.
    """

    name: str
    namespace: str
    selector: Labels
    ports: tuple[GatewayPort, ...]
    guards: tuple[str, ...] = ()
    origin: Origin = field(default=NOWHERE, compare=False)
