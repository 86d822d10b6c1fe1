"""What an agent holds, for tests: a workload `web` that calls `emoji`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from handsel.agent.model import Holdings, KeyPair, Ports, Workload
from handsel.link.messages import AssignedWorkload, Assignment, Bundle, Frame, PublishedResource, Resources
from handsel.pki.names import SpiffeId
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER
from tests.support import TRUST_DOMAIN, TestAuthority

PORTS = Ports(8001, 8002, 8003, {"emoji": 8004})


def identity(service: str) -> SpiffeId:
    return TRUST_DOMAIN.workload("default", service)


def assigned(
    service: str = "web", *, port: int = 0, callees: tuple[str, ...] = ("emoji",), before_end: timedelta | None = None
) -> AssignedWorkload:
    return AssignedWorkload(service, identity(service), port, callees, before_end)


def published(kind: str, name: str, *needs: str) -> PublishedResource:
    return PublishedResource(kind, name, f"version of {name}", f"{kind} {name}".encode(), needs)


RESOURCES = Resources(
    (
        published(CLUSTER, "_application"),
        published(CLUSTER, "emoji", "default", "ROOTCA"),
        published(ENDPOINT, "emoji"),
        published(CLUSTER, "bank", "file-cert:/c~/k", "file-root:/r"),
        published(LISTENER, "inbound", "default", "ROOTCA"),
        published(LISTENER, "proxy"),
    ),
    ("ROOTCA", "default", "file-cert:/c~/k", "file-root:/r"),
)


def workload(pair: KeyPair | None = None, ports: Ports | None = PORTS, resources: Resources | None = RESOURCES):
    return Workload(assigned(), ports, pair, resources)


def holdings(authority: TestAuthority, *workloads: Workload, sequence: int = 0) -> Holdings:
    return Holdings(Bundle((authority.issuer.root,)), {each.service: each for each in workloads}, sequence)


def assignment(sequence: int, *workloads: AssignedWorkload) -> Frame:
    return Frame(sequence, Assignment.KIND, "", Assignment(workloads).encode())


def counting(start: int = 9000) -> Callable[[], int]:
    """Free ports, one after the other."""
    ports = iter(range(start, start + 1000))
    return lambda: next(ports)
