"""WorkloadEntry and WorkloadGroup: workloads that no Kubernetes object declares."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from handsel.mesh.istio.resources.common import Account, Count, NotYet, Object, Part
from handsel.model.faults import Port


def _address(text: str) -> str:
    if text.startswith("unix:"):
        raise ValueError("a Unix socket: not supported")
    return text


class Endpoint(Part):
    """`WorkloadEntry`: where a workload is. `ports` has a port for the name of a service port.

    Without an address it is reached by its network only, which needs a `network`.
    """

    address: Annotated[str, AfterValidator(_address)] = ""
    ports: dict[str, Port] = Field({})
    labels: dict[str, str] = Field({})
    weight: Count = 0
    service_account: Account = ""
    locality: NotYet = None
    network: NotYet = None


class WorkloadEntry(Object):
    """One workload."""

    spec: Endpoint


class GroupMetadata(Part):
    """What the entries of a group have in common."""

    labels: dict[str, str] = Field({})
    annotations: dict[str, str] = Field({})


class WorkloadGroupSpec(Part):
    """A template of workload entries. `probe` is for who registers them: here the agent watches over its programs."""

    metadata: GroupMetadata = GroupMetadata()
    template: Endpoint
    probe: dict[str, Any] | None = None


class WorkloadGroup(Object):
    """A set of workloads alike, as a Deployment is on Kubernetes."""

    spec: WorkloadGroupSpec
