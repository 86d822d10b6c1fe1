"""Records an exchange between a server and an agent: `python -m tests.link.record`. The keys in it are thrown away.

One file a version of the link. The next version is tested against it: what an older agent said must still be read, and
what a newer server says must still be understood by what was recorded.
"""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handsel.link import messages
from handsel.link.adapters.http_client import LinkClient
from handsel.wiring.mesh_files import load_mesh
from handsel.wiring.up import up
from tests.e2e.mesh_process import short_folder

FILE = Path(__file__).parent / "recorded" / f"v{messages.VERSION}.json"
MESH = """
trust_domain: recorded.internal
services:
  web: {calls: [emoji, bank]}
  emoji: {protocol: grpc}
external:
  bank: {host: bank.example.com, tls: {mode: simple}}
"""


class _Recorder:
    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def note(self, direction: str, kind: str, body: bytes) -> None:
        self.entries.append({"from": direction, "message": kind, "body": base64.b64encode(body).decode()})

    @contextmanager
    def step(self, name: str) -> Any:
        yield self

    def say(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...


async def record() -> None:
    recorder = _Recorder()
    post, watch = LinkClient._post, LinkClient.watch

    async def recorded_post(self: LinkClient, call: str, body: bytes) -> bytes:
        recorder.note("agent", call, body)
        answer = await post(self, call, body)
        recorder.note("server", call, answer)
        return answer

    async def recorded_watch(self: LinkClient, since: int) -> Any:
        async for frame in watch(self, since):
            recorder.note("server", "frame", frame.encode())
            yield frame

    LinkClient._post, LinkClient.watch = recorded_post, recorded_watch  # type: ignore[method-assign]
    with short_folder() as folder:
        (folder / "handsel.yaml").write_text(MESH)
        async with up(load_mesh(folder / "handsel.yaml"), folder / "s", folder / "r" / "r", None, recorder):
            await asyncio.sleep(0.5)
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(recorder.entries, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(record())
