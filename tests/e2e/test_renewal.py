"""Renewal as time goes by: each certificate once in its life, the agent's own included."""

from __future__ import annotations

import asyncio
import functools
from datetime import timedelta

import pytest

from handsel.authority.profile import Lifetimes
from handsel.wiring import server as server_wiring
from handsel.wiring.mesh_files import load_mesh
from handsel.wiring.up import up
from tests.e2e.mesh_process import HTTP_PROGRAM, fetch, short_folder
from tests.e2e.test_proof import _Quiet

pytestmark = pytest.mark.e2e

MESH = f"""
trust_domain: renewal.internal
services:
  web: {{command: "{HTTP_PROGRAM}", calls: [emoji]}}
  emoji: {{command: "{HTTP_PROGRAM}"}}
authority: {{leaf_lifetime: 8s}}
"""


def test_short_lives_are_renewed_once_each_and_the_agent_renews_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_wiring, "Lifetimes", functools.partial(Lifetimes, agent=timedelta(seconds=10)))

    async def run() -> None:
        with short_folder() as folder:
            (folder / "handsel.yaml").write_text(MESH)
            mesh = load_mesh(folder / "handsel.yaml")
            async with up(mesh, folder / "s", folder / "r" / "r", None, _Quiet()) as running:
                agent = running.agent
                own, issued = agent.layout.certificate.read_bytes(), await running.server.directory.issued_count()
                port = agent.ports_of("web").callees["emoji"]
                for _ in range(14):
                    await asyncio.sleep(1)
                    assert (await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/"))[0] == 200
                assert agent.layout.certificate.read_bytes() != own
                assert agent.server.problem == ""
                # Fourteen seconds: at most four renewals for each of the two services, the agent and the server.
                assert 4 <= await running.server.directory.issued_count() - issued <= 16

    asyncio.run(run())
