"""What revoking costs when much was revoked before, and what a door feels while a large list is made.

Revoking is the whole of it: row, journal and commit in SQLite, taken into the index that OCSP answers from. The list is
complete, with 100 000 entries; meanwhile a client asks a door of the same process for an empty answer, as it did before.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from report import Report, interleave, run

ROUNDS, EARLIER, MEASURED, GROUP, ASKED_SECONDS = 6, 100_000, 200, 20, 1.0
WARM_UP, LISTS = 200, 5
FIRST, LATE = "the first ones", f"after {EARLIER} others"
USUAL, MEANWHILE = "usual", "while the list is made"


def bench(report: Report, _options: object) -> None:
    report.conditions |= {"rounds": ROUNDS, "earlier": EARLIER, "measured": MEASURED, "durability": "SQLite, fsync"}
    with tempfile.TemporaryDirectory(prefix="hs-") as folder:
        asyncio.run(_bench(report, Path(folder)))


async def _bench(report: Report, folder: Path) -> None:
    worlds = {FIRST: World(folder / "few"), LATE: World(folder / "many")}
    try:
        await worlds[LATE].revoke_many(EARLIER)
        for number, side in interleave((FIRST, LATE), ROUNDS):
            report.add(number, side, {"us": await worlds[side].revoke()})
        report.compare("us", LATE, FIRST)
        await _lists(report, worlds[LATE])
    finally:
        for world in worlds.values():
            world.store.close()


async def _lists(report: Report, world: World) -> None:
    """The slowest answer of a door while the list is made ÷ the usual p99."""
    from handsel.door.adapters.uvicorn_tls import DoorServer, listen_tcp
    from handsel.door.asgi import Door, Request, Response

    async def empty(_request: Request) -> Response:
        return Response(200)

    listening = listen_tcp("127.0.0.1", 0)
    server = DoorServer(Door({("GET", "/"): empty}, on_bug=print), listening, None)
    await server.start()
    port = listening.getsockname()[1]
    took: list[float] = []
    try:
        for number in range(ROUNDS + 1):
            usual = await _asked(port, asyncio.sleep(ASKED_SECONDS))
            during = await _asked(port, world.make_lists(took))
            report.add(number, USUAL, {"p99_ms": _quantile(usual, 0.99) * 1e3, "slowest_ms": max(usual) * 1e3})
            report.add(number, MEANWHILE, {"p99_ms": max(during) * 1e3, "slowest_ms": max(during) * 1e3})
    finally:
        await server.stop()
    report.compare("p99_ms", MEANWHILE, USUAL)
    report.compare("slowest_ms", MEANWHILE, USUAL)
    report.values["a list, ms"] = statistics.median(took) * 1e3
    report.values["a list, bytes"] = world.size


async def _asked(port: int, meanwhile: Any) -> list[float]:
    """What a client, in a process of its own, waited for each answer while something was done here."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    client = context.Process(target=_ask, args=(port, theirs))
    client.start()
    await asyncio.to_thread(ours.recv)  # it is warm
    await meanwhile
    ours.send(None)
    latencies: list[float] = await asyncio.to_thread(ours.recv)
    await asyncio.to_thread(client.join)
    return latencies


def _ask(port: int, pipe: Connection) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port)
    latencies: list[float] = []
    for number in range(1 << 30):
        began = time.perf_counter()
        connection.request("GET", "/")
        connection.getresponse().read()
        latencies.append(time.perf_counter() - began)
        time.sleep(0.0005)
        if number == WARM_UP:
            latencies.clear()
            pipe.send(None)
        if pipe.poll():
            break
    pipe.send(latencies)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


class World:
    """An authority's state on disk, with the index of its validation authority."""

    def __init__(self, folder: Path) -> None:
        from handsel.authority import ca
        from handsel.authority.adapters.status_tables import StatusTables
        from handsel.authority.model import Issuer
        from handsel.authority.status_places import EVERYTHING
        from handsel.authority.va.status import StatusIndex
        from handsel.pki.keys import PrivateKey
        from handsel.pki.names import TrustDomain
        from handsel.store.adapters.sqlite import SqliteStore
        from handsel.wiring.storage import APPLIERS

        self.now, domain = datetime.now(UTC), TrustDomain("bench.internal")
        root_key, key = PrivateKey.generate(), PrivateKey.generate()
        root = ca.make_root(domain, root_key, serial=1, now=self.now)
        self.issuer = Issuer(key, ca.make_issuing(domain, key, root, root_key, serial=2, now=self.now), root)
        folder.mkdir()
        self.store = SqliteStore(folder / "handsel.db", APPLIERS)
        self.tables = StatusTables(self.store)
        self.index = StatusIndex()
        self.index.held("issuing", EVERYTHING)
        self.serial = 1 << 126
        self.size = 0

    async def _issued(self, count: int) -> list[str]:
        from handsel.authority.directory import Intended, Issued

        serials = [f"{self.serial + number:x}" for number in range(count)]
        self.serial += count
        end = self.now + timedelta(days=30)
        for at in range(0, count, 2000):
            writes: list[Any] = []
            for each in serials[at : at + 2000]:
                writes.append(Intended(each, "a", ("a",), "issuing", "default", "", self.now, end, "bench"))
                writes.append(Issued(each, b"", each))
            await self.store.commit(tuple(writes))
        return serials

    async def _revoked(self, serials: list[str]) -> None:
        from handsel.authority.revocation import Reason, revoke

        done = [revoke(each, "issuing", Reason.SUPERSEDED, by="bench", now=self.now) for each in serials]
        await asyncio.gather(*(self.store.commit(each.writes) for each in done))
        self.index.add(await self.tables.revocations(self.index.sequence))

    async def revoke(self) -> float:
        """Microseconds for one of many revocations, a few at a time."""
        serials = await self._issued(MEASURED)
        began = time.perf_counter()
        for at in range(0, MEASURED, GROUP):
            await self._revoked(serials[at : at + GROUP])
        return (time.perf_counter() - began) / MEASURED * 1e6

    async def revoke_many(self, count: int) -> None:
        serials = await self._issued(count)
        for at in range(0, count, 2000):
            await self._revoked(serials[at : at + 2000])

    async def make_lists(self, took: list[float]) -> None:
        for _ in range(LISTS):
            began = time.perf_counter()
            await self.make_list()
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.01)

    async def make_list(self) -> None:
        """As the server makes it: gathered on the loop, signed in a thread, written by the store."""
        from handsel.authority.status_places import EVERYTHING, StatusPlaces
        from handsel.authority.va import lists
        from handsel.model.authority import CrlSettings

        held = self.index.held("issuing", EVERYTHING)
        (plan, _) = lists.plan(
            self.issuer, EVERYTHING, lists.Newest(), held, StatusPlaces("http://bench"), CrlSettings(),
            sequence=self.index.sequence, now=self.now,
        )  # fmt: skip
        made = await asyncio.to_thread(plan.sign)
        self.size = len(made.der)


if __name__ == "__main__":
    claim = "revoking costs the same after 100 000 revocations, and a door hardly feels a list of 100 000"
    run(Report("revocation", claim), bench, seconds=300)
