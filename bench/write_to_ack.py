"""From a mesh file that is written to the last acknowledgement of many proxies, beside a bare push of the same bytes.

A real server watches the file; its agents, four hosts with an Envoy each, serve the subscribers, which ask by delta ADS
for the routes that the file changes. The time runs from the rename of the new file to the moment the last ACK is
written; the quiet time for which the server waits in case more is written is not counted. The reference is one bare
gRPC server that has the bytes already and writes them to as many streams. Both run on the same clock and machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from harness import BENCH, HANDSEL, cpu_seconds, end, environment, folder, free_ports, start, wait_for
from report import Report, run
from spoken import Spoken, begin, line, say

from handsel import settings
from handsel.agent.layout import Layout
from handsel.cli.local import call_agent
from handsel.envoy.adapters.process import ProcessRecord
from handsel.link.messages import Resources
from handsel.mesh.adapters.watching import QUIET_SECONDS
from handsel.xds.resources import ROUTE

HOSTS = 4
ROUNDS, SIZES, PUSHES = 5, (1, 100, 1_000), 7
MESH, BARE = "handsel", "bare"
RULES, NAME = 10, "outbound.callee"
_PER_CONNECTION = 10
_ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"


def bench(report: Report, _options: object) -> None:
    report.conditions |= {
        "rounds": ROUNDS, "writes_a_round": PUSHES, "hosts": HOSTS, "rules": RULES, "variant": "delta ADS, routes",
        "streams_a_connection": _PER_CONNECTION, "quiet_ms_not_counted": QUIET_SECONDS * 1e3,
    }  # fmt: skip
    with folder() as place, contextlib.closing(Hosts(place)) as hosts:
        report.conditions["bytes"] = len(hosts.content())
        for number in range(ROUNDS + 1):
            for streams in SIZES:
                for side in (MESH, BARE) if number % 2 else (BARE, MESH):
                    figures, errors = _of_mesh(hosts, streams) if side == MESH else _of_bare(hosts.content(), streams)
                    report.add(number, f"{streams}/{side}", figures, errors)
    for streams in SIZES:
        report.compare("ms", f"{streams}/{MESH}", f"{streams}/{BARE}")


def _of_mesh(hosts: Hosts, streams: int) -> tuple[dict[str, float], list[str]]:
    with _subscribers(hosts.sockets, streams) as (client, errors):
        before = cpu_seconds(hosts.pids)
        times = [_last_ack(hosts.write(), client) - QUIET_SECONDS for _ in range(PUSHES)]
        cpu = cpu_seconds(hosts.pids) - before
    return {"ms": statistics.median(times) * 1e3, "slowest_ms": max(times) * 1e3, "cpu_ms": cpu * 1e3 / PUSHES}, errors


def _of_bare(content: bytes, streams: int) -> tuple[dict[str, float], list[str]]:
    with folder() as place:
        (place / "content").write_bytes(content)
        server = begin(__file__, "--serve", str(place / "ads"), str(place / "content"))
        try:
            line(server)
            with _subscribers([place / "ads"], streams) as (client, errors):
                before = cpu_seconds([server.pid])
                times = [_last_ack(_push(server), client) for _ in range(PUSHES)]
                cpu = cpu_seconds([server.pid]) - before
        finally:
            end([server])
    return {"ms": statistics.median(times) * 1e3, "slowest_ms": max(times) * 1e3, "cpu_ms": cpu * 1e3 / PUSHES}, errors


def _push(server: Spoken) -> float:
    """Have the bare server push; the moment at which it began."""
    time.sleep(random.uniform(0.05, 0.1))
    say(server, "push")
    return float(line(server))


def _last_ack(began: float, client: Spoken) -> float:
    """Seconds until every subscriber had the next resource and acknowledged it."""
    return float(line(client)) - began


@contextlib.contextmanager
def _subscribers(sockets: list[Path], streams: int) -> Iterator[tuple[Spoken, list[str]]]:
    """A process with so many streams, each of which has its first resource; then what went wrong."""
    errors: list[str] = []
    arguments = (",".join(map(str, sockets)), str(streams), str(_PER_CONNECTION), ROUTE, NAME)
    client = begin(str(BENCH / "subscribers.py"), *arguments)
    try:
        line(client)
        yield client, errors
        told = json.loads(client.communicate("", timeout=60)[0])
        if told["ended"] or told["fewest"] != PUSHES + 1 or told["most"] != PUSHES + 1:
            errors.append(f"{streams} streams: {told}")
    finally:
        end([client])


# The mesh: a server that watches its file, and hosts that joined it


class Hosts:
    """The server, and the agents with one caller each."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._number = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self._mesh = place / "mesh"
        self._mesh.mkdir()
        self._layouts = {
            f"caller{each}": Layout(place / f"h{each}" / "agent", settings.runtime_folder(place / f"h{each}"))
            for each in range(HOSTS)
        }
        self.write()
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        (port,) = free_ports(1)
        server = ["server", "-f", "mesh/handsel.yaml", "--watch", "--state", "server", "--metrics-port", "0"]
        self._run("server", *server, "--status-port", "0", "--listen", f"127.0.0.1:{port}")
        log = self._place / "server.log"
        wait_for(lambda: "server https" in log.read_text(), 30, 0.05, "a server")
        for number, caller in enumerate(self._layouts):
            ticket = self._once("agent", "ticket", "--state", "server", "--services", caller)
            self._once("join", "--ticket", ticket, "--state", f"h{number}")
            self._run(f"h{number}", "agent", "run", "--state", f"h{number}", "--address", "127.0.0.1")
        for caller in self._layouts:
            wait_for(lambda caller=caller: self._is_ready(caller), 60, 0.1, f"{caller} in sync")

    @property
    def pids(self) -> list[int]:
        """The server and the agents, without their Envoys."""
        return [each.pid for each in self._processes]

    @property
    def sockets(self) -> list[Path]:
        return [layout.of(caller).sockets.ads for caller, layout in self._layouts.items()]

    def content(self) -> bytes:
        """The routes as the agents have them."""
        caller, layout = next(iter(self._layouts.items()))
        resources = Resources.decode(layout.of(caller).resources.read_bytes()).resources
        return next(each.body for each in resources if (each.type_url, each.name) == (ROUTE, NAME))

    def write(self) -> float:
        """Put another file in the place of the mesh file; the moment at which that was done."""
        time.sleep(random.uniform(0.15, 0.25))
        self._number += 1
        new = self._place / "new.yaml"
        new.write_text(_mesh_file(self._number))
        began = time.monotonic()
        new.replace(self._mesh / "handsel.yaml")
        return began

    def close(self) -> None:
        end(self._processes)
        for layout in self._layouts.values():
            for path in layout.state.glob("workloads/*/envoy.pid"):
                record = ProcessRecord.load(path)
                if record and record.runs:
                    record.signal(9)  # an agent leaves its Envoys to the next one

    def _run(self, name: str, *arguments: str) -> None:
        self._processes.append(start([HANDSEL, *arguments], self._place / f"{name}.log"))

    def _once(self, *arguments: str) -> str:
        done = subprocess.run(
            [HANDSEL, *arguments], cwd=self._place, capture_output=True, text=True, env=environment(), check=False
        )
        if done.returncode:
            sys.exit(f"handsel {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def _is_ready(self, caller: str) -> bool:
        try:
            workloads = call_agent(self._layouts[caller].state.parent, "GET", "/v1/status")["workloads"]
        except Exception:  # noqa: BLE001  # not there yet
            return False
        return any(each["service"] == caller and each["ready"] for each in workloads)


def _mesh_file(number: int) -> str:
    """The callers, their callee, and rules for requests to it, the last of which is another one each time."""
    rules = [
        {"when": {"path": f"/v{each}", "headers": {"x-version": f"{each}"}}, "to": "callee", "timeout": "5s"}
        for each in range(RULES - 1)
    ]
    rules.append({"when": {"path": "/number"}, "response": {"status": 200, "body": f"{number:06}"}})
    services = {"callee": {}, **{f"caller{each}": {"calls": ["callee"]} for each in range(HOSTS)}}
    return json.dumps({"trust_domain": "bench.internal", "services": services, "routes": {"callee": rules}}, indent=1)


# The bare server, in a process of its own


async def _serve(path: Path, content: bytes) -> None:
    from bare import Bare

    from handsel.xds.adapters.wire import Encoder
    from handsel.xds.names import NOTHING
    from handsel.xds.resources import resource
    from handsel.xds.stream import Response

    server = Bare(path, _ADS, "DeltaAggregatedResources", lambda: None)
    encoder, routes = Encoder(NOTHING), resource(ROUTE, NAME, content)
    server.push(encoder.delta(Response(ROUTE, "0", (routes,), ())))
    await server.start()
    print("ready", flush=True)
    for number in count(1):
        message = encoder.delta(Response(ROUTE, f"{number}", (routes,), ()))
        if not await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
            return
        began = time.monotonic()
        server.push(message)
        print(began, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        import uvloop

        uvloop.run(_serve(Path(sys.argv[2]), Path(sys.argv[3]).read_bytes()))
        sys.exit()
    claim = (
        "a file written until the last ACK ÷ a bare push of the same bytes to as many streams; goal at most 3 at 1000"
    )
    run(Report("write_to_ack", claim), bench, seconds=300)
