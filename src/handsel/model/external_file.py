"""`external:` in the mesh file: one service outside the mesh each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from pydantic import Field

from handsel.documents.yaml import Path
from handsel.model.authority_file import read_address
from handsel.model.faults import HOST, NAME, FilePath, Port, Strict
from handsel.model.graph import External, ExternalTls, Protocol
from handsel.model.origin import Origin
from handsel.model.server_tls_file import Credential


class ExternalTlsFile(Strict):
    """The TLS that the sidecar makes towards an external service."""

    mode: Literal["disable", "simple", "mutual"] = Field("simple", description="`mutual` shows a client certificate.")
    client_certificate: FilePath | None = Field(None, description="PEM file with the client's chain.")
    private_key: FilePath | None = Field(None, description="PEM file with its key.")
    ca_certificates: FilePath | None = Field(
        None, description="PEM file with the roots to trust. The system's when left out."
    )
    credential: Credential | None = Field(
        None,
        description="Instead of these files: a group of `handsel secret` with tls.crt, tls.key and ca.crt, or a Secret "
        "of Kubernetes. Only hosts of who calls it get it.",
    )
    server_name: str | None = Field(None, description="The name sent as SNI. `host` when left out.")


class ExternalFile(Strict):
    """A service outside the mesh."""

    host: str = Field(description="Its name, as programs write it: http://host/.")
    port: Port = Field(443, description="Its port.")
    protocol: Protocol = Field(Protocol.HTTP, description="What it speaks.")
    endpoints: list[str] = Field([], description="Addresses as ip:port. By DNS when left out.")
    tls: ExternalTlsFile = Field(ExternalTlsFile(), description="How the sidecar speaks to it.")


def external_faults(name: str, content: ExternalFile) -> Iterator[tuple[Path, str]]:
    """What is wrong with an external by itself, each with its path below it."""
    if not NAME.fullmatch(name):
        yield (), "a name has lower-case letters, digits and dashes, at most 63"
    if not HOST.fullmatch(content.host):
        yield ("host",), f"{content.host!r} is no host name in lower case"
    for index, text in enumerate(content.endpoints):
        try:
            read_address(text)
        except ValueError as error:
            yield ("endpoints", index), str(error)
    tls = content.tls
    if tls.credential and (tls.client_certificate or tls.private_key):
        yield ("tls",), "either a credential, or client_certificate and private_key"
    elif tls.mode == "mutual" and not tls.credential and not (tls.client_certificate and tls.private_key):
        yield ("tls",), "mode mutual needs client_certificate and private_key"
    if tls.mode != "mutual" and (tls.client_certificate or tls.private_key):
        yield ("tls",), f"mode {tls.mode} shows no client certificate: use mode mutual, or leave it out"


def read_external(name: str, content: ExternalFile, origin: Origin, absolute: Callable[[str], str]) -> External:
    """The external; of one with faults something that others can still refer to."""
    tls = content.tls
    server_name = tls.server_name or content.host
    return External(
        name=name,
        host=content.host,
        port=content.port,
        plain_port=80,
        protocol=content.protocol,
        endpoints=tuple(_addresses(content)),
        tls=ExternalTls(tls.mode),
        client_certificate=absolute(tls.client_certificate) if tls.client_certificate else "",
        private_key=absolute(tls.private_key) if tls.private_key else "",
        ca_certificates=absolute(tls.ca_certificates) if tls.ca_certificates else "",
        server_name=server_name,
        server_names=(server_name,),
        origin=origin,
        credential=tls.credential or "",
    )


def _addresses(content: ExternalFile) -> Iterator[tuple[str, int]]:
    for text in content.endpoints:
        try:
            yield read_address(text)
        except ValueError:
            continue
