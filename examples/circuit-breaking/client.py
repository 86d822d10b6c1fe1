"""Asks the orders again and again, then the reports from many threads at once, and counts what came."""

from __future__ import annotations

import collections
import concurrent.futures
import os
import time
import urllib.error
import urllib.request

# The environment's own proxy is for other destinations.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url: str) -> str:
    """Who answered, or the status of a failure."""
    try:
        with OPENER.open(url, timeout=20) as response:
            return str(response.read().decode().strip())
    except urllib.error.HTTPError as error:
        return str(error.code)


def counted(answers: list[str]) -> str:
    """`a: 12, b: 12`."""
    found = collections.Counter(answers)
    return ", ".join(f"{name}: {found[name]}" for name in sorted(found))


if __name__ == "__main__":
    orders, reports = os.environ["ORDERS_URL"], os.environ["REPORTS_URL"]
    print("while b fails      ->", counted([ask(orders) for _ in range(12)]))
    print("b is left out      ->", counted([ask(orders) for _ in range(12)]))
    time.sleep(4)
    print("b is asked again   ->", counted([ask(orders) for _ in range(12)]))
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        print("8 reports at once  ->", counted(list(threads.map(ask, [reports] * 8))))
    print("and one afterwards ->", ask(reports))
