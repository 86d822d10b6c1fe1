"""A shop that knows no TLS: plain HTTP on loopback, at the port that is in PORT."""

from __future__ import annotations

import http.server
import os


class Shop(http.server.BaseHTTPRequestHandler):
    """Says what is for sale."""

    def do_GET(self) -> None:  # the name that http.server asks for
        """Answer every request alike."""
        body = b"apples\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Shop).serve_forever()
