"""An administrator's folder: what a call from another machine needs, and the call itself."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from handsel.errors import StateError
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain
from handsel.store.adapters.files import make_folder, write_file

_ABOUT, _KEY, _CHAIN, _ROOTS = "admin.json", "key.pem", "chain.pem", "roots.pem"


class AdminFolder:
    """A folder of mode 0700 with key, chain, roots, and the server's address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def exists(self) -> bool:
        return (self._folder / _ABOUT).exists()

    def write(self, key: PrivateKey, chain: bytes, roots: bytes, url: str, trust_domain: str) -> None:
        """Make the folder. Raises `StateError`."""
        make_folder(self._folder)
        write_file(self._folder / _KEY, key.pem().reveal())
        write_file(self._folder / _CHAIN, chain)
        write_file(self._folder / _ROOTS, roots)
        about = {"url": url, "trust_domain": trust_domain}
        write_file(self._folder / _ABOUT, json.dumps(about, indent=2).encode() + b"\n")

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """A connection to the server that shows our certificate and checks its reserved name. Raises `StateError`."""
        try:
            about = json.loads((self._folder / _ABOUT).read_bytes())
            url = urlsplit(about["url"])
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_verify_locations(self._folder / _ROOTS)
            context.load_cert_chain(self._folder / _CHAIN, self._folder / _KEY)
            name = TrustDomain(about["trust_domain"]).server_dns
            return _Connection(url.hostname or "", url.port or 443, context, name, timeout)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StateError(f"{self._folder} is no administrator's folder: {error}") from error


class _Connection(http.client.HTTPConnection):
    """HTTPS to an address, checked by another name: the one that all servers of a trust domain have."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, name: str, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._context = context
        self._name = name

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self._name)
