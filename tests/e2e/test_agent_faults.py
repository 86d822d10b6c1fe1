"""What befalls a host: a server that goes, that comes back as another, clocks that jump, disks that fill up."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from handsel.agent.adapters.host import rights
from handsel.cli.local import call_agent
from tests.e2e.hosts import Hosts, hosts
from tests.e2e.load import Load
from tests.e2e.mesh_process import HTTP_PROGRAM, fetch, wait_for, workload

pytestmark = pytest.mark.e2e

MESH = """
trust_domain: faults.internal
services:
  web: {calls: [shop]}
  shop: {}
  later: {calls: [shop]}
authority: {leaf_lifetime: 10m}
"""


@contextmanager
def one_host(text: str = MESH) -> Iterator[tuple[Hosts, str]]:
    """A server, a host with two services of which one calls the other, and where the call goes in."""
    with hosts(text) as apart:
        apart.join("one", "web", "shop")
        apart.program("one", "shop", HTTP_PROGRAM)
        url = f"http://127.0.0.1:{apart.callee_port('one', 'web', 'shop')}/"
        wait_for(lambda: _answers(url), what="a call")
        yield apart, url


def test_a_server_that_was_set_back_to_an_older_state_is_followed() -> None:
    with one_host() as (apart, url):
        file = apart.folder / "handsel.yaml"
        older = file.read_text()
        apart.server.stop()
        shutil.copytree(apart.server_state, apart.folder / "backup")
        # The newer state: the host hears of a callee more.
        file.write_text(older.replace("web: {calls: [shop]}", "web: {calls: [shop, later]}"))
        apart.start_server()
        wait_for(lambda: "later" in _callees(apart), what="the newer state")
        apart.server.stop()

        shutil.rmtree(apart.server_state)
        (apart.folder / "backup").rename(apart.server_state)
        file.write_text(older)
        apart.start_server()
        wait_for(lambda: _callees(apart) == {"shop"}, what="the older state")
        assert _answers(url)
        assert _status(apart)["server_problem"] == ""


def test_a_server_that_is_away_when_certificates_are_due_is_not_missed() -> None:
    with one_host(MESH.replace("leaf_lifetime: 10m", "leaf_lifetime: 60s")) as (apart, url):
        serial = _certificate(apart)["serial"]
        with Load(int(url.rpartition(":")[2].strip("/"))) as load:
            time.sleep(25)
            apart.server.kill()
            time.sleep(15)  # from half of its life on the agent asks for another one, in vain
            assert "does not answer" in _status(apart)["server_problem"]
            assert _certificate(apart)["serial"] == serial
            apart.start_server()
            wait_for(lambda: _certificate(apart)["serial"] != serial, 15, "a new certificate")
            time.sleep(1)
        assert load.failures == []


def test_a_server_with_another_root_is_not_believed_and_the_mesh_goes_on() -> None:
    with one_host() as (apart, url):
        apart.server.stop()
        apart.server_state.rename(apart.folder / "the-true-one")
        apart.start_server()  # an authority that was made anew
        wait_for(lambda: "not the server of this trust domain" in _status(apart)["server_problem"], what="the reason")
        assert _answers(url)
        serial = workload(apart.folder / "one", "web")["certificate"]["serial"]
        # The true one, as the control.
        apart.server.stop()
        shutil.rmtree(apart.server_state)
        (apart.folder / "the-true-one").rename(apart.server_state)
        apart.start_server()
        wait_for(lambda: _status(apart)["server_problem"] == "", 45, "the true server")
        assert workload(apart.folder / "one", "web")["certificate"]["serial"] == serial
        assert _answers(url)


@pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")
def test_a_clock_that_jumps_by_hours_costs_no_request_and_no_certificate() -> None:
    with hosts(MESH) as apart:
        moved = apart.folder / "time"
        moved.write_text("+0")
        library = next(Path("/usr/lib").rglob("libfaketime.so.1"))
        variables = {
            "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(moved), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip
        apart.agent_prefix = ["env", *(f"{name}={value}" for name, value in variables.items())]
        apart.join("one", "web", "shop")
        apart.program("one", "shop", HTTP_PROGRAM)
        port = apart.callee_port("one", "web", "shop")
        wait_for(lambda: _answers(f"http://127.0.0.1:{port}/"), what="a call")
        serial = workload(apart.folder / "one", "web")["certificate"]["serial"]
        with Load(port) as load:
            for jump, told in (("+6h", "6 h ahead of"), ("-6h", "6 h behind"), ("+0", "")):
                moved.write_text(jump)
                wait_for(lambda told=told: _clock_problem_is(apart, told), what=f"a clock that is {told or 'right'}")
                time.sleep(1)
        assert load.failures == []
        assert load.sent > 100
        assert workload(apart.folder / "one", "web")["certificate"]["serial"] == serial


@pytest.mark.skipif(not rights.may_set_names(), reason="needs root")
def test_a_full_disk_leaves_nothing_half_written_and_is_got_over() -> None:
    text = MESH.replace("leaf_lifetime: 10m", "leaf_lifetime: 8s")
    with hosts(text) as apart, _small_disk(apart.folder / "one") as disk:
        state = apart.join("one", "web", "shop")
        apart.program("one", "shop", HTTP_PROGRAM)
        url = f"http://127.0.0.1:{apart.callee_port('one', 'web', 'shop')}/"
        wait_for(lambda: _answers(url), what="a call")
        own = state / "agent" / "workloads" / "web"

        ballast = disk / "ballast"
        _fill(ballast)
        before = {path: path.read_bytes() for path in (own / "identity.key", own / "identity.crt")}
        wait_for(lambda: "No space" in _status(apart)["state_problem"], what="the reason")
        assert {path: path.read_bytes() for path in before} == before
        ballast.unlink()
        wait_for(lambda: (own / "identity.crt").read_bytes() != before[own / "identity.crt"], 40, "a new certificate")
        wait_for(lambda: _answers(url), what="a call")
        wait_for(lambda: _status(apart)["state_problem"] == "", what="no problem any more")


def test_an_agent_that_a_newer_one_replaces_is_not_missed() -> None:
    """Its proxies run on under load, and a state that an older agent wrote is taken up."""
    with one_host() as (apart, url):
        state = apart.folder / "one"
        envoys = {name: workload(state, name)["envoy"] for name in ("web", "shop")}
        with Load(int(url.rpartition(":")[2].strip("/"))) as load:
            assert apart.agents["one"].stop() == 0
            (state / "agent" / "bundle.bin").unlink()
            (state / "agent" / "watch.json").write_text('{"sequence": 1, "signing": null}')
            apart.start_agent("one")
            wait_for((state / "agent" / "bundle.bin").exists, what="what the older one did not keep")
            time.sleep(1)
        assert load.failures == []
        assert load.sent > 50
        assert {name: workload(state, name)["envoy"] for name in envoys} == envoys
        assert workload(state, "web")["adopted"]


def test_a_socket_that_somebody_deleted_is_back_and_the_proxy_goes_on() -> None:
    with one_host() as (apart, url):
        sockets = _sockets(apart.folder / "one")
        assert len(sockets) == 2
        for each in sockets:
            each.unlink()
        wait_for(lambda: all(each.exists() for each in sockets), what="the sockets")
        # A restarted Envoy finds it.
        os.kill(workload(apart.folder / "one", "web")["envoy"], 9)
        wait_for(lambda: _answers(url), what="a call through an Envoy that was started anew")


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k,mode=0700", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(file: Path) -> None:
    """Until there is no more space, to the last byte."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (65536, 512, 1):
            with contextlib.suppress(OSError):
                while os.write(descriptor, b"\0" * size):
                    pass
    finally:
        os.close(descriptor)


def _sockets(state: Path) -> list[Path]:
    from handsel import settings

    return sorted(settings.runtime_folder(state).glob("*.ads"))


def _answers(url: str) -> bool:
    try:
        return fetch(url)[0] == 200
    except OSError:
        return False


def _status(apart: Hosts) -> dict[str, Any]:
    return dict(call_agent(apart.folder / "one", "GET", "/v1/status"))


def _certificate(apart: Hosts) -> dict[str, str]:
    return dict(workload(apart.folder / "one", "web")["certificate"])


def _callees(apart: Hosts) -> set[str]:
    return set(workload(apart.folder / "one", "web")["ports"]["callees"])


def _clock_problem_is(apart: Hosts, told: str) -> bool:
    problem = _status(apart)["clock_problem"]
    return told in problem if told else not problem
