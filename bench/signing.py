"""What an agent's calls cost the server: signing one workload, and renewing, on kept connections with durable writes.

The server's CPU time per call stands beside that of raw P-256 signatures in the same round. Every call proves that its
sender has the key, and makes two durable commits.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from acme import SIGNATURES, raw_signatures, said
from harness import HANDSEL, cpu_seconds, end, folder, start, wait_for
from report import Report, interleave, run

from handsel import settings
from handsel.agent.adapters.files import AgentFolder
from handsel.agent.join import Way
from handsel.agent.layout import Layout
from handsel.link.adapters.http_client import LinkClient
from handsel.link.messages import RenewRequest, SignBatchRequest
from handsel.link.ticket import TicketText
from handsel.pki import csr
from handsel.pki.keys import PrivateKey
from handsel.wiring.agent import join_host

ROUNDS, CALLS, CALLERS = 5, 400, 16
SIGN, RENEW, RAW = "sign", "renew", "raw P-256 signatures"


def bench(report: Report, _options: object) -> None:
    report.conditions |= {
        "rounds": ROUNDS, "calls": CALLS, "callers": CALLERS, "keys": "ECDSA P-256", "signatures": SIGNATURES,
        "durability": "SQLite, fsync on each commit, shared by what waits",
    }  # fmt: skip
    with folder() as place:
        (place / "handsel.yaml").write_text("services:\n  web: {}\n")
        state = place / "s"
        listen = ["--listen", "127.0.0.1:0", "--metrics-port", "0", "--status-port", "0"]
        process = start([HANDSEL, "server", "-f", "handsel.yaml", "--state", "s", *listen], place / "server.log")
        try:
            wait_for(lambda: said(place / "server.log"), 20, 0.05, "the server")
            ticket = subprocess.run(
                [HANDSEL, "agent", "ticket", "--state", str(state)], capture_output=True, check=True, text=True
            )
            agent = _join(place / "a", ticket.stdout.strip())
            for number, side in interleave((SIGN, RENEW, RAW), ROUNDS):
                figures = raw_signatures() if side == RAW else asyncio.run(_load(process.pid, agent, _CALLS[side]))
                report.add(number, side, figures)
        finally:
            end([process])
    report.compare("cpu_us", SIGN, RAW)
    report.compare("cpu_us", RENEW, RAW)


def _join(state: Path, ticket: str) -> AgentFolder:
    runtime = settings.runtime_folder(state)
    asyncio.run(join_host(state, runtime, Way.by_ticket(TicketText.decode(ticket))))
    return AgentFolder(Layout(state / "agent", runtime))


_Call = Callable[[LinkClient, bytes], Awaitable[object]]
_CALLS: dict[str, _Call] = {
    SIGN: lambda client, request: client.sign_batch(SignBatchRequest((("web", request),))),
    RENEW: lambda client, request: client.renew(RenewRequest(request)),
}


async def _load(pid: int, agent: AgentFolder, call: _Call) -> dict[str, float]:
    enrolment, layout = agent.enrolment(), agent.layout
    assert enrolment is not None
    waiting = [csr.build(PrivateKey.generate(), None) for _ in range(CALLS)]
    latencies: list[float] = []
    certificate = (layout.certificate, layout.key)
    async with LinkClient(enrolment.url, enrolment.trust_domain, agent.load().roots, certificate) as client:

        async def work() -> None:
            while waiting:
                request, began = waiting.pop(), time.perf_counter()
                await call(client, request)
                latencies.append(time.perf_counter() - began)

        cpu, began = cpu_seconds([pid]), time.perf_counter()
        await asyncio.gather(*(work() for _ in range(CALLERS)))
        spent, used = time.perf_counter() - began, cpu_seconds([pid]) - cpu
    return {"cpu_us": used / CALLS * 1e6, "rate": CALLS / spent, "p50_ms": statistics.median(latencies) * 1e3}


if __name__ == "__main__":
    claim = "signing costs at most 10 raw P-256 signatures of CPU, renewing at most 5"
    run(Report("signing", claim), bench, seconds=120)
