"""A third party that talks to nobody without a certificate of its own CA.

At start it makes that CA, a certificate for itself and one for its client, all to be thrown away, and leaves what the
client needs in `certs/` beside this file: `ca.pem`, `cert.pem`, `key.pem`. Then it serves HTTPS on PORT and tells each
client which certificate it saw.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST = "external.system.com"
CERTS = Path(__file__).resolve().parent / "certs"
_NO_USAGE = dict.fromkeys(
    ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
    False,
)


class Authority:
    """A CA that lives as long as this process."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Throw-away CA of the third party")
        usage = x509.KeyUsage(digital_signature=False, key_cert_sign=True, crl_sign=True, **_NO_USAGE)
        self.certificate = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def issue(
        self, name: str, usage: x509.ObjectIdentifier, host: str = ""
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """A certificate with its key, for a server when `host` is given."""
        key = ec.generate_private_key(ec.SECP256R1())
        signing = x509.KeyUsage(digital_signature=True, key_cert_sign=False, crl_sign=False, **_NO_USAGE)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _builder(_name(name), self._name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(signing, critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(issuer, critical=False)
        )
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self._key, hashes.SHA256()), key


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def make_certificates(folder: Path) -> None:
    """Write a new CA's certificates and keys into `folder`."""
    authority = Authority()
    server, server_key = authority.issue("Third party", ExtendedKeyUsageOID.SERVER_AUTH, HOST)
    client, client_key = authority.issue("Client of the third party", ExtendedKeyUsageOID.CLIENT_AUTH)
    folder.mkdir(mode=0o700, exist_ok=True)
    _write(folder / "server.pem", _key_pem(server_key) + server.public_bytes(Encoding.PEM))
    _write(folder / "ca.pem", authority.certificate.public_bytes(Encoding.PEM))
    _write(folder / "cert.pem", client.public_bytes(Encoding.PEM))
    _write(folder / "key.pem", _key_pem(client_key))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, for the owner's eyes only (`mkstemp` makes files with mode 0600)."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)


def tls_context(folder: Path) -> ssl.SSLContext:
    """Mutual TLS: no certificate of our CA, no connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(folder / "ca.pem")
    return context


class Handler(BaseHTTPRequestHandler):
    """Tells the client who it is."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # TCP_NODELAY
    wbufsize = -1  # an answer leaves in one piece
    timeout = 75  # seconds, for a handshake or an idle connection

    def do_GET(self) -> None:
        """Answer `/secured-endpoint`."""
        if self.path.partition("?")[0] != "/secured-endpoint":
            self._answer(404, {"error": "there is only /secured-endpoint"})
            return
        der = self.connection.getpeercert(binary_form=True)  # of an ssl.SSLSocket
        certificate = x509.load_der_x509_certificate(der)
        number = certificate.serial_number
        serial = number.to_bytes((number.bit_length() + 7) // 8).hex()
        seen = {"subject": certificate.subject.rfc4514_string(), "serial": serial}
        self._answer(200, {"message": "hello from the third party", "client_certificate": seen})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """One line on standard output."""
        print(f"third party: {format % args}", flush=True)


class Server(ThreadingHTTPServer):
    """Each connection has a thread, in which also its handshake takes place."""

    request_queue_size = 128

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's
        """A client without the right certificate is a line, not a traceback."""
        print(f"third party: refused {client_address[0]}: {sys.exc_info()[1]}", flush=True)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))  # at once: nothing is left to tidy up, and threads are writing
    make_certificates(CERTS)
    with Server(int(os.environ["PORT"]), tls_context(CERTS)) as server:
        print(f"third party: mutual TLS for {HOST} on port {server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
