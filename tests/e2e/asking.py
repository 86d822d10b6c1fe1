"""Requests as a program makes them, and what came of them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """Status, headers (in lower case) and body."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def told(self) -> dict[str, Any]:
        """What the program `tells_all.py` told."""
        found: dict[str, Any] = json.loads(self.body)
        return found


def ask(url: str, path: str = "/", method: str = "GET", timeout: float = 10, **headers: str) -> Answer:
    """One request on a connection of its own. In names of headers `_` stands for `-`."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        got = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, got, response.read().decode())
    finally:
        connection.close()


def share(url: str, times: int, **headers: str) -> dict[str, int]:
    """Who answered how many of so many requests."""
    found: dict[str, int] = {}
    for _ in range(times):
        name = ask(url, **headers).told["name"]
        found[name] = found.get(name, 0) + 1
    return found
