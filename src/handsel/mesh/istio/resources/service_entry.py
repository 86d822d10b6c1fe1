"""ServiceEntry: a service that no Kubernetes Service declares."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from handsel.mesh.istio.resources.common import DomainHost, ExportTo, Object, Part, WorkloadSelector, not_empty, one_of
from handsel.mesh.istio.resources.protocols import WrittenProtocol
from handsel.mesh.istio.resources.workload import Endpoint
from handsel.model.faults import Port, short

_MOST_HOSTS = 256


class Location(StrEnum):
    """Whether it is of the mesh."""

    MESH_EXTERNAL = "MESH_EXTERNAL"
    MESH_INTERNAL = "MESH_INTERNAL"


class Resolution(StrEnum):
    """How its addresses are found."""

    NONE = "NONE"
    STATIC = "STATIC"
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"
    DYNAMIC_DNS = "DYNAMIC_DNS"


def _address(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{short(text)} is no IP address and no CIDR block") from None
    return text


def _few(hosts: list[str]) -> list[str]:
    if len(hosts) > _MOST_HOSTS:
        raise ValueError(f"at most {_MOST_HOSTS} hosts")
    for index, host in enumerate(hosts):
        if host in hosts[:index]:
            raise ValueError(f"{host} is there twice")
    return hosts


class ServicePort(Part):
    """`ServiceEntry.ports[]`. `number` is what programs use, `target_port` what the endpoints listen at."""

    number: Port
    protocol: WrittenProtocol = "TCP"
    name: Annotated[str, AfterValidator(not_empty)]
    target_port: Port | None = None

    @property
    def target(self) -> int:
        """Where endpoints listen that say nothing of it."""
        return self.target_port or self.number


class ServiceEntrySpec(Part):
    """The service."""

    hosts: Annotated[list[DomainHost], AfterValidator(not_empty), AfterValidator(_few)]
    addresses: list[Annotated[str, AfterValidator(_address)]] = Field([])
    ports: Annotated[list[ServicePort], AfterValidator(not_empty)]
    location: Annotated[Location, BeforeValidator(one_of({str(each): each for each in Location}))] = (
        Location.MESH_EXTERNAL
    )
    resolution: Annotated[Resolution, BeforeValidator(one_of({str(each): each for each in Resolution}))] = (
        Resolution.NONE
    )
    endpoints: list[Endpoint] = Field([])
    workload_selector: WorkloadSelector | None = None
    export_to: ExportTo = Field([])
    subject_alt_names: list[str] = Field([])

    @model_validator(mode="after")
    def _fits_together(self) -> ServiceEntrySpec:
        for what, each in (("number", [p.number for p in self.ports]), ("name", [p.name for p in self.ports])):
            twice = next((value for index, value in enumerate(each) if value in each[:index]), None)
            if twice is not None:
                raise ValueError(f"two ports have the {what} {twice}")
        if self.endpoints and self.workload_selector:
            raise ValueError("endpoints and workloadSelector exclude each other")
        if self.endpoints and self.resolution in (Resolution.NONE, Resolution.DYNAMIC_DNS):
            raise ValueError(f"resolution {self.resolution} has no use for endpoints: say STATIC or DNS")
        return self


class ServiceEntry(Object):
    """A service outside the mesh, or of it where nothing else declares it."""

    spec: ServiceEntrySpec
