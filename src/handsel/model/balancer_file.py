"""`balancers:` in the mesh file. The keys are those of MuleSoft's dedicated load balancer; what is ours says so."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from pydantic import Field

from handsel.documents.yaml import Path
from handsel.model.balancer import (
    Application,
    Balancer,
    CipherSet,
    ClientMode,
    Clients,
    Health,
    HttpMode,
    Mapping,
    Preset,
    SslEndpoint,
    UpstreamProtocol,
)
from handsel.model.certificate_files import NO_FILES, ReadFile, look
from handsel.model.durations import Duration
from handsel.model.faults import HOST, FilePath, Port, Strict
from handsel.model.gateway import KeyFiles, Role
from handsel.model.graph import Protocol, Service, is_address
from handsel.model.origin import Origin
from handsel.model.sizes import Size
from handsel.pki.names import SpiffeId, TrustDomain

SHARED_PORTS = (8081, 8082)
DEDICATED_PORTS = (8091, 8092)
_SHARED_RATE = 1000


class MappingFile(Strict):
    """A rule. The first that fits takes a request."""

    input_uri: str = Field(description="How the path begins, with {variables}: /api/{app}/.")
    app_name: str = Field(description="The application, perhaps with the variables of input_uri or {subdomain}.")
    app_uri: str = Field("/", description="What takes the place of what fitted.")
    upstream_protocol: UpstreamProtocol = Field(
        UpstreamProtocol.HTTP, description="How workers are spoken to. ws and wss let WebSockets through."
    )
    strict: bool = Field(False, description="True: /foo takes /foo/bar, but not /foobar. (ours)")


class HealthFile(Strict):
    """How endpoints are looked at. One that fails gets no requests."""

    path: str = Field("", pattern=r"^(/[!-~]{0,500})?$", description="Must answer 200; left out: it takes connections.")
    interval: Duration = Field(timedelta(seconds=5), description="Between two looks.")
    timeout: Duration = Field(timedelta(seconds=2), description="How long a look may take.")
    unhealthy: int = Field(3, ge=1, le=100, description="Bad looks in a row until it leaves.")
    healthy: int = Field(2, ge=1, le=100, description="Good looks in a row until it returns.")


class ApplicationFile(Strict):
    """What rules may lead to: a service or an external of this file, or workers elsewhere."""

    workers: list[str] = Field([], description="Addresses of workers, perhaps with a port. Left out: a callee by name.")
    http_port: Port | None = Field(None, description="Of http and ws. 8091 (8081 when shared).")
    https_port: Port | None = Field(None, description="Of https and wss. 8092 (8082 when shared).")
    ca_certificates: FilePath = Field("", description="Whom to believe at https workers. The system's when left out.")
    server_name: str = Field("", description="The name in their certificate. The application's when left out.")
    health: HealthFile = Field(HealthFile(), description="How endpoints are looked at.")
    check_health: bool = Field(True, description="False: they are not looked at.")


class CertificateFile(Strict):
    """A certificate and its key, PEM."""

    public_key: FilePath = Field(description="The certificate, then its issuers.")
    private_key: FilePath = Field(description="Its key, without a passphrase.")


class SslEndpointFile(Strict):
    """The names of a certificate, and what is served there."""

    public_key: FilePath = Field(description="The certificate, then its issuers, PEM.")
    private_key: FilePath = Field(description="Its key, PEM, without a passphrase.")
    more_certificates: list[CertificateFile] = Field(
        [], description="The same names for the other kind of key: RSA beside ECDSA. (ours)"
    )
    names: list[str] = Field(
        [], description="The names in the certificate, where its file is on another machine. (ours)"
    )
    vanity_names: list[str] = Field([], description="Names that clients use; each must be in the certificate.")
    mappings: list[MappingFile] = Field([], description="Rules of this endpoint. Those of the balancer when left out.")
    verify_client_mode: ClientMode | None = Field(None, description="For this endpoint alone. (ours)")
    client_cert: FilePath = Field("", description="For this endpoint alone. (ours)")
    revocation_list: FilePath = Field("", description="For this endpoint alone. (ours)")
    ip_allowlist: list[str] = Field([], description="For this endpoint alone. (ours)")


class BalancerFile(Strict):
    """One load balancer."""

    preset: Preset = Field(Preset.DEDICATED, description="shared: one for all applications, found by their host name.")
    domain: str = Field("", description="Of the shared preset: APPLICATION.DOMAIN is where an application is found.")
    state: str = Field("started", pattern="^(started|stopped)$", description="stopped: it listens at no port.")
    bind: str = Field("", description="The address to listen at. That of the host in the mesh when left out.")
    http_mode: HttpMode = Field(HttpMode.OFF, description="The plain port: off, on, or redirect to https.")
    http_port: Port = Field(80, description="The plain port. (ours)")
    https_port: Port = Field(443, description="The port of the ssl_endpoints. (ours)")
    ssl_endpoints: list[SslEndpointFile] = Field([], description="Certificates, and what is served under their names.")
    default_ssl_endpoint: int = Field(0, ge=0, description="The index of the one for no or an unknown name.")
    mappings: list[MappingFile] = Field([], description="Rules, in order: the first that fits takes a request.")
    applications: dict[str, ApplicationFile] = Field(description="All that rules may lead to, by name.")
    client_cert: FilePath = Field("", description="The CAs of client certificates, PEM.")
    verify_client_mode: ClientMode = Field(ClientMode.OFF, description="Whether clients show certificates.")
    revocation_list: FilePath = Field("", description="Revoked client certificates: lists in PEM, one after the other.")
    forward_client_certificate: bool = Field(True, description="Tell applications, in headers X-SSL-Client-….")
    forward_failed: bool = Field(False, description="A certificate not believed comes through, marked FAILED. (ours)")
    tlsv1: bool = Field(False, description="TLS 1.0 and 1.1 too. Insecure.")
    default_cipher_suite: CipherSet = Field(CipherSet.NEW_DEFAULT, description="The suites of TLS 1.2.")
    ip_allowlist: list[str] = Field([], description="Whose connections are taken, as 10.0.0.0/8. All when left out.")
    trusted_hops: int = Field(
        0, ge=0, le=10, description="Proxies before this one that X-Forwarded-For is believed of. (ours)"
    )
    proxy_protocol: bool = Field(False, description="Connections begin with a line of the PROXY protocol. (ours)")
    proxy_read_timeout: Duration = Field(timedelta(seconds=300), description="How long an application may take.")
    keep_url_encoding: bool = Field(False, description="True: paths are compared and passed on as they came.")
    payload_limit: Size = Field(200 << 20, description="The largest body of a request; beyond it the answer is 413.")
    rate_limit: int | None = Field(
        None, ge=1, le=10_000_000, description="Requests a second a certificate, 429 beyond. 1000 when shared."
    )
    namespace: str = Field("default", description="Of its identity.")


@dataclass(frozen=True)
class ReadBalancers:
    """A load balancer is a workload without a program, and what it does."""

    services: tuple[Service, ...] = ()
    balancers: tuple[Balancer, ...] = ()


def read_balancers(
    content: dict[str, BalancerFile],
    trust_domain: TrustDomain,
    origin: Callable[[Path], Origin],
    absolute: Callable[[str], str],
    read: ReadFile = NO_FILES,
) -> ReadBalancers:
    """The load balancers, in the order of the file; of one with faults something that others can still refer to."""
    readers = [_Reader(name, each, origin, absolute, read) for name, each in content.items()]
    return ReadBalancers(
        tuple(each.service(trust_domain) for each in readers), tuple(each.balancer() for each in readers)
    )


class _Reader:
    def __init__(
        self,
        name: str,
        content: BalancerFile,
        origin: Callable[[Path], Origin],
        absolute: Callable[[str], str],
        read: ReadFile,
    ) -> None:
        self._name, self._content, self._read = name, content, read
        self._places, self._paths = origin, absolute

    def _origin(self, *path: str | int) -> Origin:
        return self._places((self._name, *path))

    def _absolute(self, path: str) -> str:
        return self._paths(path) if path else ""

    def service(self, trust_domain: TrustDomain) -> Service:
        return Service(
            self._name, _identity(self._name, self._content, trust_domain), Protocol.HTTP, 0, (), {}, True,
            self._origin(), namespace=self._content.namespace, labels=(("app", self._name),), role=Role.BALANCER,
        )  # fmt: skip

    def balancer(self) -> Balancer:
        said = self._content
        return Balancer(
            self._name,
            tuple(self._endpoint(index, each) for index, each in enumerate(said.ssl_endpoints)),
            tuple(self._application(name, each) for name, each in said.applications.items()),
            mappings=self._mappings(None),
            default=said.default_ssl_endpoint,
            preset=said.preset,
            domain=said.domain.lower(),
            started=said.state == "started",
            bind=said.bind,
            http_mode=said.http_mode,
            http_port=said.http_port,
            https_port=said.https_port,
            tls_1_0=said.tlsv1,
            ciphers=said.default_cipher_suite,
            allow=networks(said.ip_allowlist),
            trusted_hops=said.trusted_hops,
            proxy_protocol=said.proxy_protocol,
            read_timeout=said.proxy_read_timeout,
            keep_url_encoding=said.keep_url_encoding,
            payload_limit=said.payload_limit,
            rate_limit=said.rate_limit or (_SHARED_RATE if said.preset is Preset.SHARED else 0),
            origin=self._origin(),
        )

    def _endpoint(self, index: int, said: SslEndpointFile) -> SslEndpoint:
        files = [(said.public_key, said.private_key), *((e.public_key, e.private_key) for e in said.more_certificates)]
        certificates = tuple(KeyFiles(self._absolute(public), self._absolute(key)) for public, key in files)
        return SslEndpoint(
            certificates,
            names_of(said, self._absolute, self._read),
            self._mappings(index),
            self._clients(said),
            networks(said.ip_allowlist or self._content.ip_allowlist),
            tuple(each.lower() for each in said.vanity_names),
            look(certificates[0].certificate, certificates[0].private_key, self._read).has_common_name,
            self._origin("ssl_endpoints", index),
        )

    def _clients(self, said: SslEndpointFile) -> Clients:
        above = self._content
        mode = above.verify_client_mode if said.verify_client_mode is None else said.verify_client_mode
        ca, crl = said.client_cert or above.client_cert, said.revocation_list or above.revocation_list
        if mode is ClientMode.OFF:
            return Clients(ca=self._absolute(ca))
        forward = above.forward_client_certificate
        return Clients(mode, self._absolute(ca), self._absolute(crl), forward, above.forward_failed)

    def _mappings(self, endpoint: int | None) -> tuple[Mapping, ...]:
        """The rules of an endpoint; None: of the plain port, and of endpoints that have none."""
        if self._content.preset is Preset.SHARED:
            protocol = UpstreamProtocol.HTTP if endpoint is None else UpstreamProtocol.HTTPS
            return (Mapping("/", "{subdomain}", "/", protocol, origin=self._origin()),)
        above: Path = ("mappings",)
        said = self._content.mappings
        if endpoint is not None and self._content.ssl_endpoints[endpoint].mappings:
            above, said = ("ssl_endpoints", endpoint, "mappings"), self._content.ssl_endpoints[endpoint].mappings
        return tuple(
            Mapping(
                each.input_uri, each.app_name, each.app_uri, each.upstream_protocol, each.strict,
                self._origin(*above, index),
            )
            for index, each in enumerate(said)
        )  # fmt: skip

    def _application(self, name: str, said: ApplicationFile) -> Application:
        http, https = SHARED_PORTS if self._content.preset is Preset.SHARED else DEDICATED_PORTS
        health = said.health
        return Application(
            name,
            tuple(worker(each) or ("", 0) for each in said.workers),
            said.http_port or http,
            said.https_port or https,
            self._absolute(said.ca_certificates),
            said.server_name or name,
            Health(health.path, health.interval, health.timeout, health.unhealthy, health.healthy)
            if said.check_health
            else None,
        )


def names_of(said: SslEndpointFile, absolute: Callable[[str], str], read: ReadFile) -> tuple[str, ...]:
    """The names of an endpoint: of its certificate, or as they are written."""
    pair = look(absolute(said.public_key), absolute(said.private_key), read)
    return tuple(dict.fromkeys(each.lower() for each in said.names)) if not pair.here else pair.names


def networks(said: list[str]) -> tuple[str, ...]:
    """The networks of an allowlist as CIDR, each once; what is none is left out."""
    found: dict[str, None] = {}
    for text in said:
        try:
            found[str(ipaddress.ip_network(text, strict=False))] = None
        except ValueError:
            continue
    return () if "0.0.0.0/0" in found and "::/0" in found else tuple(found)


def worker(text: str) -> tuple[str, int] | None:
    """An address of a worker, perhaps with a port: `10.0.0.1`, `10.0.0.1:9000`, `[::1]:9000`, a name. Port 0: usual."""
    host, mark, port = text, "", ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        mark, port = rest[:1], rest[1:]
    elif text.count(":") == 1:
        host, mark, port = text.partition(":")
    known = is_address(host) or HOST.fullmatch(host)
    if not known or mark not in ("", ":") or (mark and not 0 < int(port if port.isdecimal() else 0) <= 65535):
        return None
    return host, int(port or 0)


def _identity(name: str, content: BalancerFile, trust_domain: TrustDomain) -> SpiffeId:
    try:
        return trust_domain.workload(content.namespace, name)
    except ValueError:
        return trust_domain.nobody
