"""`application.py NAME`: plain HTTP on loopback. Tells what it got of the path and of the client's certificate."""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = sys.argv[1]


class Application(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # as http.server calls it
        told = {"application": NAME, "path": self.path, "client": self.headers.get("X-SSL-Client-Verify", "")}
        if told["client"] == "SUCCESS":
            told["subject"] = self.headers["X-SSL-Client-DN"]
        body = json.dumps(told).encode() + b"\n"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing: the load balancer keeps a log."""


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Application).serve_forever()
