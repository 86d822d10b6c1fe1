"""A program that makes its own TLS from a declared context: it answers over mutual TLS, and asks when it is asked to.

`own_tls.py serve`: each client is told the name in its certificate. `own_tls.py ask PORT`: plain HTTP at $PORT; each
request makes a new connection to the server at PORT, and its answer is what that one says.
"""

from __future__ import annotations

import os
import socket
import socketserver
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from handsel import tls

_CONTEXT = tls.context("own")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Tell(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.settimeout(5)
        try:
            with _CONTEXT.server().wrap_socket(self.request, server_side=True) as secure:
                names = secure.getpeercert()["subjectAltName"]
                secure.sendall(names[0][1].encode())
        except OSError as error:
            print("refused:", error, flush=True)


class _Ask(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        try:
            answer = _asked().encode()
            self.send_response(200)
        except OSError as error:
            answer = str(error).encode()
            self.send_response(502)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


def _asked() -> str:
    with (
        socket.create_connection(("127.0.0.1", int(sys.argv[2])), 5) as plain,
        _CONTEXT.client().wrap_socket(plain) as secure,
    ):
        answer = secure.recv(1000)
    if not answer:
        raise ConnectionResetError("the server left")
    return answer.decode()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _Server(("127.0.0.1", int(os.environ["PORT"])), _Tell).serve_forever()
    else:
        ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), _Ask).serve_forever()
