"""Servers that stand for third parties, good ones and faulty ones, in threads of the test; and the CAs behind them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Files:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """A CA with its root in a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        root = self._builder(self._name, self._key, -_DAY, 30 * _DAY).add_extension(
            x509.BasicConstraints(True, 0), True
        )
        self.root = folder / f"{name}.pem"
        self.root.write_bytes(root.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(
        self,
        file: str,
        names: Sequence[str] = (),
        *,
        start: timedelta = -2 * _DAY,
        end: timedelta = 20 * _DAY,
        usage: x509.ObjectIdentifier | None = None,
    ) -> Files:
        """A certificate valid from and until so long from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file)])
        builder = self._builder(subject, key, start, end)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        files = Files(self._folder / f"{file}.crt", self._folder / f"{file}.key")
        files.certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files

    def revoke(self, file: str, *revoked: Files) -> Path:
        """A list of revoked certificates, PEM."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now - _DAY).next_update(now + _DAY)
        for each in revoked:
            serial = x509.load_pem_x509_certificate(each.certificate.read_bytes()).serial_number
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - _DAY).build()
            builder = builder.add_revoked_certificate(one)
        path = self._folder / f"{file}.crl"
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return path

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, start: timedelta, end: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + start)
            .not_valid_after(now + end)
        )


CLIENT_ONLY = ExtendedKeyUsageOID.CLIENT_AUTH


def tls(files: Files, *, clients: Path | None = None, newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A server's context. With `clients` it demands a certificate of that CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    if newest is not None:
        context.maximum_version = newest
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


def old(files: Files) -> ssl.SSLContext:
    """A server that speaks TLS 1.1 and nothing newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old is what it should be
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def answer(connection: socket.socket) -> None:
    """Answer one request with 200."""
    if connection.recv(4096):
        connection.sendall(ANSWER)


def nginx(connection: ssl.SSLSocket) -> None:
    """As nginx demands a certificate: the handshake succeeds without one, and the request is refused."""
    if connection.recv(4096):
        refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        connection.sendall(ANSWER if connection.getpeercert(binary_form=True) else refusal)


def hang_up(_connection: socket.socket) -> None:
    """Say nothing and close."""


def stay_silent(_connection: socket.socket) -> None:
    """Say nothing and keep the connection."""
    time.sleep(20)


def greet(connection: socket.socket) -> None:
    """Speak first, as SMTP does, and wait."""
    connection.sendall(b"220 ready\r\n")
    connection.recv(1)


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None, speak: Callable[..., None] = answer) -> Iterator[int]:
    """A server on a free port of loopback, plain without a context. Yields the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_accept, args=(listening, context, speak), daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def _accept(listening: socket.socket, context: ssl.SSLContext | None, speak: Callable[..., None]) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, context, speak), daemon=True).start()


def _serve(connection: socket.socket, context: ssl.SSLContext | None, speak: Callable[..., None]) -> None:
    with contextlib.suppress(OSError), connection:
        connection.settimeout(5)
        if context is None or speak is stay_silent:
            speak(connection)
            return
        with context.wrap_socket(connection, server_side=True) as wrapped:
            speak(wrapped)
