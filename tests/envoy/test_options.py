"""What a person chooses about Envoy, as Envoy itself understands it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from handsel.envoy.adapters import admin, binary, process
from handsel.envoy.options import LEVELS, Options, component_levels
from tests.e2e.mesh_process import short_folder


@pytest.mark.parametrize(
    ("options", "concurrency", "level", "components"),
    [
        (Options(), 1, "warning", ""),
        (Options(3, "error", "http:debug,upstream:info"), 3, "error", "http:debug,upstream:info"),
    ],
    ids=["usual", "chosen"],
)
async def test_envoy_takes_them(options: Options, concurrency: int, level: str, components: str):
    with short_folder() as folder:
        socket = folder / "admin.sock"
        content: dict[str, object] = {"admin": {"address": {"pipe": {"path": str(socket)}}}}
        running = process.start(
            binary.find(None), content, config=folder / "c", log=folder / "l", record=folder / "r", options=options
        )
        try:
            said = json.loads(await _server_info(socket))["command_line_options"]
        finally:
            await process.end(running)
    assert (said["concurrency"], said["log_level"], said["component_log_level"]) == (concurrency, level, components)


async def _server_info(socket: Path) -> bytes:
    """As soon as Envoy listens there, which is a moment after the socket is there."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await admin.get(socket, "/server_info")
            except OSError:
                await asyncio.sleep(0.02)


def test_no_threads_is_one_a_cpu():
    assert "--concurrency" not in Options(0).arguments()


@pytest.mark.parametrize("text", ["", "http", "http:loud", ":debug", "http:debug,", "a b:debug", "--x:debug"])
def test_what_are_no_levels_is_refused(text: str):
    with pytest.raises(ValueError, match="component:level"):
        component_levels(text)
    assert all(component_levels(f"http:{each}") for each in LEVELS)
