"""`balancers:` in the mesh file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from handsel.documents.yaml import Path
from handsel.model.balancer import Balancer
from handsel.model.faults import Strict
from handsel.model.graph import Service
from handsel.model.origin import Origin
from handsel.pki.names import TrustDomain


class BalancerFile(Strict):
    """One load balancer."""


def balancers_faults(_content: dict[str, BalancerFile]) -> Iterator[tuple[Path, str]]:
    """What only the whole can tell, each with its path below `balancers`."""
    yield from ()


@dataclass(frozen=True)
class ReadBalancers:
    """A load balancer is a workload without a program, and what it does."""

    services: tuple[Service, ...] = ()
    balancers: tuple[Balancer, ...] = ()


def read_balancers(
    _content: dict[str, BalancerFile],
    _trust_domain: TrustDomain,
    _origin: Callable[[Path], Origin],
    _absolute: Callable[[str], str],
) -> ReadBalancers:
    """The load balancers, in the order of the file."""
    return ReadBalancers()
