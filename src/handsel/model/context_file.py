"""The part `contexts:` of the mesh file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from handsel.documents.yaml import Document, Path
from handsel.errors import InvalidFile
from handsel.model.context import (
    PROTOCOLS,
    ClientCertificate,
    Contexts,
    Failure,
    KeyStore,
    Password,
    Revocation,
    TlsContext,
    TrustStore,
)
from handsel.model.durations import Duration
from handsel.model.faults import NAME, FilePath, Strict, validate
from handsel.model.secret import SECRET_NAME
from handsel.pki.names import SpiffeId, dns_name

_KINDS = ("jks", "jceks", "pkcs12", "bcfks", "pem")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_CIPHER = re.compile(r"[A-Z0-9][A-Z0-9_-]{2,60}")
_OLD = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1")


def _is_protocol(name: str) -> str:
    if name in _OLD:
        raise ValueError(f"{name} cannot be made safe, and is not spoken (RFC 8996): {' or '.join(PROTOCOLS)}")
    if name not in PROTOCOLS:
        raise ValueError(f"a protocol is one of {', '.join(PROTOCOLS)}, not {name[:20]!r}")
    return name


def _is_cipher(name: str) -> str:
    if not _CIPHER.fullmatch(name):
        raise ValueError(f"{name[:60]!r} is no name of a cipher suite in OpenSSL's spelling")
    weak = ("NULL", "EXP", "ADH", "AECDH", "RC4", "DES", "MD5", "RC2", "IDEA", "SEED")
    if any(part in weak or part == "SHA" for part in name.split("-")):
        raise ValueError(f"{name} is weak: use suites with ECDHE and GCM or CHACHA20")
    return name


def _is_peer(text: str) -> str:
    return str(SpiffeId.parse(text)) if text.startswith("spiffe:") else dns_name(text)


def _is_list(text: str) -> str:
    if "://" in text and not text.startswith(("http://", "https://")):
        raise ValueError(f"{text[:60]!r} is neither a file nor an http address")
    return text


def _is_responder(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"{text[:60]!r} is no http address")
    return text


def _is_variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is no name of an environment variable")
    return name


def _is_secret(name: str) -> str:
    if not SECRET_NAME.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is no name of a secret")
    return name


def _no_literal(said: object) -> object:
    if isinstance(said, str):
        raise ValueError("a password is not written here: say where it is, as {file: …}, {env: …} or {secret: …}")
    return said


class PasswordFile(Strict):
    """Where a password is. One of the three."""

    file: FilePath | None = Field(None, description="The first line of this file.")
    env: Annotated[str, AfterValidator(_is_variable)] | None = Field(None, description="This environment variable.")
    secret: Annotated[str, AfterValidator(_is_secret)] | None = Field(
        None, description="A file of this name in $HANDSEL_SECRETS, $CREDENTIALS_DIRECTORY or /run/secrets."
    )


_Password = Annotated[PasswordFile, BeforeValidator(_no_literal)]


class KeyStoreFile(Strict):
    """The own key and chain."""

    path: FilePath | None = Field(None, description="A store of any format, or a PEM file with the key.")
    type: Literal["jks", "jceks", "pkcs12", "bcfks", "pem"] | None = Field(
        None, description="What the file should be; it is told by its bytes."
    )
    password: _Password | None = Field(None, description="Of the store.")
    key_password: _Password | None = Field(None, description="Of the key. The store's when left out.")
    alias: str = Field("", max_length=200, description="Which key, when there are several.")
    chain: FilePath | None = Field(None, description="A PEM file with the chain, when the key's file has none.")
    authority: bool = Field(False, description="From handsel's CA, renewed by the agent of the host.")
    secret: Annotated[str, AfterValidator(_is_secret)] | None = Field(
        None, description="Its name in $HANDSEL_SECRETS, $CREDENTIALS_DIRECTORY or /run/secrets."
    )


class TrustStoreFile(Strict):
    """Whom to believe."""

    path: FilePath | None = Field(None, description="A store of any format, or a PEM file with the roots.")
    type: Literal["jks", "jceks", "pkcs12", "bcfks", "pem"] | None = Field(
        None, description="What the file should be; it is told by its bytes."
    )
    password: _Password | None = Field(None, description="Of the store.")
    authority: bool = Field(False, description="handsel's CA.")
    system: bool = Field(False, description="The roots of this machine.")
    secret: Annotated[str, AfterValidator(_is_secret)] | None = Field(
        None, description="Its name in $HANDSEL_SECRETS, $CREDENTIALS_DIRECTORY or /run/secrets."
    )


class RevocationFile(Strict):
    """Whether certificates were taken back."""

    crl: list[Annotated[str, AfterValidator(_is_list)]] = Field(
        [], max_length=50, description="Files or http addresses of lists."
    )
    ocsp: bool = Field(False, description="Ask the responder that the certificate names.")
    responder: Annotated[str, AfterValidator(_is_responder)] | None = Field(
        None, description="The responder to ask instead."
    )
    failure: Failure = Field(Failure.HARD, description="`soft`: an answer that cannot be had lets the peer through.")
    whole_chain: bool = Field(False, description="Also for the CAs between, not only for the leaf.")
    timeout: Duration = Field(
        timedelta(seconds=3), description="For one answer.", json_schema_extra={"default": "3s"}
    )  # fmt: skip


class ContextFile(Strict):
    """How a program makes its own TLS."""

    key_store: KeyStoreFile | None = Field(None, description="The own key and chain.")
    trust_store: TrustStoreFile | None = Field(
        None, description="Whom to believe. Left out: a client the system's roots; a server asks no certificate."
    )
    protocols: list[Annotated[str, AfterValidator(_is_protocol)]] = Field(
        list(PROTOCOLS), min_length=1, description="TLSv1.2, TLSv1.3."
    )
    ciphers: list[Annotated[str, AfterValidator(_is_cipher)]] = Field(
        [], description="The suites of TLS 1.2, by OpenSSL's names. Its good ones when left out."
    )
    alpn: list[str] = Field([], max_length=10, description="Protocols that are offered, as h2.")
    client_certificate: ClientCertificate = Field(
        ClientCertificate.REQUIRED, description="What a server with a trust store asks of its clients."
    )
    peers: list[Annotated[str, AfterValidator(_is_peer)]] = Field(
        [], max_length=1000, description="SPIFFE IDs or DNS names of which the peer must have one."
    )
    revocation: RevocationFile | None = Field(None, description="Whether certificates were taken back.")
    insecure: bool = Field(False, description="Nothing is checked: for tests only. It warns at every use.")


class ContextsOnly(Strict):
    """A mesh file of which only the contexts are looked at: what else it says is for others."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    contexts: dict[str, ContextFile] = Field({})
    forbid_insecure: bool = Field(False)


@dataclass(frozen=True)
class Declared:
    """The contexts of a file, and whether it forbids insecure ones."""

    contexts: Contexts
    forbid_insecure: bool


def parse_contexts(documents: Sequence[Document], absolute: Callable[[str], str]) -> Declared:
    """The contexts of a mesh file alone. Raises `InvalidFile` with every fault of theirs."""
    if not documents or not isinstance(documents[0].value, dict):
        return Declared({}, forbid_insecure=False)
    document = documents[0]
    content = validate(document, ContextsOnly)
    faults = [document.fault(path, message) for path, message in context_faults(content.contexts)]
    if faults:
        raise InvalidFile(sorted(faults))
    return Declared(read_contexts(content.contexts, absolute), content.forbid_insecure)


def read_contexts(written: Mapping[str, ContextFile], absolute: Callable[[str], str]) -> Contexts:
    """The contexts, with paths made absolute by `absolute`."""
    return {name: _context(name, each, absolute) for name, each in written.items()}


def context_faults(written: Mapping[str, ContextFile]) -> Iterator[tuple[Path, str]]:
    """What only the whole of a context tells: the path of the setting, and what is wrong."""
    for name, each in written.items():
        place: Path = ("contexts", name)
        if not NAME.fullmatch(name):
            yield place, "a name has lower-case letters, digits and dashes, at most 63"
        if each.key_store is not None:
            yield from _key_store_faults((*place, "key_store"), each.key_store)
        if each.trust_store is not None:
            yield from _trust_store_faults((*place, "trust_store"), each.trust_store)
        if each.insecure and (each.trust_store or each.revocation or each.peers):
            yield (*place, "insecure"), "it checks nothing: take trust_store, peers and revocation out, or insecure"
        if each.revocation is not None and not (
            each.revocation.crl or each.revocation.ocsp or each.revocation.responder
        ):
            yield (*place, "revocation"), "say crl, or ocsp: true"
        if each.ciphers and "TLSv1.2" not in each.protocols:
            yield (*place, "ciphers"), "these are suites of TLS 1.2, which this context does not speak"


def _key_store_faults(place: Path, key: KeyStoreFile) -> Iterator[tuple[Path, str]]:
    if [key.path is not None, key.authority, key.secret is not None].count(True) != 1:
        yield place, "say one of path, secret and authority: true"
    if key.authority and (key.alias or key.chain or key.password or key.key_password):
        yield place, "what comes from the authority has no alias, chain or password"
    yield from _password_faults((*place, "password"), key.password)
    yield from _password_faults((*place, "key_password"), key.key_password)


def _trust_store_faults(place: Path, trust: TrustStoreFile) -> Iterator[tuple[Path, str]]:
    if [trust.path is not None, trust.secret is not None, trust.authority, trust.system].count(True) != 1:
        yield place, "say one of path, secret, authority: true and system: true"
    yield from _password_faults((*place, "password"), trust.password)


def _password_faults(place: Path, written: PasswordFile | None) -> Iterator[tuple[Path, str]]:
    if written is not None and [written.file, written.env, written.secret].count(None) != 2:
        yield place, "say one of file, env and secret"


def _context(name: str, written: ContextFile, absolute: Callable[[str], str]) -> TlsContext:
    key, trust, revocation = written.key_store, written.trust_store, written.revocation

    def path(text: str | None) -> str:
        return absolute(text) if text else ""

    def password(said: PasswordFile | None) -> Password | None:
        return Password(path(said.file), said.env or "", said.secret or "") if said else None

    return TlsContext(
        name,
        KeyStore(
            path(key.path), key.type or "", password(key.password), password(key.key_password), key.alias,
            path(key.chain), key.authority, key.secret or "",
        ) if key else None,
        TrustStore(
            path(trust.path), trust.type or "", password(trust.password), trust.authority, trust.system,
            trust.secret or "",
        ) if trust else None,
        tuple(each for each in PROTOCOLS if each in written.protocols),
        tuple(written.ciphers), tuple(written.alpn), written.client_certificate, tuple(written.peers),
        Revocation(
            tuple(each if "://" in each else absolute(each) for each in revocation.crl),
            revocation.ocsp or bool(revocation.responder), revocation.responder or "", revocation.failure,
            revocation.whole_chain, revocation.timeout,
        ) if revocation else None,
        written.insecure,
    )  # fmt: skip
