"""A program without a port of its own: calls the stock once a second, plain."""

from __future__ import annotations

import os
import time
import urllib.request

while True:
    try:
        with urllib.request.urlopen(os.environ["STOCK_URL"], timeout=5) as answer:  # noqa: S310  # http
            print("stock:", answer.read().decode().strip(), flush=True)
    except OSError as error:
        print("not yet:", error, flush=True)
    time.sleep(1)
