"""Asks the catalogue in every way there is, and counts who answers whoever says nothing."""

from __future__ import annotations

import collections
import os
import urllib.error
import urllib.request

# Its sidecar's loopback port. The environment's own proxy is for other destinations.
CATALOG = os.environ["CATALOG_URL"]
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(path: str, **headers: str) -> str:
    """What the catalogue answers."""
    request = urllib.request.Request(CATALOG.rstrip("/") + path, headers=headers)  # noqa: S310  # http, as it is written
    try:
        with OPENER.open(request, timeout=10) as response:
            return str(response.read().decode().strip())
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode().strip()}"


if __name__ == "__main__":
    print("header x-api-version: 2  ->", ask("/items", **{"x-api-version": "2"}))
    for path in ("/v1/items", "/v2/items", "/items?version=2", "/v0/items"):
        print(f"{path:24} ->", ask(path))
    answers = collections.Counter(ask("/items").split()[0] for _ in range(200))
    print(f"{'/items, 200 times':24} ->", ", ".join(f"{name}: {answers[name]}" for name in sorted(answers)))
