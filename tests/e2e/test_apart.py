"""One server, two agents and four programs, each a process of its own: the same code path as `up`, on several hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.mesh_process import (
    HTTP_PROGRAM,
    Handsel,
    access_log,
    end_everything_in,
    fetch,
    free_port,
    run,
    short_folder,
    wait_for,
    workload,
)

pytestmark = pytest.mark.e2e

MESH = """
trust_domain: apart.internal
services:
  web: {calls: [emoji, voting]}
  emoji: {}
  voting: {}
  bot: {calls: [web]}
"""
FIRST, SECOND = ("web", "bot"), ("emoji", "voting")


def test_services_on_two_hosts_speak_mutual_tls() -> None:
    with short_folder() as folder:
        try:
            _run(folder)
        finally:
            end_everything_in(folder)


def _run(folder: Path) -> None:
    (folder / "handsel.yaml").write_text(MESH)
    listen = f"127.0.0.1:{free_port()}"
    server = Handsel(
        folder, "server", "server", "-f", "handsel.yaml", "--state", "server", "--listen", listen,
        "--metrics-port", "0", "--status-port", "0",
    )  # fmt: skip
    server.wait_for("server https")
    for host, services in (("first", FIRST), ("second", SECOND)):
        made = run("agent", "ticket", "--state", str(folder / "server"), "--services", ",".join(services))
        assert made.returncode == 0, made.stderr
        joined = run("join", "--ticket", made.stdout.strip(), "--state", str(folder / host))
        assert joined.returncode == 0, joined.stderr
        assert "this host joined: apart.internal" in joined.stderr
        again = run("join", "--ticket", made.stdout.strip(), "--state", str(folder / "elsewhere"))
        assert again.returncode != 0
        assert "HS-A002 the ticket was used before" in again.stderr
        # The same ticket twice is an alarm; here we know who it was.
        agent = json.loads((folder / host / "agent" / "enrolment.json").read_text())["agent_id"]
        lifted = run("agent", "quarantine", "lift", agent, "--state", str(folder / "server"))
        assert lifted.returncode == 0, lifted.stderr
        Handsel(folder, host, "agent", "run", "--state", host).wait_for("agent ")
    for name in (*FIRST, *SECOND):
        host = "first" if name in FIRST else "second"
        Handsel(folder, name, "run", "--service", name, "--state", host, "--", *HTTP_PROGRAM.split())

    assert {each["service"] for each in _workloads(folder / "first")} == set(FIRST)
    assert {each["service"] for each in _workloads(folder / "second")} == set(SECOND)
    for caller, callee in (("web", "emoji"), ("web", "voting"), ("bot", "web")):
        port = wait_for(lambda caller=caller, callee=callee: _port(folder / "first", caller, callee))
        assert wait_for(lambda port=port: _status(port) == 200)
        host = folder / ("first" if callee in FIRST else "second")
        line = wait_for(
            lambda host=host, callee=callee: [x for x in access_log(host, callee) if x["event"] == "inbound_connected"]
        )[0]
        assert line["peer_uri"] == f"spiffe://apart.internal/ns/default/sa/{caller}"
        assert line["tls_version"] == "TLSv1.3"
        assert line["tls_group"] == "X25519MLKEM768"

    listed = run("agent", "list", "--state", str(folder / "server"))
    assert "web, bot" in listed.stdout
    assert "emoji, voting" in listed.stdout
    # A program of a service that is registered elsewhere is not started here.
    refused = run("run", "--service", "emoji", "--state", str(folder / "first"), "--", "true")
    assert refused.returncode != 0
    assert "no service 'emoji' on this host" in refused.stderr


def _workloads(state: Path) -> list[dict[str, object]]:
    from handsel.cli.local import call_agent

    return wait_for(lambda: call_agent(state, "GET", "/v1/status")["workloads"])


def _port(state: Path, caller: str, callee: str) -> int | None:
    ports = workload(state, caller)["ports"]
    return ports["callees"].get(callee) if ports else None


def _status(port: int) -> int:
    try:
        return fetch(f"http://127.0.0.1:{port}/")[0]
    except OSError:
        return 0
