"""Contexts of Python's `ssl` that look at more than it does: who the peer is, and whether it was revoked.

The look comes right after the handshake, before the program gets the connection: so it holds for every library that
takes an `ssl.SSLContext`.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from handsel.model.context import ClientCertificate
from handsel.pki.certificate import Certificate, to_pem
from handsel.tls.recipe import Identity, Recipe


@dataclass(frozen=True)
class Peer:
    """The other side of a connection, as far as it showed a certificate."""

    leaf: Certificate
    _connection: Any

    @property
    def chain(self) -> list[Certificate]:
        """The chain as it was verified, the leaf first, the root last."""
        if hasattr(self._connection, "get_verified_chain"):  # Python 3.13
            found = self._connection.get_verified_chain() or []
        else:
            found = [each.public_bytes(_DER) for each in self._connection._sslobj.get_verified_chain() or []]  # noqa: SLF001
        return [Certificate.of_peer(der) for der in found]


Look = Callable[[Peer, datetime], None]
"""Raises `ssl.SSLCertVerificationError` when the peer's certificate is no good."""

_GOOD_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


class _LookingSocket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT002  # as `ssl` has it
        super().do_handshake(block)
        _look(self)


class _LookingObject(ssl.SSLObject):
    def do_handshake(self) -> None:
        super().do_handshake()
        _look(self)


class Looking(ssl.SSLContext):
    """A context whose connections are looked at by every one of `looks` after the handshake."""

    sslsocket_class = _LookingSocket
    sslobject_class = _LookingObject
    looks: tuple[Look, ...] = ()


def build(recipe: Recipe, *, server: bool, looks: tuple[Look, ...]) -> Looking:
    """The context for one side. Raises `ssl.SSLError` when OpenSSL does not take a part of it."""
    declared = recipe.context
    made = Looking(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = _VERSIONS[declared.protocols[0]]
    made.maximum_version = _VERSIONS[declared.protocols[-1]]
    made.set_ciphers(":".join(declared.ciphers) or _GOOD_CIPHERS)
    if declared.alpn:
        made.set_alpn_protocols(list(declared.alpn))
    if recipe.identity is not None:
        _show(made, recipe.identity)
    asked = declared.asks_clients if server else ClientCertificate.REQUIRED
    if declared.insecure or asked is ClientCertificate.NONE:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made
    made.check_hostname = not server and not declared.peers
    made.verify_mode = ssl.CERT_OPTIONAL if asked is ClientCertificate.OPTIONAL else ssl.CERT_REQUIRED
    # A certificate in a trust store is believed as it is, be it a root or not, as Java has it.
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if recipe.roots is None:
        made.load_default_certs(ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH)
    else:
        made.load_verify_locations(cadata=to_pem(recipe.roots).decode())
    made.looks = looks
    return made


def _show(made: ssl.SSLContext, identity: Identity) -> None:
    """Hand over key and chain, which the `ssl` module takes from a file only: one in memory, that nobody else sees."""
    with _in_memory(identity.key.reveal() + to_pem(identity.chain)) as path:
        made.load_cert_chain(path)


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    file = os.memfd_create("handsel", os.MFD_CLOEXEC)
    try:
        os.write(file, content)
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)


def _look(connection: Any) -> None:
    looks = getattr(connection.context, "looks", ())
    if not looks:
        return
    der = connection.getpeercert(True)
    if der is None:  # a server that leaves it to its clients whether they show one
        return
    peer, now = Peer(Certificate.of_peer(der), connection), datetime.now(UTC)
    for look in looks:
        look(peer, now)


_DER = 2  # `_ssl.ENCODING_DER`


def refused(why: str) -> ssl.SSLCertVerificationError:
    """The error that every library knows for a certificate that does not hold."""
    error = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {why}")
    error.verify_message = why
    return error
