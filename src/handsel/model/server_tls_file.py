"""`tls:` of a gateway's port, and of a port that a service exposes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from handsel.documents.yaml import Path
from handsel.model.faults import FilePath, Port, Strict
from handsel.model.gateway import GatewayPort, KeyFiles, ServerTls, ServerTlsMode
from handsel.model.origin import Origin
from handsel.model.secret import PART

Version = Literal["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
_SPKI = re.compile(r"[A-Za-z0-9+/]{43}=")
_HASH = re.compile(r"([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}")
_ASKING = frozenset({"mutual", "optional_mutual"})
_CIPHER = re.compile(r"[A-Z0-9_-]{3,64}")


def _is_spki(text: str) -> str:
    if not _SPKI.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no SHA-256 in base64")
    return text


def _is_hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no SHA-256 in hex")
    return text


def _is_cipher(text: str) -> str:
    if not _CIPHER.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no name of a cipher suite such as ECDHE-RSA-AES128-GCM-SHA256")
    return text


def _is_credential(text: str) -> str:
    if not PART.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no name of a secret")
    return text


Credential = Annotated[str, AfterValidator(_is_credential)]


class ServerTlsFile(Strict):
    """How a port speaks TLS to whoever comes from outside."""

    mode: Literal["simple", "mutual", "optional_mutual", "passthrough"] = Field(
        "simple",
        description="`mutual`: clients show a certificate, `optional_mutual`: they may. `passthrough`: TLS is not "
        "ended here, and the name in it says where it goes.",
    )
    certificate: FilePath | None = Field(None, description="PEM file with the chain that is shown.")
    private_key: FilePath | None = Field(None, description="PEM file with its key.")
    credential: Credential | None = Field(
        None, description="Instead: a group of `handsel secret` with tls.crt and tls.key, or a Secret of Kubernetes."
    )
    ca_certificates: FilePath | None = Field(None, description="PEM file with the roots of the clients.")
    ca_credential: Credential | None = Field(None, description="Instead: a credential with ca.crt.")
    crl: FilePath | None = Field(None, description="PEM file with the list of the clients' revoked certificates.")
    names: list[str] = Field(
        [], description="Names (URI, DNS, address) of which whoever must show a certificate must carry one."
    )
    spki: list[Annotated[str, AfterValidator(_is_spki)]] = Field(
        [], description="Keys of clients: SHA-256 in base64. One of these, or of `hashes`, is needed where they stand."
    )
    hashes: list[Annotated[str, AfterValidator(_is_hash)]] = Field(
        [], description="Certificates of clients: SHA-256 in hex."
    )
    minimum: Version = Field("TLSv1.2", description="The oldest version.")
    maximum: Version = Field("TLSv1.3", description="The newest version.")
    ciphers: list[Annotated[str, AfterValidator(_is_cipher)]] = Field(
        [], description="Cipher suites up to TLS 1.2. Left out: those with forward secrecy and authentication."
    )


class ExposeFile(Strict):
    """A port of a service's own proxy for the outside: its program, with TLS before it."""

    port: Port = Field(description="Where it listens.")
    bind: str | None = Field(None, description="The address. Where other hosts reach this one when left out.")
    tls: Literal["simple", "mutual", "optional_mutual"] | ServerTlsFile = Field(
        "simple", description="How it speaks TLS; a mode alone shows the service's certificate of `acme`, or its own."
    )

    @property
    def details(self) -> ServerTlsFile:
        return self.tls if isinstance(self.tls, ServerTlsFile) else ServerTlsFile(mode=self.tls)


def server_tls_faults(tls: ServerTlsFile, modes: Collection[str], *, has_other: bool) -> Iterator[tuple[Path, str]]:
    """What is wrong with it in these modes. `has_other`: there is a certificate without one being named here."""
    if tls.minimum > tls.maximum:
        yield ("minimum",), f"is newer than maximum, {tls.maximum}"
    shown = tls.certificate or tls.private_key or tls.credential
    if "passthrough" in modes:
        if shown or tls.ca_certificates or tls.ca_credential:
            yield (), "mode passthrough does not end TLS: it has no certificates"
        return
    if (tls.certificate is None) != (tls.private_key is None):
        yield (), "certificate and private_key go together"
    if tls.credential and tls.certificate:
        yield ("credential",), "either a credential, or certificate and private_key"
    if not (shown or has_other):
        yield (), "name certificate and private_key, or a credential, or say `acme`"
    yield from _clients_faults(tls, modes)


def _clients_faults(tls: ServerTlsFile, modes: Collection[str]) -> Iterator[tuple[Path, str]]:
    asks = not _ASKING.isdisjoint(modes)
    if asks and not (tls.ca_certificates or tls.ca_credential or tls.credential):
        yield (), "who asks for client certificates names their roots: ca_certificates, or a credential with ca.crt"
    if tls.ca_certificates and tls.ca_credential:
        yield ("ca_credential",), "either ca_certificates or ca_credential"
    if tls.crl and not tls.ca_certificates:
        yield ("crl",), "a crl goes along with ca_certificates; a credential has its own (ca.crl)"
    if tls.crl and not asks:
        yield ("crl",), "no client certificate is asked for: the crl would do nothing"
    if "mutual" not in modes and (tls.names or tls.spki or tls.hashes):
        yield (), "names, spki and hashes are of clients that must show a certificate: mode mutual"


def read_server_tls(tls: ServerTlsFile, mode: str, usual: KeyFiles | None, absolute: Callable[[str], str]) -> ServerTls:
    """The TLS of a port. `usual`: what is shown when no certificate is named."""
    shown = KeyFiles(
        absolute(tls.certificate) if tls.certificate else "", absolute(tls.private_key) if tls.private_key else "",
        tls.credential or "",
    )  # fmt: skip
    asks = mode in _ASKING
    ca_credential = tls.ca_credential or (tls.credential if asks and not tls.ca_certificates else None)
    named = tuple(each for each in (shown if shown != KeyFiles() else usual,) if each)
    return ServerTls(
        mode=ServerTlsMode(mode),
        certificates=() if mode == "passthrough" else named,
        ca_certificates=absolute(tls.ca_certificates) if tls.ca_certificates and asks else "",
        ca_credential=(ca_credential or "") if asks else "",
        crl=absolute(tls.crl) if tls.crl and asks else "",
        # Who may show one is only told to the program: Envoy demands a certificate as soon as names are expected.
        names=tuple(tls.names) if mode == "mutual" else (),
        spki=tuple(tls.spki) if mode == "mutual" else (),
        hashes=tuple(each.replace(":", "").lower() for each in tls.hashes) if mode == "mutual" else (),
        minimum=tls.minimum,
        maximum=tls.maximum,
        ciphers=tuple(tls.ciphers),
    )


def expose_faults(content: ExposeFile) -> Iterator[tuple[Path, str]]:
    """What is wrong with a port that a service exposes."""
    if content.details.mode == "passthrough":
        yield ("tls",), "a service's own port ends TLS: its program speaks plain"
        return
    for below, message in server_tls_faults(content.details, [content.details.mode], has_other=True):
        yield ("tls", *below), message


def read_expose(
    content: ExposeFile, protocol: str, acme: KeyFiles | None, origin: Origin, absolute: Callable[[str], str]
) -> GatewayPort:
    """The port as the graph has it."""
    return GatewayPort(
        number=content.port,
        protocol=protocol,
        hosts=("*",),
        tls=read_server_tls(content.details, content.details.mode, acme, absolute),
        bind=content.bind or "",
        origin=origin,
    )
