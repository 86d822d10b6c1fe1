"""Clients from outside the mesh: plain Python and OpenSSL, which know nothing of it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.programs.third_parties import Files


@dataclass(frozen=True)
class Answer:
    """What a client got: the status, the headers and the body, and how TLS was spoken."""

    status: int
    headers: dict[str, str]
    body: str
    version: str = ""
    certificate: bytes = field(default=b"", repr=False)

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(frozen=True)
class Client:
    """A client of `port` on loopback. `roots`: whom it believes, None: whomever."""

    port: int
    roots: Path | None = None
    shows: Files | None = None
    lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3

    def connect(self, name: str, alpn: tuple[str, ...] = ()) -> ssl.SSLSocket:
        """A TLS connection that names this server. Raises `OSError` when it is refused."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.lowest < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # old versions are asked for
            context.minimum_version, context.maximum_version = self.lowest, self.highest
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if self.roots:
            context.load_verify_locations(self.roots)
        else:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.shows:
            context.load_cert_chain(self.shows.certificate, self.shows.key)
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        try:
            return context.wrap_socket(raw, server_hostname=name)
        except BaseException:
            raw.close()
            raise

    def get(self, name: str, path: str = "/", host: str = "", **headers: str) -> Answer:
        """GET over TLS. `host`: of the request, when it is another than that of TLS. Raises `OSError`."""
        with self.connect(name) as secured:
            version, certificate = secured.version() or "", secured.getpeercert(binary_form=True) or b""
            return _ask(secured, path, host or name, headers, version, certificate)

    def refuses(self, name: str) -> bool:
        """Whether a connection is refused, at the latest when something is asked (TLS 1.3 tells late)."""
        try:
            self.get(name)
        except (OSError, http.client.HTTPException):
            return True
        return False


def plain(port: int, host: str, path: str = "/") -> Answer:
    """GET without TLS."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return _ask(connection, path, host, {}, "", b"")


def _ask(
    connection: socket.socket, path: str, host: str, headers: dict[str, str], version: str, certificate: bytes
) -> Answer:
    asking = http.client.HTTPConnection("127.0.0.1")
    asking.sock = connection
    asking.putrequest("GET", path, skip_host=True)
    for key, value in {"Host": host, **{k.replace("__", "-"): v for k, v in headers.items()}}.items():
        asking.putheader(key, value)
    asking.endheaders()
    response = asking.getresponse()
    got = {key.lower(): value for key, value in response.getheaders()}
    return Answer(response.status, got, response.read().decode(), version, certificate)
