"""`handsel down`: the `up` of a state folder, or what a killed one left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

from handsel.agent.adapters import network_namespace
from handsel.agent.adapters.host.programs import end_left_behind
from handsel.agent.layout import Layout
from handsel.envoy.adapters import process
from handsel.envoy.adapters.process import ProcessRecord

# `up` drains its Envoys and lets programs finish; then it is told more firmly.
_PATIENCE_SECONDS = 15.0


def up_record(state: Path) -> Path:
    """The file that says which process is the `up` of a state folder."""
    return state / "up.pid"


async def down(state: Path, runtime: Path) -> list[str]:
    """Stop everything of a state folder. Returns what was stopped, in order."""
    stopped = []
    record = ProcessRecord.load(up_record(state))
    if record is not None and record.runs:
        await process.end(record, patience=_PATIENCE_SECONDS)
        stopped.append("up")
    up_record(state).unlink(missing_ok=True)
    stopped += await end_left_behind(sorted((state / "programs").glob("*.pid")))
    stopped += await _end_envoys(Layout(state / "agent", runtime))
    stopped += _remove_namespaces(state / "agent")
    shutil.rmtree(runtime, ignore_errors=True)
    return stopped


def _remove_namespaces(state: Path) -> list[str]:
    there = network_namespace.there(state)
    for name in there:
        network_namespace.remove(name)
    return [f"the network namespace {name}" for name in there]


async def _end_envoys(layout: Layout) -> list[str]:
    ended = []
    for path in sorted(layout.workloads.glob("*/envoy.pid")):
        record = ProcessRecord.load(path)
        if record is not None and record.runs:
            place = layout.of(path.parent.name)
            await process.drain_and_end(record, place.sockets.admin, drain_seconds=0.1)
            ended.append(f"the Envoy of {path.parent.name}")
        path.unlink(missing_ok=True)
    return ended
