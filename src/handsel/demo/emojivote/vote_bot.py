"""The program vote-bot: votes about five times a second through web, and does not mind when a vote fails."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from http.client import HTTPConnection, HTTPException

_PAUSE_SECONDS = 0.2
_TIMEOUT_SECONDS = 5
_FAILS = ":doughnut:"
_FAILS_SHARE = 0.15


def main() -> None:
    """Vote until SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())
    address = os.environ["WEB_ADDR"]
    shortcodes: list[str] = []
    while True:
        # What fails now may work at the next vote: services start in any order, and come back.
        with contextlib.suppress(OSError, HTTPException):
            shortcodes = shortcodes or _list(address)
            if shortcodes:
                _get(address, f"/api/vote?choice={choose(shortcodes)}")
        time.sleep(_PAUSE_SECONDS)


def choose(shortcodes: list[str]) -> str:
    """Now and then the one that fails; else any other, the first ones most often, so that the board has leaders."""
    if random.random() < _FAILS_SHARE:
        return _FAILS
    others = [shortcode for shortcode in shortcodes if shortcode != _FAILS]
    return random.choices(others, weights=[1 / (place + 1) for place in range(len(others))])[0]


def _list(address: str) -> list[str]:
    """All shortcodes; none when web has no answer yet."""
    return [emoji["shortcode"] for emoji in json.loads(_get(address, "/api/list") or "[]")]


def _get(address: str, path: str) -> bytes | None:
    """The body of the answer, on a connection of its own; None when the answer is an error."""
    with contextlib.closing(HTTPConnection(address, timeout=_TIMEOUT_SECONDS)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        return body if response.status == 200 else None


if __name__ == "__main__":
    main()
