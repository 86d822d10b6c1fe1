"""SSH certificates (OpenSSH's PROTOCOL.certkeys): for users, who log in by a principal, and for hosts, known by name.

An SSH CA is a key alone. Only administrators ask, and what they get is in the journal before and after it is signed.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_public_key,
)

from handsel.errors import Refused
from handsel.pki.keys import PrivateKey
from handsel.pki.names import dns_name
from handsel.store.journal import entry
from handsel.store.outcome import Writes

STORED = "ssh"
"""The name of the CA's key in the key store."""
_PRINCIPAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=365)
_LARGEST_KEY, _SMALLEST_RSA = 8192, 2048
_MOST_PRINCIPALS = 32
_BACKDATE = timedelta(minutes=1)
_FOR_USERS = (b"permit-X11-forwarding", b"permit-agent-forwarding", b"permit-port-forwarding", b"permit-pty",
              b"permit-user-rc")  # fmt: skip
"""What `ssh-keygen` allows users when nothing else is said."""

_Key = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class Kind(StrEnum):
    """Whom a certificate is for."""

    USER = "user"
    HOST = "host"


@dataclass(frozen=True)
class Draft:
    """A certificate about to be signed, and what must be durable before."""

    kind: Kind
    key: _Key = field(repr=False)
    principals: tuple[str, ...]
    serial: int
    not_before: datetime
    not_after: datetime
    by: str

    def intended(self, now: datetime) -> Writes:
        """The journal says so before the key is used."""
        return (self._line("ssh intended", now),)

    def issued(self, now: datetime) -> Writes:
        """And after."""
        return (self._line("ssh issued", now),)

    def _line(self, what: str, now: datetime) -> object:
        return entry(
            what, now, serial=str(self.serial), type=str(self.kind), principals=",".join(self.principals),
            until=self.not_after.isoformat(), by=self.by,
        )  # fmt: skip


def draft(
    kind: Kind, public_key: bytes, principals: tuple[str, ...], lifetime: timedelta, *, by: str, now: datetime
) -> Draft:
    """A certificate for a key in OpenSSH's form. Raises `Refused` with what is wrong."""
    if not _SHORTEST <= lifetime <= _LONGEST:
        raise Refused("an SSH certificate lives between a minute and 365 days")
    if not 1 <= len(principals) <= _MOST_PRINCIPALS:
        raise Refused(
            f"an SSH certificate has 1 to {_MOST_PRINCIPALS} principals: without one it is good for every name"
        )
    for each in principals:
        _check_principal(kind, each)
    return Draft(
        kind, _read(public_key), principals, secrets.randbits(63), now - _BACKDATE, now + lifetime, by
    )  # fmt: skip


@dataclass(frozen=True)
class SshCa:
    """A key that can sign SSH certificates."""

    handle: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = field(repr=False)

    @classmethod
    def of(cls, key: PrivateKey) -> SshCa:
        """Raises `Refused` for a key that cannot: one in a token, or of another kind."""
        if key.remote or not isinstance(key.handle, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
            raise Refused("the SSH CA's key must be in a file, of the kind p256 or ed25519")
        return cls(key.handle)

    def public_line(self) -> bytes:
        """Its public key as OpenSSH writes it."""
        return self.handle.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


def sign(made: Draft, ca: SshCa) -> bytes:
    """The certificate, as one line of OpenSSH."""
    builder = (
        SSHCertificateBuilder()
        .public_key(made.key)
        .serial(made.serial)
        .type(SSHCertificateType.USER if made.kind is Kind.USER else SSHCertificateType.HOST)
        .key_id(f"{made.principals[0]} by {made.by}"[:255].encode())
        .valid_principals([each.encode() for each in made.principals])
        .valid_after(made.not_before.timestamp())
        .valid_before(made.not_after.timestamp())
    )
    for each in _FOR_USERS if made.kind is Kind.USER else ():
        builder = builder.add_extension(each, b"")
    return builder.sign(ca.handle).public_bytes()


def _check_principal(kind: Kind, name: str) -> None:
    if kind is Kind.USER:
        if not _PRINCIPAL.fullmatch(name):
            raise Refused(f"{name[:64]!r} is no user's name")
        return
    try:
        dns_name(name)
    except ValueError as error:
        raise Refused(str(error)) from error
    if "*" in name:
        raise Refused(f"{name!r}: OpenSSH knows no wildcards in a host's certificate")


def _read(public_key: bytes) -> _Key:
    if len(public_key) > _LARGEST_KEY:
        raise Refused("this is no public key in OpenSSH's form")
    try:
        key = load_ssh_public_key(public_key.strip())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refused(f"this is no public key in OpenSSH's form: {str(error).splitlines()[0]}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise Refused("SSH certificates are for keys of the kinds Ed25519, ECDSA and RSA")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _SMALLEST_RSA:
        raise Refused(f"an RSA key has at least {_SMALLEST_RSA} bits")
    return key
