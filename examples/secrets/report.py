"""A service that lists the names of the secrets that it has."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # as the standard library calls it
        folder = Path(os.environ["HANDSEL_SECRETS"])
        names = (
            sorted(each.name for each in folder.iterdir() if not each.name.startswith(".")) if folder.exists() else []
        )
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"report has {', '.join(names) or 'nothing'}\n".encode())


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
