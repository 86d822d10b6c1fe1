"""One Envoy's process: started apart, found again by its record, ended for certain, and never mistaken for another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handsel.envoy.adapters import admin, binary, process
from handsel.envoy.adapters.process import ProcessRecord
from handsel.envoy.bootstrap import Sockets, bootstrap
from handsel.errors import ProtocolError, StateError
from tests.support import until


def _script(folder, text: str):
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@contextlib.asynccontextmanager
async def running(program, folder, content=None) -> AsyncIterator[ProcessRecord]:
    record = process.start(
        program, content or {}, config=folder / "config", log=folder / "log", record=folder / "record"
    )
    try:
        yield record
    finally:
        await process.end(record, patience=0, group=True)


SLEEPS = "exec sleep 60"


async def test_a_process_is_found_again_by_its_record(tmp_path):
    async with running(_script(tmp_path, SLEEPS), tmp_path) as record:
        found = ProcessRecord.load(tmp_path / "record")
        assert found == record
        assert found.runs
    assert not record.runs
    assert not ProcessRecord.load(tmp_path / "record").runs


async def test_a_process_outlives_whoever_started_it(tmp_path):
    async with running(_script(tmp_path, SLEEPS), tmp_path) as record:
        assert os.getsid(record.pid) == record.pid != os.getsid(0)
        assert Path(f"/proc/{record.pid}/cwd").readlink() == Path("/")


async def test_a_process_inherits_nothing_but_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with running(_script(tmp_path, f"env > {tmp_path}/seen; {SLEEPS}"), tmp_path):
        await until(lambda: (tmp_path / "seen").exists() and "PATH=" in (tmp_path / "seen").read_text())
    assert "http_proxy" not in (tmp_path / "seen").read_text()


async def test_what_it_says_goes_to_its_log_which_is_private(tmp_path):
    async with running(_script(tmp_path, f"echo out; echo err >&2; {SLEEPS}"), tmp_path):
        await until(lambda: (tmp_path / "log").read_text().split() == ["out", "err"])
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


async def test_another_process_that_got_its_pid_is_left_alone():
    ours = ProcessRecord.of(os.getpid())
    assert ours.runs
    before = ProcessRecord(ours.pid, ours.start_time - 1)
    assert not before.runs
    before.signal(signal.SIGKILL)  # would be the end of this test


def test_who_has_ended_has_no_record():
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has taken its status yet
        assert Path(f"/proc/{child.pid}/stat").exists()
        assert ProcessRecord.of(child.pid) is None
    assert ProcessRecord.of(child.pid) is None


@pytest.mark.parametrize("content", [None, "", "nonsense", "[]", "{}", '{"pid": "x", "start_time": 1}'])
def test_a_record_that_makes_no_sense_is_none(tmp_path, content):
    if content is not None:
        (tmp_path / "record").write_text(content)
    assert ProcessRecord.load(tmp_path / "record") is None


async def test_who_does_not_end_when_asked_is_killed(tmp_path):
    text = f"trap 'touch {tmp_path}/asked' TERM; touch {tmp_path}/ready; while :; do sleep 0.01; done"
    async with running(_script(tmp_path, text), tmp_path) as record:
        await until((tmp_path / "ready").exists)
        await process.end(record, patience=0.2)
        assert (tmp_path / "asked").exists()
        assert not record.runs


async def test_ending_who_has_ended_is_nothing(tmp_path):
    text = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done"
    async with running(_script(tmp_path, text), tmp_path) as record:
        (tmp_path / "go").touch()
        await until(lambda: not record.runs)
        await process.end(record)
        await process.end(record)
        await process.drain_and_end(record, tmp_path / "nobody", drain_seconds=60)


async def test_what_cannot_be_started_is_told(tmp_path):
    with pytest.raises(StateError, match="cannot be started"):
        process.start(tmp_path / "nobody", {}, config=tmp_path / "c", log=tmp_path / "l", record=tmp_path / "r")


async def test_a_real_envoy_is_started_asked_drained_and_ended(short_folder):
    sockets = Sockets(short_folder / "ads", short_folder / "adm")
    content = bootstrap("web", sockets)
    async with running(binary.find(None), short_folder, content) as record:
        await until(sockets.admin.exists)
        assert stat.S_IMODE(sockets.admin.stat().st_mode) == 0o600
        info = json.loads(await admin.get(sockets.admin, "/server_info"))
        assert info["node"]["id"] == "web"
        assert b'"bootstrap"' in await admin.get(sockets.admin, "/config_dump")
        with pytest.raises(ProtocolError, match="404"):
            await admin.get(sockets.admin, "/nobody")
        with pytest.raises(ProtocolError, match="405"):
            await admin.get(sockets.admin, "/drain_listeners")
        await admin.post(sockets.admin, "/drain_listeners")
        await asyncio.wait_for(process.drain_and_end(record, sockets.admin, drain_seconds=0), 10)
        assert not record.runs
    with pytest.raises(OSError, match=r"refused|No such file"):
        await admin.get(sockets.admin, "/server_info")
