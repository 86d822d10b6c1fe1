"""A service that uses two secrets: a password, and a key store with its own password. It answers what it has."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from handsel import tls
from handsel.errors import HandselError
from handsel.pki.certificate import parse_pem

SECRETS = Path(os.environ["HANDSEL_SECRETS"])


def password() -> str:
    """Read at each use: a new version lies in the same file."""
    try:
        return f"a password of {len((SECRETS / 'db-password').read_text())} characters"
    except FileNotFoundError:
        return "no password"


def store() -> str:
    """What the TLS context of the mesh file shows to a partner."""
    try:
        (leaf, *_) = parse_pem(tls.context("partner").pem().chain)
    except HandselError:
        return "no key store"
    return f"a key store of {leaf.parsed.subject.rfc4514_string()}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # as the standard library calls it
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"orders has {password()} and {store()}\n".encode())


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
