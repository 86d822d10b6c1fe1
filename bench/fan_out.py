"""What it costs to push a secret to many streams, against a bare `grpc.aio` server that writes the same bytes.

Server and subscribers are processes of their own. A push begins when the secret is published and ends when the server
has read the last ACK. The bare server knows nothing of what it writes; it waits for a message after each write.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import BENCH, cpu_seconds, end, folder
from report import Report, interleave, run
from spoken import begin, line, say

ROUNDS = 5
SIZES = (100, 1_000, 10_000)
PUSHES = 7
HANDSEL, BARE = "handsel", "bare"
_SECRET_BYTES = 1600
_PAUSE_SECONDS = 0.05


def bench(report: Report, options: argparse.Namespace) -> None:
    report.conditions |= {
        "rounds": options.rounds, "pushes_a_round": PUSHES, "secret_bytes": _SECRET_BYTES, "variant": "DeltaSecrets",
        "streams_a_connection": options.per_connection,
    }  # fmt: skip
    for number, side in interleave((HANDSEL, BARE), options.rounds):
        for streams in SIZES:
            figures, errors = _measure(side, streams, options.per_connection)
            report.add(number, f"{streams}/{side}", figures, errors)
    for streams in SIZES:
        report.compare("push_ms", f"{streams}/{HANDSEL}", f"{streams}/{BARE}")
        report.compare("cpu_us_a_stream", f"{streams}/{HANDSEL}", f"{streams}/{BARE}")
    for side in (HANDSEL, BARE):
        report.compare("cpu_us_a_stream", f"{SIZES[-1]}/{side}", f"{SIZES[0]}/{side}")
    report.values["KiB a stream"] = report.sides()[f"{SIZES[-1]}/{HANDSEL}"]["kib_a_stream"]


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--per-connection", type=int, default=10, help="streams on one HTTP/2 connection, at most 100")
    parser.add_argument("--rounds", type=int, default=ROUNDS)


def _measure(side: str, streams: int, per_connection: int) -> tuple[dict[str, float], list[str]]:
    with folder() as place:
        socket = place / "sds"
        server = begin(__file__, "--serve", side, str(socket))
        try:
            line(server)
            rss = rss_kib(server.pid)
            client = begin(str(BENCH / "subscribers.py"), str(socket), str(streams), str(per_connection))
            try:
                began = time.perf_counter()
                line(client)
                connect = time.perf_counter() - began
                say(server, f"{streams}")
                figures = json.loads(line(server))
                told = json.loads(client.communicate("", timeout=60)[0])
            finally:
                end([client])
        finally:
            end([server])
    figures |= {"kib_a_stream": (figures.pop("rss_kib") - rss) / streams, "connect_s": connect}
    lost = told["ended"] or told["fewest"] != PUSHES + 1 or told["most"] != PUSHES + 1
    return figures, [f"{streams} streams: {told}"] if lost else []


def rss_kib(pid: int | str = "self") -> int:
    """The resident memory of a process."""
    found = re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


# The servers, each in a process of its own


async def _serve(side: str, path: Path) -> None:
    loop, count = asyncio.get_running_loop(), Count()
    push = await (_handsel if side == HANDSEL else _bare)(path, count)
    push(0)
    print("ready", flush=True)
    streams = int(await loop.run_in_executor(None, sys.stdin.readline))
    await count.until(streams)
    times, cpu = [], cpu_seconds([os.getpid()])
    for number in range(1, PUSHES + 1):
        await asyncio.sleep(_PAUSE_SECONDS)
        began = time.perf_counter()
        push(number)
        await count.until(streams * (number + 1))
        times.append((time.perf_counter() - began) * 1e3)
    used = cpu_seconds([os.getpid()]) - cpu
    figures = {
        "push_ms": statistics.median(times), "cpu_us_a_stream": used * 1e6 / PUSHES / streams,
        "rss_kib": rss_kib(),
    }  # fmt: skip
    print(json.dumps(figures), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)


class Count:
    """How many ACKs have been read."""

    def __init__(self) -> None:
        self._seen = 0
        self._wanted = 0
        self._reached = asyncio.Event()

    def one(self) -> None:
        self._seen += 1
        if self._seen == self._wanted:
            self._reached.set()

    async def until(self, wanted: int) -> None:
        self._wanted = wanted
        if self._seen < wanted:
            self._reached.clear()
            await self._reached.wait()


def _content(number: int) -> Any:
    from handsel.xds.resources import SECRET, resource

    return resource(SECRET, "default", f"{number:>{_SECRET_BYTES}}".encode())


async def _handsel(path: Path, count: Count) -> Callable[[int], None]:
    from handsel.wiring import collector
    from handsel.xds.adapters.grpc_server import AdsServer
    from handsel.xds.names import Names
    from handsel.xds.snapshot import snapshot

    collector.calm()  # as the agent does
    # A stream calls once for the request that opens it.
    opened = 0

    def changed() -> None:
        nonlocal opened
        if opened < len(server._door.sessions):
            opened += 1
        else:
            count.one()

    server = AdsServer(path, names=Names("spiffe://bench.internal/ns/default/sa/web"), on_change=changed)
    await server.start()
    return lambda number: server.publish(snapshot([_content(number)]))


async def _bare(path: Path, count: Count) -> Callable[[int], None]:
    from bare import Bare

    from handsel.xds.adapters.wire import Encoder
    from handsel.xds.names import NOTHING
    from handsel.xds.stream import Response

    server = Bare(path, "envoy.service.secret.v3.SecretDiscoveryService", "DeltaSecrets", count.one)
    await server.start()

    def push(number: int) -> None:
        content = _content(number)
        server.push(Encoder(NOTHING).delta(Response(content.type_url, f"{number + 1}", (content,), ())))

    return push


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        import uvloop

        uvloop.run(_serve(sys.argv[2], Path(sys.argv[3])))
        sys.exit()
    claim = "a push to many streams ÷ a bare gRPC server that writes the same bytes; goal at most 2, flat a stream"
    run(Report("fan_out", claim), bench, seconds=600, options=_options)
