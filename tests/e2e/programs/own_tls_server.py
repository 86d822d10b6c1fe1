"""A service that speaks TLS itself, with a certificate of its own: `own_tls_server.py CERTIFICATE KEY`."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import threading


def answer(context: ssl.SSLContext, raw: socket.socket) -> None:
    try:
        with context.wrap_socket(raw, server_side=True) as connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nown\n")
    except OSError:
        raw.close()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
with socket.create_server(("127.0.0.1", int(os.environ["PORT"]))) as server:
    while True:
        threading.Thread(target=answer, args=(context, server.accept()[0]), daemon=True).start()
