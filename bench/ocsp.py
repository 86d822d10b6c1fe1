"""What an OCSP answer costs the server: one that is kept, one that is signed, and an empty answer of the same door.

The door is handsel's own, in a process of its own, with as many certificates as a busy authority has revoked. The empty
answer is a route beside it. One client on one kept connection asks; the server's CPU time per request is compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection

from harness import cpu_seconds
from report import Report, interleave, run

ROUNDS, REQUESTS, REVOKED, SERIALS = 6, 4000, 20_000, 50
KEPT, SIGNED, EMPTY = "kept answer", "signed answer", "empty answer"


def bench(report: Report, _options: object) -> None:
    report.conditions |= {"rounds": ROUNDS, "requests": REQUESTS, "revoked": REVOKED, "keys": "ECDSA P-256"}
    with _server() as (pid, port, bodies):
        for number, side in interleave((KEPT, SIGNED, EMPTY), ROUNDS):
            report.add(number, side, asyncio.run(_load(pid, port, side, bodies)))
    for figure in ("cpu_us", "p50_us"):
        report.compare(figure, KEPT, EMPTY)
        report.compare(figure, SIGNED, EMPTY)


async def _load(pid: int, port: int, side: str, bodies: dict[str, list[bytes]]) -> dict[str, float]:
    path = "/empty" if side == EMPTY else "/ocsp"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = bodies[SIGNED if side == SIGNED else KEPT]
    latencies: list[float] = []
    before = cpu_seconds([pid])
    for number in range(REQUESTS):
        body = sent[number % len(sent)]
        began = time.perf_counter()
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
        latencies.append(time.perf_counter() - began)
        assert head.startswith(b"HTTP/1.1 200"), head
        assert side == EMPTY or answer[4:9] == b"\x0a\x01\x00\xa0\x82", answer[:12]  # successful
    writer.close()
    used = cpu_seconds([pid]) - before
    return {"cpu_us": used / REQUESTS * 1e6, "p50_us": statistics.median(latencies) * 1e6}


@contextlib.contextmanager
def _server() -> Iterator[tuple[int, int, dict[str, list[bytes]]]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,))
    process.start()
    try:
        port, bodies = ours.recv()
        yield process.pid or 0, port, bodies
    finally:
        ours.send(None)
        process.join(20)
        if process.is_alive():
            process.kill()


def _serve(pipe: Connection) -> None:
    import uvloop

    uvloop.run(_open(pipe))


async def _open(pipe: Connection) -> None:
    from handsel.authority import ca
    from handsel.authority.adapters.ocsp_http import OcspDoor
    from handsel.authority.model import Issuer
    from handsel.authority.revocation import Reason
    from handsel.authority.va import responder
    from handsel.authority.va.answers import Signer, Signers
    from handsel.authority.va.status import Revocation, StatusIndex
    from handsel.door.adapters.uvicorn_tls import DoorServer, listen_tcp
    from handsel.door.asgi import Door, Request, Response
    from handsel.pki import ocsp
    from handsel.pki.keys import PrivateKey
    from handsel.pki.names import TrustDomain

    now, domain = datetime.now(UTC), TrustDomain("bench.internal")
    root_key, key = PrivateKey.generate(), PrivateKey.generate()
    root = ca.make_root(domain, root_key, serial=1, now=now)
    issuer = Issuer(key, ca.make_issuing(domain, key, root, root_key, serial=2, now=now), root)
    delegate = responder.issue(responder.intend(issuer, PrivateKey.generate(), serial=3, now=now), now=now).answer
    signers = Signers({issuer.name: Signer(issuer, delegate)})
    index, end = StatusIndex(), now + timedelta(days=30)
    index.add(Revocation(n, n, issuer.name, now, Reason.SUPERSEDED, end) for n in range(1, REVOKED + 1))

    class Issued:
        async def issued(self, _issuer: str, serials: frozenset[int]) -> frozenset[int]:
            return frozenset(serials)

    door = OcspDoor(index, Issued(), lambda: signers)  # type: ignore[arg-type]  # the index is what is measured

    async def empty(_request: Request) -> Response:
        return Response(200)

    listening = listen_tcp("127.0.0.1", 0)
    routes = {**door.routes(), ("POST", "/empty"): empty}
    server = DoorServer(Door(routes, on_bug=lambda error: print(repr(error))), listening, None)
    await server.start()
    ids = [ocsp.cert_id(issuer.certificate, REVOKED - 10 + n) for n in range(SERIALS)]
    bodies = {
        KEPT: [ocsp.request([each]) for each in ids],
        SIGNED: [ocsp.request([each], b"nonce" * 6) for each in ids],
    }
    pipe.send((listening.getsockname()[1], bodies))
    await asyncio.to_thread(pipe.recv)
    await server.stop()


if __name__ == "__main__":
    run(Report("ocsp", "an OCSP answer that is kept costs little more than an empty answer"), bench, seconds=180)
