"""Gateway: what proxies at the edge of the mesh listen for."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from handsel.mesh.istio.resources.common import CipherSuite, NotYet, Object, Part, TlsVersion, not_empty, one_of, upper
from handsel.mesh.istio.resources.protocols import ENCRYPTED
from handsel.model.faults import HOST, NAME, FilePath, Port, short
from handsel.model.gateway import ServerTlsMode

_SPKI = re.compile(r"[A-Za-z0-9+/]{43}=")
_HASH = re.compile(r"[0-9a-fA-F]{64}|([0-9a-fA-F]{2}:){31}[0-9a-fA-F]{2}")
_MODES = {
    "PASSTHROUGH": ServerTlsMode.PASSTHROUGH,
    "SIMPLE": ServerTlsMode.SIMPLE,
    "MUTUAL": ServerTlsMode.MUTUAL,
    "AUTO_PASSTHROUGH": ServerTlsMode.AUTO_PASSTHROUGH,
    "ISTIO_MUTUAL": ServerTlsMode.MESH,
    "OPTIONAL_MUTUAL": ServerTlsMode.OPTIONAL_MUTUAL,
}
_PROTOCOLS = ("HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS")
TWO = 2
"""Certificates a port: one with an RSA key, one with an ECDSA key."""


def _server_host(text: str) -> str:
    namespace, slash, host = text.rpartition("/")
    if slash and not (namespace in ("*", ".") or NAME.fullmatch(namespace)):
        raise ValueError(f"a host here is a name, or namespace/name, unlike {short(text)}")
    if host != "*" and not HOST.fullmatch(host.removeprefix("*.")):
        raise ValueError(f"{short(host)} is no host name in lower case")
    return text


def _matches(pattern: re.Pattern[str], what: str, text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{short(text)} is no {what}")
    return text


class TlsCertificate(Part):
    """A certificate and its key, as paths."""

    server_certificate: FilePath = ""
    private_key: FilePath = ""
    ca_certificates: FilePath = ""


class ServerTls(Part):
    """`ServerTLSSettings`."""

    https_redirect: bool = False
    mode: Annotated[ServerTlsMode, BeforeValidator(one_of(_MODES))] = ServerTlsMode.PASSTHROUGH
    server_certificate: FilePath = ""
    private_key: FilePath = ""
    ca_certificates: FilePath = ""
    ca_crl: FilePath = ""
    credential_name: str = ""
    credential_names: list[Annotated[str, AfterValidator(not_empty)]] = Field([])
    ca_cert_credential_name: str = ""
    tls_certificates: list[TlsCertificate] = Field([])
    subject_alt_names: list[Annotated[str, AfterValidator(not_empty)]] = Field([])
    verify_certificate_spki: list[
        Annotated[str, AfterValidator(lambda text: _matches(_SPKI, "SHA-256 of a key in base64", text))]
    ] = Field([])
    verify_certificate_hash: list[
        Annotated[str, AfterValidator(lambda text: _matches(_HASH, "SHA-256 of a certificate in hex", text))]
    ] = Field([])
    min_protocol_version: TlsVersion = ""
    max_protocol_version: TlsVersion = ""
    cipher_suites: list[CipherSuite] = Field([])
    insecure_skip_verify: bool = False

    @property
    def is_said(self) -> bool:
        """Whether TLS is spoken at all: `httpsRedirect` alone says nothing of it."""
        return "mode" in self.model_fields_set or bool(self.credential_name or self.server_certificate)

    @model_validator(mode="after")
    def _fits_its_mode(self) -> ServerTls:
        if self.max_protocol_version and self.min_protocol_version > self.max_protocol_version:
            raise ValueError("minProtocolVersion is above maxProtocolVersion")
        if len(self.credential_names) > TWO or len(self.tls_certificates) > TWO:
            raise ValueError("at most two certificates: one with an RSA key, one with an ECDSA key")
        ways = {
            "credentialName": self.credential_name,
            "credentialNames": self.credential_names,
            "tlsCertificates": self.tls_certificates,
            "serverCertificate": self.server_certificate,
        }
        said = [key for key, value in ways.items() if value]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} exclude each other")
        own = (ServerTlsMode.SIMPLE, ServerTlsMode.MUTUAL, ServerTlsMode.OPTIONAL_MUTUAL)
        if self.mode in own and not said:
            raise ValueError("this mode needs credentialName, or serverCertificate and privateKey")
        if self.mode not in own and said:
            raise ValueError(f"this mode has no use for {said[0]}")
        if bool(self.server_certificate) != bool(self.private_key):
            raise ValueError("serverCertificate and privateKey stand together")
        by_name = self.credential_name or self.credential_names or self.ca_cert_credential_name
        if (
            self.mode in (ServerTlsMode.MUTUAL, ServerTlsMode.OPTIONAL_MUTUAL)
            and not by_name
            and not (self.ca_certificates or any(each.ca_certificates for each in self.tls_certificates))
            and not self.insecure_skip_verify
        ):
            raise ValueError("this mode needs caCertificates, to check the clients with")
        return self


class ServerPort(Part):
    """The port of a server."""

    number: Port
    protocol: Annotated[str, BeforeValidator(one_of({each: each for each in _PROTOCOLS})), BeforeValidator(upper)]
    name: str = ""
    target_port: NotYet = None


class Server(Part):
    """`Server`: one port, and the hosts that it takes: names, perhaps as `namespace/name`."""

    port: ServerPort
    hosts: Annotated[list[Annotated[str, AfterValidator(_server_host)]], AfterValidator(not_empty)]
    bind: str = ""
    name: str = ""
    tls: ServerTls | None = None
    default_endpoint: NotYet = None

    @model_validator(mode="after")
    def _speaks_tls_where_it_must(self) -> Server:
        protocol = self.port.protocol
        if protocol in ENCRYPTED and not (self.tls and self.tls.is_said):
            raise ValueError(f"{protocol} needs tls")
        if protocol not in ENCRYPTED and self.tls and self.tls.is_said:
            raise ValueError(f"{protocol} has no tls but httpsRedirect: say HTTPS or TLS")
        return self


class GatewaySpec(Part):
    """For the proxies with these labels."""

    selector: dict[str, str] = Field({})
    servers: Annotated[list[Server], AfterValidator(not_empty)]


class Gateway(Object):
    """What proxies at the edge listen for."""

    spec: GatewaySpec
