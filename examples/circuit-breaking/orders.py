"""`orders.py NAME [--fails N] [--takes 1s]`: plain HTTP. Its first N requests end with 500; each takes so long."""

from __future__ import annotations

import argparse
import http.server
import os
import time

PARSER = argparse.ArgumentParser()
PARSER.add_argument("name")
PARSER.add_argument("--fails", type=int, default=0)
PARSER.add_argument("--takes", default="0s")
SAID = PARSER.parse_args()


class Orders(http.server.BaseHTTPRequestHandler):
    """Answers with its name."""

    def do_GET(self) -> None:  # the name that http.server asks for
        """Answer every request alike, but the first ones."""
        time.sleep(float(SAID.takes.removesuffix("s")))
        failed, SAID.fails = SAID.fails > 0, SAID.fails - 1
        body = f"{SAID.name}\n".encode()
        self.send_response(500 if failed else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Orders).serve_forever()
