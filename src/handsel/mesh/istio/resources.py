"""The Istio resources that are read, field by field: networking.istio.io, one schema for all its versions.

What Istio knows and this version does not carry out is named in `NOT_YET`, or where a value is checked: it is refused,
never ignored. Defaults are Istio's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from handsel.model.faults import HOST, NAME, FilePath, Port, Strict, short
from handsel.model.graph import ExternalTls, Protocol

_V = TypeVar("_V")

_NOT_YET = "not supported yet"
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:h|ms|m|s)){1,4}")
_DURATION_PART = re.compile(r"([\d.]+)(h|ms|m|s)")
_UNITS = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
# Keys of Istio's own that say nothing about what is read here.
_HARMLESS_KEYS = ("istio.io/rev", "galley.istio.io/analyze-suppress")


def _one_of(values: Mapping[str, _V], refused: Mapping[str, str]) -> Callable[[Any], _V]:
    """A validator: the word as its value. `refused` has the words that Istio knows beside these, and why not."""

    def choose(word: Any) -> _V:
        if isinstance(word, str) and word in refused:
            raise ValueError(f"{word}: {refused[word]}")
        if not isinstance(word, str) or word not in values:
            raise ValueError(f"must be {' or '.join(values)}, not {short(word)}")
        return values[word]

    return choose


def _upper(word: Any) -> Any:
    return word.upper() if isinstance(word, str) else word


def _exactly_one(items: list[_V]) -> list[_V]:
    if len(items) > 1:
        raise ValueError(f"more than one: {_NOT_YET}")
    if not items:
        raise ValueError("must have one item, not none")
    return items


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"a name has lower-case letters, digits and dashes, at most 63, unlike {short(text)}")
    return text


def _host(text: str) -> str:
    if text.startswith("*"):
        raise ValueError(f"a wildcard: {_NOT_YET}")
    if not HOST.fullmatch(text):
        raise ValueError(f"{short(text)} is no host name in lower case")
    return text


def _dns_name(text: str) -> str:
    if "://" in text:
        raise ValueError(f"a URI: {_NOT_YET}")
    return _host(text)


def _host_or_empty(text: str) -> str:
    return _host(text) if text else text


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _address(text: str) -> str:
    if text.startswith("unix:"):
        raise ValueError(f"a Unix socket: {_NOT_YET}")
    return text


def _verified(skip: bool) -> bool:
    if skip:
        raise ValueError("refused: the certificate of an external service is always verified; name its CA instead")
    return skip


def _only_mesh(gateways: list[str]) -> list[str]:
    if gateways != ["mesh"]:
        raise ValueError(f"gateways other than mesh: {_NOT_YET}")
    return gateways


def _meta_key(key: str) -> str:
    domain = key.partition("/")[0]
    if (domain == "istio.io" or domain.endswith(".istio.io")) and key not in _HARMLESS_KEYS:
        raise ValueError(_NOT_YET)
    return key


def duration(text: Any) -> timedelta:
    """A duration as Istio writes it: `1h`, `1m30s`, `1.5s`, `20ms`. Raises `ValueError`."""
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError("a duration is numbers with the units h, m, s, ms, such as 1m30s")
    value = timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text)))
    if not timedelta(milliseconds=1) <= value <= timedelta(days=365) or value % timedelta(milliseconds=1):
        raise ValueError("a duration has whole milliseconds, from 1ms to 8760h (leave it out for no limit)")
    return value


Host = Annotated[str, AfterValidator(_host)]
DnsName = Annotated[str, AfterValidator(_dns_name)]
Name = Annotated[str, AfterValidator(_name)]
MetaKey = Annotated[str, AfterValidator(_meta_key)]


class _Part(Strict):
    model_config = ConfigDict(alias_generator=to_camel, strict=True)


class Metadata(_Part):
    """The usual metadata; labels and annotations that are not Istio's mean nothing here."""

    NOT_YET = ("generateName",)

    name: Name
    namespace: str = "default"
    labels: dict[MetaKey, str] | None = None
    annotations: dict[MetaKey, str] | None = None
    # What a cluster adds when it is asked for a resource.
    uid: Any = None
    resource_version: Any = None
    generation: Any = None
    creation_timestamp: Any = None
    managed_fields: Any = None
    owner_references: Any = None
    finalizers: Any = None
    self_link: Any = None


class _Resource(_Part):
    api_version: str
    kind: str
    metadata: Metadata
    status: Any = None  # what a cluster adds


class ServicePort(_Part):
    """`ServiceEntry.ports[]`. `number` is what programs use, `target_port` what the endpoints listen at."""

    number: Port
    protocol: Annotated[
        Protocol,
        BeforeValidator(
            _one_of(
                {each.name: each for each in Protocol},
                dict.fromkeys(("HTTPS", "TLS", "GRPC-WEB", "MONGO", "MYSQL", "REDIS", "UDP", "HTTP_PROXY"), _NOT_YET),
            )
        ),
        BeforeValidator(_upper),  # runs first; Istio does not mind the case
    ]
    name: Annotated[str, AfterValidator(_not_empty)]
    target_port: Port | None = None


class Endpoint(_Part):
    """`ServiceEntry.endpoints[]` (a WorkloadEntry). `ports` has a port for the name of a service port."""

    NOT_YET = ("labels", "network", "locality", "weight", "serviceAccount")

    address: Annotated[str, AfterValidator(_address)]
    ports: dict[str, Port] = Field({})


class ServiceEntrySpec(_Part):
    NOT_YET = ("addresses", "workloadSelector", "exportTo")

    hosts: Annotated[list[Host], AfterValidator(_exactly_one)]
    ports: Annotated[list[ServicePort], AfterValidator(_exactly_one)]
    location: Annotated[
        str, BeforeValidator(_one_of({"MESH_EXTERNAL": "MESH_EXTERNAL"}, {"MESH_INTERNAL": _NOT_YET}))
    ] = "MESH_EXTERNAL"
    resolution: Annotated[
        str,
        BeforeValidator(
            _one_of(
                {"STATIC": "STATIC", "DNS": "DNS"},
                {
                    "NONE": f"{_NOT_YET} (it is what Istio takes when nothing is said): say STATIC or DNS",
                    **dict.fromkeys(("DNS_ROUND_ROBIN", "DYNAMIC_DNS"), _NOT_YET),
                },
            )
        ),
    ] = Field("NONE", validate_default=True)
    endpoints: list[Endpoint] = Field([])
    subject_alt_names: list[DnsName] = Field([])

    @property
    def host(self) -> str:
        return self.hosts[0]

    @property
    def port(self) -> ServicePort:
        return self.ports[0]


class ServiceEntry(_Resource):
    """A service outside the mesh: its name, ports and addresses."""

    spec: ServiceEntrySpec


class ClientTls(_Part):
    """`ClientTLSSettings`: the TLS that the caller's sidecar makes. Empty text is as if it were left out."""

    NOT_YET = ("credentialName", "caCrl")

    mode: Annotated[
        ExternalTls,
        BeforeValidator(
            _one_of(
                {each.name: each for each in ExternalTls},
                {"ISTIO_MUTUAL": "is for services of the mesh, which do it without being told; an external has MUTUAL"},
            )
        ),
    ] = ExternalTls.DISABLE
    client_certificate: FilePath = ""
    private_key: FilePath = ""
    ca_certificates: FilePath = ""
    sni: Annotated[str, AfterValidator(_host_or_empty)] = ""
    subject_alt_names: list[DnsName] = Field([])
    insecure_skip_verify: Annotated[bool, AfterValidator(_verified)] = False

    @model_validator(mode="after")
    def _fits_its_mode(self) -> ClientTls:
        certificate = {"clientCertificate": self.client_certificate, "privateKey": self.private_key}
        names = {"caCertificates": self.ca_certificates, "sni": self.sni, "subjectAltNames": self.subject_alt_names}
        if self.mode is ExternalTls.MUTUAL:
            missing = [key for key, value in certificate.items() if not value]
            if missing:
                raise ValueError(f"mode MUTUAL needs {' and '.join(missing)}")
            return self
        meaningless = certificate if self.mode is ExternalTls.SIMPLE else {**certificate, **names}
        said = [key for key, value in meaningless.items() if value]
        if said:
            raise ValueError(f"mode {self.mode.name} has no use for {', '.join(said)}: did you mean MUTUAL?")
        return self


class PortSelector(_Part):
    number: Port


class PortTrafficPolicy(_Part):
    """What holds for one service port, instead of (not beside) what the rule says for all."""

    NOT_YET = ("loadBalancer", "connectionPool", "outlierDetection")

    port: PortSelector
    tls: ClientTls | None = None


class TrafficPolicy(_Part):
    NOT_YET = ("loadBalancer", "connectionPool", "outlierDetection", "tunnel", "proxyProtocol", "retryBudget")

    tls: ClientTls | None = None
    port_level_settings: list[PortTrafficPolicy] = Field([])


class DestinationRuleSpec(_Part):
    NOT_YET = ("subsets", "exportTo", "workloadSelector")

    host: Host
    traffic_policy: TrafficPolicy = TrafficPolicy()


class DestinationRule(_Resource):
    """How callers speak to a host."""

    spec: DestinationRuleSpec


class Destination(_Part):
    NOT_YET = ("subset",)

    host: Host
    port: PortSelector | None = None


class RouteDestination(_Part):
    NOT_YET = ("headers",)

    destination: Destination
    weight: Annotated[int, Field(ge=0)] = 100  # means nothing for the only destination


class HttpRoute(_Part):
    NOT_YET = (
        "name",
        "match",
        "retries",
        "headers",
        "rewrite",
        "fault",
        "mirror",
        "mirrors",
        "mirrorPercent",
        "mirrorPercentage",
        "redirect",
        "directResponse",
        "corsPolicy",
        "delegate",
    )

    route: Annotated[list[RouteDestination], AfterValidator(_exactly_one)]
    timeout: Annotated[timedelta, BeforeValidator(duration)] | None = None

    @property
    def destination(self) -> Destination:
        return self.route[0].destination


class VirtualServiceSpec(_Part):
    NOT_YET = ("tls", "tcp", "exportTo")

    hosts: Annotated[list[Host], AfterValidator(_exactly_one)]
    gateways: Annotated[list[str], AfterValidator(_only_mesh)] = Field(["mesh"])
    http: Annotated[list[HttpRoute], AfterValidator(_exactly_one)]

    @property
    def host(self) -> str:
        return self.hosts[0]


class VirtualService(_Resource):
    """How requests to a host are routed."""

    spec: VirtualServiceSpec
