"""Kubernetes' own kinds, as far as a mesh depends on them: the rest of their fields means nothing here."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from handsel.mesh.istio.resources.common import Account, CipherSuite, Group, Metadata, TlsVersion
from handsel.model.faults import Port, Strict


class Loose(Strict):
    """A part of which other fields say nothing that matters here."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="ignore", frozen=True)


class LooseObject(Loose):
    """A resource."""

    api_version: str
    kind: str
    metadata: Metadata


class TemplateMetadata(Loose):
    """The metadata of a pod that is made from a template."""

    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class ContainerPort(Loose):
    """A port that a container names."""

    container_port: Port
    name: str | None = None
    protocol: str | None = None


class Container(Loose):
    """A container."""

    name: str = ""
    ports: list[ContainerPort] | None = None


class PodSpec(Loose):
    """What runs."""

    containers: list[Container] | None = None
    service_account_name: Account | None = None
    service_account: Account | None = None  # deprecated


class PodTemplate(Loose):
    """What pods are made from."""

    metadata: TemplateMetadata | None = None
    spec: PodSpec | None = None


class WorkloadSpec(Loose):
    """The part that all kinds with a pod template share."""

    template: PodTemplate


class Deployment(LooseObject):
    """A Deployment, and in the same form a StatefulSet, a DaemonSet or a ReplicaSet."""

    spec: WorkloadSpec

    @property
    def pod(self) -> PodSpec:
        return self.spec.template.spec or PodSpec()

    @property
    def pod_labels(self) -> dict[str, str]:
        return (self.spec.template.metadata and self.spec.template.metadata.labels) or {}

    @property
    def pod_annotations(self) -> dict[str, str]:
        return (self.spec.template.metadata and self.spec.template.metadata.annotations) or {}


class Pod(LooseObject):
    """A pod by itself."""

    spec: PodSpec = PodSpec()

    @property
    def pod(self) -> PodSpec:
        return self.spec

    @property
    def pod_labels(self) -> dict[str, str]:
        return self.metadata.labels or {}

    @property
    def pod_annotations(self) -> dict[str, str]:
        return self.metadata.annotations or {}


class KubernetesPort(Loose):
    """A port of a Service: `port` is what programs use, `target_port` a number or the name of a container's port."""

    port: Port
    name: str | None = None
    target_port: Annotated[int, Field(ge=0, le=65535)] | str | None = None
    protocol: str | None = None
    app_protocol: str | None = None


def _check_ports(ports: list[KubernetesPort] | None) -> list[KubernetesPort] | None:
    seen = [(each.port, each.protocol or "TCP") for each in ports or ()]
    twice = next((each[0] for index, each in enumerate(seen) if each in seen[:index]), None)
    if twice is not None:
        raise ValueError(f"port {twice} is there twice")
    return ports


class ServiceSpec(Loose):
    """A Service's part that matters."""

    selector: dict[str, str] | None = None
    ports: Annotated[list[KubernetesPort] | None, AfterValidator(_check_ports)] = None
    type: str | None = None
    external_name: str | None = None


class Unread(LooseObject):
    """A resource of a kind that is not read."""


class Service(LooseObject):
    """A name behind which pods stand."""

    spec: ServiceSpec = ServiceSpec()


class Namespace(LooseObject):
    """A namespace."""


class Secret(LooseObject):
    """Keys and certificates. `data` is base64."""

    type: str | None = None
    data: dict[str, str] | None = Field(None, repr=False)
    string_data: dict[str, str] | None = Field(None, repr=False)


class ConfigMap(LooseObject):
    """Texts: the one called `istio` has the configuration of the mesh."""

    data: dict[str, str] | None = None


class TlsConfig(Loose):
    """`MeshConfig.TLSConfig`."""

    min_protocol_version: TlsVersion = ""
    cipher_suites: list[CipherSuite] | None = None
    ecdh_curves: list[Group] | None = None


class OutboundPolicy(Loose):
    """`MeshConfig.OutboundTrafficPolicy`."""

    mode: str | None = None


class MeshConfig(Loose):
    """The configuration of the mesh, in the ConfigMap `istio`."""

    mesh_mtls: TlsConfig | None = Field(None, alias="meshMTLS")
    tls_defaults: TlsConfig | None = None
    outbound_traffic_policy: OutboundPolicy | None = None
    root_namespace: str | None = None
    trust_domain: str | None = None
    access_log_file: str | None = None
