"""What a host can show besides a ticket: certificates with their keys, tokens. See `handsel.authority.attest`."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from handsel.agent.join import Prove
from handsel.errors import UsageError
from handsel.link.joining import Evidence
from handsel.pki import signature
from handsel.pki.certificate import parse_pem

_OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"


def bearer(token: bytes) -> Prove:
    """A token of an issuer. Raises `UsageError` when it is none."""
    text = token.strip().decode("ascii", errors="replace")
    if text.count(".") != 2:
        raise UsageError("this is no signed token: it has three parts with dots between (RFC 7519)")
    return lambda _: Evidence(token=text)


def possession(chain_pem: bytes, key_pem: bytes) -> Prove:
    """A certificate, what is above it, and its key. Raises `UsageError`."""
    try:
        chain = tuple(each.der for each in parse_pem(chain_pem))
    except ValueError as error:
        raise UsageError(f"the certificate cannot be read: {error}") from error
    key = _read_key(key_pem)
    return lambda transcript: Evidence(chain, signature.sign(key, transcript.signed()))


def ssh_host(certificate_line: bytes, key: bytes) -> Prove:
    """An OpenSSH host certificate and the host's key. Raises `UsageError`."""
    line = b" ".join(certificate_line.split()[:2])
    handle = _read_key(key)
    return lambda transcript: Evidence((line,), signature.sign(handle, transcript.signed()))


def _read_key(content: bytes) -> PrivateKeyTypes:
    try:
        if content.lstrip().startswith(_OPENSSH):
            return load_ssh_private_key(content, password=None)
        return load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"the key cannot be read: {error}", next_step="give it without a password") from error
