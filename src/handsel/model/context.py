"""A TLS context: how a program makes its own TLS, declared once under a name, for client, server or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class ClientCertificate(StrEnum):
    """What a server asks of its clients. `REQUIRED` makes the handshake two-way."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Failure(StrEnum):
    """What an answer that cannot be had means: `HARD` refuses the peer, `SOFT` lets it through, with a warning."""

    HARD = "hard"
    SOFT = "soft"


@dataclass(frozen=True)
class Password:
    """Where a password comes from: exactly one of them. It is never written in the mesh file itself.

    `file`: the first line of a file. `variable`: of the environment. `secret`: a file of that name in the folder that
    the agent (`$HANDSEL_SECRETS`), systemd (`$CREDENTIALS_DIRECTORY`) or a container's platform (`/run/secrets`) gives
    to the program; one of a group is `GROUP/NAME`.
    """

    file: str = ""
    variable: str = ""
    secret: str = ""

    def __str__(self) -> str:
        return self.file or (f"${self.variable}" if self.variable else f"secret {self.secret}")


@dataclass(frozen=True)
class KeyStore:
    """Where the own key and chain come from.

    `authority`: from handsel's CA, renewed by the agent of this host. Else `path`: a store of any format, or a PEM file
    with the key, its chain in it or in `chain`; or `secret`: a file of that name where the platform puts secrets, see
    `Password`. `kind` is a check only: formats are told by their bytes. `alias`: which
    key, when there are several. `key_password`: of the key, when it is another than the store's.
    """

    path: str = ""
    kind: str = ""
    password: Password | None = None
    key_password: Password | None = None
    alias: str = ""
    chain: str = ""
    authority: bool = False
    secret: str = ""


@dataclass(frozen=True)
class TrustStore:
    """Whom to believe: handsel's CA (`authority`), the system's roots (`system`), or the certificates of a file.

    The file is a `path` or a `secret`, as of a `KeyStore`.
    """

    path: str = ""
    kind: str = ""
    password: Password | None = None
    authority: bool = False
    system: bool = False
    secret: str = ""


@dataclass(frozen=True)
class Revocation:
    """Whether a peer's certificate was taken back is looked at. Python's own `ssl` does not do it by itself.

    `crl`: a file or an http(s) address of a list, read again before it ends. `ocsp`: ask the responder that the
    certificate names, or `responder`. `whole_chain`: also for the CAs between, not only for the leaf.
    """

    crl: tuple[str, ...] = ()
    ocsp: bool = False
    responder: str = ""
    failure: Failure = Failure.HARD
    whole_chain: bool = False
    timeout: timedelta = timedelta(seconds=3)


PROTOCOLS = ("TLSv1.2", "TLSv1.3")
"""What a context may speak. Older ones are refused by name: they cannot be made safe."""


@dataclass(frozen=True)
class TlsContext:
    """All of it.

    `trust_store` None: a client believes the system's roots, and a server asks for no client certificate.
    `ciphers`: names of OpenSSL for TLS 1.2; TLS 1.3 has its own, which are all good. `alpn`: protocols offered.
    `peers`: the SPIFFE IDs or DNS names of which the peer must have one; empty: the client checks the name that it
    called, and a server takes whoever its roots vouch for. `insecure`: nothing is checked; for tests only, and loud.
    """

    name: str
    key_store: KeyStore | None = None
    trust_store: TrustStore | None = None
    protocols: tuple[str, ...] = PROTOCOLS
    ciphers: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()
    client_certificate: ClientCertificate = ClientCertificate.REQUIRED
    peers: tuple[str, ...] = ()
    revocation: Revocation | None = None
    insecure: bool = False

    @property
    def asks_clients(self) -> ClientCertificate:
        """What it asks of clients as a server: nothing without a trust store to look at their certificates with."""
        if self.trust_store is None or self.insecure:
            return ClientCertificate.NONE
        return self.client_certificate


Contexts = Mapping[str, TlsContext]
"""Every context of a mesh file, by name."""
