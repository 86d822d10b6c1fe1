"""A server of long ago: HTTP/1.0, nothing newer than TLS 1.2. Makes itself a certificate at start, in `certs/`."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CERTS = Path(__file__).resolve().parent / "certs"


class Ledger(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        version = self.connection.version()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"an old ledger, by {version} and {self.protocol_version}\n".encode())

    def log_message(self, *_: object) -> None: ...


CERTS.mkdir(mode=0o700, exist_ok=True)
command = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ledger -addext subjectAltName=DNS:ledger.old.example"
)
subprocess.run(  # noqa: S603  # nothing of it comes from anybody
    [*command.split(), "-keyout", CERTS / "key.pem", "-out", CERTS / "ca.pem"], check=True, capture_output=True
)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.maximum_version = ssl.TLSVersion.TLSv1_2
context.load_cert_chain(CERTS / "ca.pem", CERTS / "key.pem")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Ledger)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
