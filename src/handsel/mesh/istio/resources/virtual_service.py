"""VirtualService: how requests and connections to some hosts are routed."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from handsel.mesh.istio.resources.common import (
    ExportTo,
    Object,
    Part,
    WildHost,
    not_empty,
)
from handsel.mesh.istio.resources.http_route import Destination, GatewayName, HttpRoute, Labels
from handsel.model.faults import Port, short
from handsel.model.routing import MESH_GATEWAY


def _subnet(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"{short(text)} is no IP address and no CIDR block") from None


Subnet = Annotated[str, AfterValidator(_subnet)]


class ConnectionDestination(Part):
    """A share of the connections."""

    destination: Destination
    weight: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


class TlsMatch(Part):
    """`TLSMatchAttributes`."""

    sni_hosts: Annotated[list[WildHost], AfterValidator(not_empty)]
    destination_subnets: list[Subnet] = Field([])
    port: Port | None = None
    source_labels: Labels = Field({})
    gateways: list[GatewayName] = Field([])
    source_namespace: str = ""


class TcpMatch(Part):
    """`L4MatchAttributes`. `sourceSubnet` is one block."""

    destination_subnets: list[Subnet] = Field([])
    port: Port | None = None
    source_subnet: Subnet | None = None
    source_labels: Labels = Field({})
    gateways: list[GatewayName] = Field([])
    source_namespace: str = ""


def _weights(route: list[ConnectionDestination]) -> list[ConnectionDestination]:
    if len(route) > 1 and not sum(each.weight for each in route):
        raise ValueError("the weights of several destinations are 0 together")
    return route


Shares = Annotated[list[ConnectionDestination], AfterValidator(not_empty), AfterValidator(_weights)]


class TlsRoute(Part):
    """`TLSRoute`: connections whose TLS stays as it is."""

    match: Annotated[list[TlsMatch], AfterValidator(not_empty)]
    route: Shares


class TcpRoute(Part):
    """`TCPRoute`."""

    match: list[TcpMatch] = Field([])
    route: Shares


class VirtualServiceSpec(Part):
    """The rules."""

    hosts: list[WildHost] = Field([])
    gateways: list[GatewayName] = Field([MESH_GATEWAY])
    http: list[HttpRoute] = Field([])
    tls: list[TlsRoute] = Field([])
    tcp: list[TcpRoute] = Field([])
    export_to: ExportTo = Field([])

    @model_validator(mode="after")
    def _says_something(self) -> VirtualServiceSpec:
        if not (self.http or self.tls or self.tcp):
            raise ValueError("one of http, tls, tcp")
        return self


class VirtualService(Object):
    """How requests and connections to some hosts are routed."""

    spec: VirtualServiceSpec
