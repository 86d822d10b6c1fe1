"""A running server is told something else: by `apply`, and by files that change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from handsel.cli.local import call_server
from handsel.errors import Unreachable
from tests.e2e.hosts import Hosts, hosts
from tests.e2e.mesh_process import HTTP_PROGRAM, fetch, run, wait_for

pytestmark = pytest.mark.e2e

MESH = """
trust_domain: applied.internal
services:
  web: {calls: [shop]}
  shop: {}
"""
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1}}]
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Hosts]:
    with hosts(MESH) as apart:
        apart.join("one", "web", "shop")
        apart.program("one", "shop", HTTP_PROGRAM)
        wait_for(lambda: _answers(apart), what="the shop answers")
        yield apart


def _answers(apart: Hosts) -> bool:
    try:
        return fetch(f"http://127.0.0.1:{apart.callee_port('one', 'web', 'shop')}/")[0] == 200
    except (OSError, KeyError):  # without a call there is no port for it
        return False


def _apply(apart: Hosts, folder: Path, *more: str) -> dict:
    done = run("apply", "-f", str(folder), "--state", str(apart.server_state), "-o", "json", *more)
    assert done.returncode == 0, done.stderr
    answer: dict = json.loads(done.stdout)
    return answer


def _is_up(apart: Hosts) -> bool:
    try:
        return bool(_status(apart))
    except Unreachable:
        return False


def _applied(apart: Hosts) -> set[str]:
    return {each["resource"] for each in call_server(apart.server_state, "GET", "/v1/apply")["resources"]}


def _file(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def test_what_a_change_would_end_is_said_before_it_is_made(running: Hosts, tmp_path: Path):
    folder = _file(tmp_path / "new", "handsel.yaml", MESH.replace("calls: [shop]", "calls: []"))
    before = _applied(running)
    would = _apply(running, folder, "--dry-run")
    assert would["dry_run"]
    assert {"caller": "web", "callee": "shop", "how": "refused"} in would["connections"]
    assert {each["service"] for each in would["proxies"]} == {"web", "shop"}
    assert _applied(running) == before
    assert _answers(running)
    assert _apply(running, folder)["changes"][0]["what"] in ("created", "configured")
    wait_for(lambda: not _answers(running), what="the call is refused")
    back = _file(tmp_path / "back", "handsel.yaml", MESH)
    diff = _apply(running, back)["changes"][0]["diff"]
    assert "-  web: {calls: []}" in diff
    assert "+  web: {calls: [shop]}" in diff
    wait_for(lambda: _answers(running), what="the call is allowed again")


def test_a_file_with_a_fault_changes_nothing(running: Hosts, tmp_path: Path):
    folder = _file(tmp_path / "bad", "good.yaml", ENTRY.format(name="pay"))
    _file(folder, "bad.yaml", ENTRY.format(name="ship").replace("STATIC", "STATICS"))
    before = _applied(running)
    refused = run("apply", "-f", str(folder), "--state", str(running.server_state))
    assert refused.returncode == 2
    assert "bad.yaml:8:" in refused.stderr
    assert "STATICS" in refused.stderr
    assert _applied(running) == before
    _file(folder, "bad.yaml", ENTRY.format(name="ship"))
    _apply(running, folder)
    assert {"ServiceEntry default/pay", "ServiceEntry default/ship"} <= _applied(running)


def test_what_is_applied_stays_and_what_is_left_out_goes_only_when_pruned(running: Hosts, tmp_path: Path):
    folder = _file(tmp_path / "set", "a.yaml", ENTRY.format(name="one") + "---" + ENTRY.format(name="two"))
    _apply(running, folder, "--set", "pruned")
    running.server.stop()
    running.start_server()
    wait_for(lambda: _is_up(running), what="the server is back")
    assert {"ServiceEntry default/one", "ServiceEntry default/two"} <= _applied(running)
    _file(folder, "a.yaml", ENTRY.format(name="one"))
    assert [each["what"] for each in _apply(running, folder, "--set", "pruned")["changes"]] == ["unchanged"]
    assert "ServiceEntry default/two" in _applied(running)
    gone = _apply(running, folder, "--set", "pruned", "--prune")["changes"]
    assert {(each["resource"], each["what"]) for each in gone} == {
        ("ServiceEntry default/one", "unchanged"),
        ("ServiceEntry default/two", "pruned"),
    }
    assert "ServiceEntry default/two" not in _applied(running)


def test_files_that_change_are_read_again_and_faults_leave_what_was(tmp_path: Path):
    with hosts(MESH, server_options=["--watch"]) as apart:
        apart.join("one", "web", "shop")
        apart.program("one", "shop", HTTP_PROGRAM)
        wait_for(lambda: _answers(apart), what="the shop answers")
        file = apart.folder / "handsel.yaml"
        good = file.read_text()
        file.write_text(good.replace("calls: [shop]", "calls: [shp]"))
        wait_for(lambda: "shp" in str(_status(apart)["warnings"]), what="the fault is told")
        assert _answers(apart)
        file.write_text(good.replace("calls: [shop]", "calls: []"))
        wait_for(lambda: not _answers(apart), what="the call is refused")
        assert not any("shp" in each for each in _status(apart)["warnings"])
        file.write_text(good)
        wait_for(lambda: _answers(apart), what="the call is allowed again")


def _status(apart: Hosts) -> dict:
    answer: dict = call_server(apart.server_state, "GET", "/v1/status")
    return answer
