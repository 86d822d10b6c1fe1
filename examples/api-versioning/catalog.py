"""One version of the catalogue: plain HTTP, says which version it is and what path it was asked for."""

from __future__ import annotations

import http.server
import os
import sys


class Catalog(http.server.BaseHTTPRequestHandler):
    """Answers `v1 /items`."""

    def do_GET(self) -> None:  # the name that http.server asks for
        """Answer every request alike."""
        body = f"{sys.argv[1]} {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Catalog).serve_forever()
