"""An OpenSSH host certificate and a signature by its key (OpenSSH's PROTOCOL.certkeys)."""

from __future__ import annotations

from datetime import datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
    load_ssh_public_key,
)

from handsel.authority.attest.model import Attested
from handsel.errors import Refused
from handsel.link.joining import Evidence
from handsel.link.transcript import Transcript
from handsel.model.authority import Registration
from handsel.pki import signature

_LONGEST_CERTIFICATE = 16 << 10
_MOST_LINES = 256

_UNREADABLE = (ValueError, UnsupportedAlgorithm, TypeError, OverflowError, NotImplementedError)
"""What `cryptography` raises for malformed bytes here: the last for points of curves that are compressed."""

Authorities = frozenset[bytes]
"""Public keys of CAs, each as one line of OpenSSH without comment."""


def read_trust(content: bytes) -> Authorities:
    """The keys in a file of lines such as `ssh-ed25519 AAAA… comment`. Raises `ValueError`."""
    lines = [line for line in (each.strip() for each in content.splitlines()) if line and not line.startswith(b"#")]
    if not 1 <= len(lines) <= _MOST_LINES:
        raise ValueError(f"a file of CA keys has 1 to {_MOST_LINES} lines")
    try:
        keys = [load_ssh_public_key(line.removeprefix(b"@cert-authority * ")) for line in lines]
    except _UNREADABLE as error:
        raise ValueError(str(error)) from error
    return frozenset(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) for key in keys)


def attest(
    _rule: Registration, authorities: Authorities, evidence: Evidence, transcript: Transcript, now: datetime
) -> Attested:
    """The host that holds a certificate of one of the CAs. Raises `Refused`."""
    if len(evidence.chain) != 1:
        raise Refused("the evidence is one OpenSSH host certificate")
    certificate = read(evidence.chain[0])
    check(certificate, authorities, now)
    if not signature.holds(certificate.public_key(), evidence.signature, transcript.signed()):
        raise Refused("the challenge is not signed by the host's key")
    principals = tuple(each.decode() for each in certificate.valid_principals)
    found = {
        "principal": principals, "key_id": (certificate.key_id.decode(),), "serial": (str(certificate.serial),),
    }  # fmt: skip
    return Attested("ssh_host", principals[0], {name: values for name, values in found.items() if all(values)})


def read(line: bytes) -> SSHCertificate:
    """The certificate in a line `…-cert-v01@openssh.com AAAA…`. Raises `Refused`."""
    if len(line) > _LONGEST_CERTIFICATE:
        raise Refused(f"an OpenSSH certificate has at most {_LONGEST_CERTIFICATE} bytes here")
    try:
        found = load_ssh_public_identity(line)
    except _UNREADABLE as error:
        raise Refused(f"the OpenSSH certificate cannot be read: {str(error)[:200]}") from error
    if not isinstance(found, SSHCertificate):
        raise Refused("this is a public key, not a certificate")
    return found


def check(certificate: SSHCertificate, authorities: Authorities, now: datetime) -> None:
    """Raise `Refused` unless it is a host's, in time, with names, and signed by one of the CAs."""
    if certificate.type != SSHCertificateType.HOST:
        raise Refused("the OpenSSH certificate is a user's, not a host's")
    if not certificate.valid_after <= now.timestamp() < certificate.valid_before:
        raise Refused("the OpenSSH certificate is not valid now")
    if not certificate.valid_principals:
        raise Refused("the OpenSSH certificate names no host, so it would be good for all")
    if certificate.critical_options:
        raise Refused("the OpenSSH certificate has critical options, and none is known for hosts")
    try:
        issuer = certificate.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        certificate.verify_cert_signature()
        texts = [*certificate.valid_principals, certificate.key_id]
        [text.decode() for text in texts]
    except (InvalidSignature, *_UNREADABLE) as error:
        raise Refused(f"the OpenSSH certificate is not signed by its CA: {error}") from error
    if issuer not in authorities:
        raise Refused("the OpenSSH certificate is of a CA that the rule does not name")
