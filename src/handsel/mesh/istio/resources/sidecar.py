"""Sidecar: what a proxy may reach."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from handsel.mesh.istio.resources.common import NotYet, Object, Part, WorkloadSelector, not_empty, one_of
from handsel.model.faults import HOST, NAME, short


def _scoped_host(text: str) -> str:
    namespace, slash, host = text.partition("/")
    if not slash or not (namespace in ("*", ".", "~") or NAME.fullmatch(namespace)):
        raise ValueError(f"a host here is namespace/host, such as ./* or shop/*, unlike {short(text)}")
    if host != "*" and not HOST.fullmatch(host.removeprefix("*.")):
        raise ValueError(f"{short(host)} is no host name in lower case")
    return text


ScopedHost = Annotated[str, AfterValidator(_scoped_host)]


class EgressPort(Part):
    """The port of a listener of the sidecar."""

    number: int = 0
    protocol: str = ""
    name: str = ""


class Egress(Part):
    """`IstioEgressListener`: which hosts can be reached; `hosts` are `namespace/host`."""

    hosts: Annotated[list[ScopedHost], AfterValidator(not_empty)]
    port: EgressPort | None = None
    bind: NotYet = None
    capture_mode: NotYet = None


class OutboundTrafficPolicy(Part):
    """What becomes of calls to what nobody declares."""

    mode: Annotated[str, BeforeValidator(one_of({each: each for each in ("REGISTRY_ONLY", "ALLOW_ANY")}))] = (
        "REGISTRY_ONLY"
    )
    egress_proxy: NotYet = None


class SidecarSpec(Part):
    """For the workloads with these labels, or all of a namespace."""

    workload_selector: WorkloadSelector | None = None
    egress: list[Egress] = Field([])
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    ingress: NotYet = None
    inbound_connection_pool: NotYet = None


class Sidecar(Object):
    """What the proxies of some workloads may reach."""

    spec: SidecarSpec
