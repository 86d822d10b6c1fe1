"""`gateways:` in the mesh file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from handsel.documents.yaml import Path
from handsel.model.faults import Strict
from handsel.model.gateway import Gateway
from handsel.model.graph import Service
from handsel.model.origin import Origin
from handsel.model.routing import Routes
from handsel.pki.names import TrustDomain


class GatewayFile(Strict):
    """One gateway: a proxy at the edge of the mesh."""


def gateways_faults(_content: dict[str, GatewayFile]) -> Iterator[tuple[Path, str]]:
    """What only the whole can tell, each with its path below `gateways`."""
    yield from ()


@dataclass(frozen=True)
class ReadGateways:
    """A gateway is a workload without a program, what it listens for, and the routes that hold there."""

    services: tuple[Service, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    routes: tuple[Routes, ...] = ()


def read_gateways(
    _content: dict[str, GatewayFile],
    _trust_domain: TrustDomain,
    _origin: Callable[[Path], Origin],
    _absolute: Callable[[str], str],
) -> ReadGateways:
    """The gateways, in the order of the file."""
    return ReadGateways()
