"""A listener with a valid certificate of another identity: what a sidecar must refuse by its name."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

_PATIENCE_SECONDS = 3.0


class Impostor:
    """Listens on loopback; `application_bytes` tells whether a caller ever spoke to it inside TLS."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.load_cert_chain(chain, key)
        # Not asked for a certificate, a careless caller would not even show one.
        self._context.verify_mode = ssl.CERT_NONE
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.1)
        self._closed = False
        self.application_bytes = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def _serve(self) -> None:
        while not self._closed:
            with contextlib.suppress(OSError):
                connection, _ = self._listening.accept()
                with connection:
                    self._speak(connection)

    def _speak(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE_SECONDS)
        with self._context.wrap_socket(connection, server_side=True) as wrapped:
            if wrapped.recv(1):
                self.application_bytes = True

    @contextlib.contextmanager
    def listening(self) -> Iterator[Impostor]:
        self._thread.start()
        try:
            yield self
        finally:
            self._closed = True
            self._thread.join()
            self._listening.close()
