"""Our service. It knows no TLS: it calls plain http://external.system.com/secured-endpoint and passes on the answer.

`http_proxy` in its environment names its sidecar, which makes the mutual TLS.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS = 10
MAXIMUM_BYTES = 1 << 20


def call() -> tuple[int, bytes]:
    """Status and body of the third party's answer; 502 with a reason when there is none."""
    try:
        with urllib.request.urlopen("http://external.system.com/secured-endpoint", timeout=SECONDS) as answer:
            return answer.status, answer.read(MAXIMUM_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            reason = f"{error.code} {error.read(MAXIMUM_BYTES).decode(errors='replace').strip()}"
    except (OSError, HTTPException) as error:
        reason = str(error)
    return 502, json.dumps({"error": f"the third party did not answer: {reason}"}).encode() + b"\n"


def call_at_start() -> None:
    """Say what the third party answers, as soon as it and the sidecar are there."""
    for _ in range(60):
        status, body = call()
        if status == 200:
            break
        time.sleep(0.5)
    print(f"client: at start: {status} {body.decode(errors='replace').strip()}", flush=True)


class Handler(BaseHTTPRequestHandler):
    """`/` is the third party's answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # TCP_NODELAY
    wbufsize = -1  # an answer leaves in one piece
    timeout = 75  # seconds, for an idle connection

    def do_GET(self) -> None:
        """Call, and pass on the answer."""
        status, body = call() if self.path.partition("?")[0] == "/" else (404, b'{"error": "there is only /"}\n')
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """One line on standard output."""
        print(f"client: {format % args}", flush=True)


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's
        """A connection that breaks is a line, not a traceback."""
        print(f"client: {client_address[0]}: {sys.exc_info()[1]}", flush=True)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))  # at once: nothing is left to tidy up, and threads are writing
    threading.Thread(target=call_at_start, daemon=True).start()
    with Server(("127.0.0.1", int(os.environ["PORT"])), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
