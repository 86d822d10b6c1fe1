"""`services.NAME.upstream:` in the mesh file: what an adapter stands before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from handsel.documents.yaml import Path
from handsel.model.faults import HOST, FilePath, Port, Strict
from handsel.model.gateway import Legacy
from handsel.model.graph import Protocol, is_address
from handsel.model.server_tls_file import Version
from handsel.model.traffic import ClientTls, TlsMode


def _is_place(text: str) -> str:
    if not is_address(text) and not HOST.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is neither an address nor a host name in lower case")
    return text


class UpstreamTlsFile(Strict):
    """How something old speaks TLS."""

    minimum: Version = Field("TLSv1.2", description="The oldest version that is taken.")
    maximum: Version = Field("TLSv1.3", description="The newest version that is offered.")
    ciphers: list[str] = Field([], description="Cipher suites up to TLS 1.2, by OpenSSL's names.")
    ca_certificates: FilePath | None = Field(
        None, description="PEM file with the roots to trust. The system's when left out."
    )
    server_name: str | None = Field(None, description="The name that its certificate carries. `host` when left out.")
    client_certificate: FilePath | None = Field(None, description="PEM file with the chain to show it.")
    private_key: FilePath | None = Field(None, description="PEM file with its key.")
    insecure: bool = Field(False, description="True: whatever certificate it shows is taken.")


class UpstreamFile(Strict):
    """Something old that is left as it is: the mesh speaks to it through an adapter."""

    host: Annotated[str, AfterValidator(_is_place)] = Field(description="Where it is.")
    port: Port = Field(description="Its port.")
    protocol: Literal["http1.0", "http", "http2", "grpc", "tcp"] | None = Field(
        None, description="What it speaks. As `protocol` of the service when left out."
    )
    tls: UpstreamTlsFile | None = Field(None, description="How it speaks TLS. Plain when left out.")


def adapter_faults(
    role: str, upstream: UpstreamFile | None, protocol: Protocol, *, has_program: bool
) -> Iterator[tuple[Path, str]]:
    """What is wrong with what an adapter stands before."""
    if role != "adapter":
        if upstream:
            yield ("upstream",), "only an adapter stands before something else than its program: role: adapter"
        return
    if upstream is None:
        yield ("role",), "say with `upstream` what the adapter stands before"
        return
    if has_program:
        yield ("command",), "an adapter has no program: start what it stands before as a service with sidecar: false"
    spoken = "http" if upstream.protocol == "http1.0" else upstream.protocol
    if spoken and spoken != protocol:
        yield ("upstream", "protocol"), f"the adapter's callers speak {protocol}: say protocol: {spoken}"
    tls = upstream.tls
    if tls and (tls.client_certificate is None) != (tls.private_key is None):
        yield ("upstream", "tls"), "client_certificate and private_key go together"
    if tls and tls.minimum > tls.maximum:
        yield ("upstream", "tls", "minimum"), f"is newer than maximum, {tls.maximum}"


def read_upstream(content: UpstreamFile, absolute: Callable[[str], str]) -> Legacy:
    """What the adapter stands before, as the graph has it."""
    tls, http10 = content.tls, content.protocol == "http1.0"
    if tls is None:
        return Legacy(content.host, content.port, http10=http10)
    spoken = ClientTls(
        TlsMode.MUTUAL if tls.client_certificate else TlsMode.SIMPLE,
        absolute(tls.client_certificate) if tls.client_certificate else "",
        absolute(tls.private_key) if tls.private_key else "",
        absolute(tls.ca_certificates) if tls.ca_certificates else "",
        server_name=tls.server_name or content.host,
        insecure=tls.insecure,
    )
    return Legacy(content.host, content.port, spoken, tls.minimum, tls.maximum, tuple(tls.ciphers), http10)
