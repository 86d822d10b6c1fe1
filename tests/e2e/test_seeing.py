"""What is seen of a mesh that runs: calls with both identities, the graph, metrics, proxies, alerts."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from handsel.agent.adapters.files import AgentFolder
from handsel.agent.layout import Layout
from handsel.link.adapters.http_client import LinkClient
from handsel.link.report import Rejection, Report, WorkloadReport
from handsel.xds.resources import LISTENER
from tests.e2e.mesh_process import (
    HANDSEL,
    HTTP_PROGRAM,
    TCP_PROGRAM,
    Handsel,
    Mesh,
    environment,
    fetch,
    free_port,
    mesh,
    run,
    wait_for,
)

pytestmark = pytest.mark.e2e
DEPLOY = Path(__file__).parents[2] / "deploy"
SPIFFE = "spiffe://seen.internal/ns/default/sa/"
MESH = f"""
trust_domain: seen.internal
services:
  web:
    command: "{HTTP_PROGRAM}"
    calls: [emoji, db, bank, spare]
  emoji: {{command: "{HTTP_PROGRAM}"}}
  spare: {{command: "{HTTP_PROGRAM}", mode: permissive}}
  db: {{command: "{TCP_PROGRAM}", protocol: tcp}}
external:
  bank: {{host: bank.example.com, port: 80, endpoints: ["127.0.0.1:{free_port()}"], tls: {{mode: disable}}}}
telemetry:
  requests: true
  alerts: [{{command: [sh, -c, "cat >> alerts; echo >> alerts"]}}]
"""


@pytest.fixture(scope="module")
def running():
    with mesh(MESH) as up:
        yield up


def _json(running: Mesh, *arguments: str) -> Any:
    done = run(*arguments, "--state", str(running.state), "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class _Tap:
    """A `mesh tap` that has begun to follow."""

    def __init__(self, running: Mesh, *arguments: str) -> None:
        command = [*HANDSEL, "mesh", "tap", "--state", str(running.state), *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment())
        logs = running.state / "agent" / "workloads" / "web" / "access.log"
        wait_for(lambda: any(Path(each).name == "access.log" for each in self._files()), 15, f"it reads {logs}")
        time.sleep(0.3)  # the last of the logs is open then

    def _files(self) -> list[str]:
        try:
            return [str(each.readlink()) for each in Path(f"/proc/{self.process.pid}/fd").iterdir()]
        except OSError:
            return []

    def lines(self) -> list[str]:
        out, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, err
        return out.splitlines()


def test_tap_shows_a_call_with_what_both_ends_verified(running: Mesh) -> None:
    tap = _Tap(running, "--count", "2", "--seconds", "20", "-o", "json")
    assert fetch(running.url("web", "emoji") + "/hello")[0] == 200
    assert fetch(running.url("web", "bank") + "/money")[0] == 503
    hello, money = sorted((json.loads(line) for line in tap.lines()), key=lambda each: each["what"])
    assert (hello["from"], hello["to"], hello["what"], hello["status"]) == ("web", "emoji", "GET /hello", "200")
    assert (hello["from_identity"], hello["to_identity"]) == (f"{SPIFFE}web", f"{SPIFFE}emoji")
    assert hello["ends"] == 2
    assert hello["tls"] == "TLS 1.3 X25519MLKEM768"
    assert (money["to"], money["status"], money["tls"], money["ends"]) == ("bank", "503", "no TLS", 1)
    assert "connection failed" in money["notes"]


def test_tap_shows_what_is_asked_for_and_a_connection_of_layer_4(running: Mesh) -> None:
    tap = _Tap(running, "db", "--count", "1", "--seconds", "20")
    fetch(running.url("web", "emoji"))
    _speak_to_db(running)
    (line,) = tap.lines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  web → db  connection  open  TLS 1\.3 X25519MLKEM768", line)


def _speak_to_db(running: Mesh) -> None:
    port = running.workload("web")["ports"]["callees"]["db"]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        assert client.recv(100)


def test_tap_ends_with_ctrl_c_and_with_its_reader(running: Mesh) -> None:
    tap = _Tap(running)
    tap.process.send_signal(signal.SIGINT)
    out, err = tap.process.communicate(timeout=10)
    assert (tap.process.returncode, err) == (0, "")
    assert not out


def test_the_graph_says_who_talks_to_whom_and_how(running: Mesh) -> None:
    fetch(running.url("web", "emoji"))
    fetch(running.url("web", "bank"))
    _speak_to_db(running)

    def told() -> dict[str, Any] | None:
        found = _json(running, "mesh", "graph")["edges"]
        edges = {each["callee"]: each for each in found if each["caller"] == "web"}
        return edges if edges["emoji"]["requests"] and edges["db"]["connections"] and edges["bank"]["errors"] else None

    edges = wait_for(told, 25, "the agent told the server")
    assert edges["emoji"]["versions"] == ["TLSv1.3"]
    assert edges["emoji"]["groups"] == ["X25519MLKEM768"]
    assert edges["db"]["requests"] == 0
    assert edges["spare"]["used"] is False
    assert (edges["bank"]["encryption"], edges["bank"]["used"]) == ("plaintext", True)
    assert sum(each["share"] for each in edges.values()) == pytest.approx(1, abs=0.01)
    shown = run("mesh", "graph", "--state", str(running.state)).stdout
    assert re.search(r"^web +emoji +http +mutual TLS 1\.3, X25519MLKEM768 +\d+% +\d+ +0 +0 +-$", shown, re.MULTILINE)
    assert re.search(r"^web +spare .* never used$", shown, re.MULTILINE)
    drawing = run("mesh", "graph", "--state", str(running.state), "-o", "svg").stdout
    assert drawing.startswith("<svg")
    assert "mutual TLS 1.3, X25519MLKEM768" in drawing


def _metrics(url: str) -> dict[str, Any]:
    """Samples by family, read as Prometheus reads them."""
    status, text = fetch(url)
    assert status == 200
    return {family.name: family for family in text_string_to_metric_families(text)}


def _value(families: dict[str, Any], family: str, **labels: str) -> float:
    (found,) = [sample.value for sample in families[family].samples if sample.labels == labels]
    return found


def test_an_agent_exports_what_its_proxies_count_also_when_one_of_them_hangs(running: Mesh) -> None:
    url = _json(running, "status")["agent"]["metrics"]
    assert url in running.up.output()
    assert url in run("status", "--state", str(running.state)).stdout
    fetch(running.url("web", "emoji"))
    families = _metrics(url)
    before = _value(families, "handsel_proxy_requests", service="web", callee="emoji", response_class="2xx")
    assert _value(families, "handsel_edge_connections", caller="web", callee="emoji", tls="TLSv1.3") >= 1
    assert _value(families, "handsel_proxy_inbound_requests", service="emoji", response_class="2xx") == before
    assert all(each.documentation for each in families.values())
    emoji = running.workload("emoji")["envoy"]
    os.kill(emoji, signal.SIGSTOP)
    try:
        time.sleep(0.6)  # within half a second the last answer is good
        started = time.monotonic()
        families = _metrics(url)
        assert time.monotonic() - started < 4
    finally:
        os.kill(emoji, signal.SIGCONT)
    assert _value(families, "handsel_proxy_up", service="emoji") == 0
    assert _value(families, "handsel_proxy_up", service="web") == 1
    assert _value(families, "handsel_proxy_requests", service="web", callee="emoji", response_class="2xx") >= before


_NAME = re.compile(r"\bhandsel_\w+")


def test_dashboard_and_rules_name_only_what_our_doors_export(running: Mesh) -> None:
    status = _json(running, "status")
    exported = set()
    for url in (status["agent"]["metrics"], status["server"]["metrics"]):
        for family in _metrics(url).values():
            exported |= {family.name, *(f"{family.name}{end}" for end in ("_total", "_bucket"))}
    board = json.loads((DEPLOY / "grafana" / "handsel.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())
    asked += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    named = {name for expression in asked for name in _NAME.findall(expression)}
    assert len(named) > 20
    assert named <= exported
    page = (DEPLOY.parent / "docs" / "seeing.md").read_text()
    documented = set(_NAME.findall(page))
    families = {name for name in exported if name.removesuffix("_bucket") == name}
    assert documented <= families, "the page names what is not exported"


def _alerts(running: Mesh, kind: str) -> list[dict[str, Any]]:
    path = running.folder / "alerts"
    told = [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []
    return [each for each in told if each["alert"] == kind]


def test_a_refused_configuration_is_shown_with_its_line_and_told_until_it_is_over(running: Mesh) -> None:
    shown = run("mesh", "proxies", "--state", str(running.state)).stdout
    assert len(re.findall(r"^\w+ +\S+ \(\w+\) +\d+ +in sync$", shown, re.MULTILINE)) >= 4
    well = _report(running, ())
    refusing = _report(running, (Rejection(LISTENER, ("outbound.emoji",), "no such \x1bfield"),))
    asyncio.run(_say(running, refusing))
    line = MESH.splitlines().index("    calls: [emoji, db, bank, spare]") + 1
    (proxy,) = [each for each in _json(running, "mesh", "proxies")["proxies"] if each["service"] == "web"]
    assert proxy["in_sync"] is False
    assert proxy["stale_since"]
    (refused,) = proxy["refused"]
    assert refused["origin"] == f"handsel.yaml:{line}"
    assert refused["names"] == ["outbound.emoji"]
    shown = run("mesh", "proxies", "--state", str(running.state)).stdout
    assert f"handsel.yaml:{line}: web refuses outbound.emoji" in shown
    assert "no such field" in shown

    def told() -> list[dict[str, Any]]:
        asyncio.run(_say(running, refusing))  # the real agent may have said meanwhile that all is well
        time.sleep(0.5)
        return _alerts(running, "nack")

    (alert,) = wait_for(told, 40, "the alert was told")
    assert alert["status"] == "firing"
    assert alert["details"]["origin"].endswith(f"handsel.yaml:{line}")
    assert f"! {alert['summary']}" in run("status", "--state", str(running.state)).stdout
    asyncio.run(_say(running, well))
    _, over = wait_for(lambda: _alerts(running, "nack")[1:] and _alerts(running, "nack"), 40, "its end was told")
    assert over["status"] == "resolved"


def _report(running: Mesh, rejections: tuple[Rejection, ...]) -> Report:
    """What this host's agent would say, if the proxy of `web` refused this."""
    status = _json(running, "status")["agent"]
    return Report(
        tuple(
            WorkloadReport(
                each["service"], "127.0.0.1", each["ports"]["application"], each["ports"]["mesh"],
                each["ports"]["proxy"], each["ports"]["callees"], each["access_log"],
                in_sync=each["service"] != "web" or not rejections,
                rejections=rejections if each["service"] == "web" else (),
                callee_addresses=each["ports"]["addresses"],
            )
            for each in status["workloads"]
        )
    )  # fmt: skip


async def _say(running: Mesh, report: Report) -> None:
    layout = Layout(running.state / "agent", running.folder)
    enrolment = AgentFolder(layout).enrolment()
    assert enrolment
    roots = AgentFolder(layout).load().roots
    async with LinkClient(enrolment.url, enrolment.trust_domain, roots, (layout.certificate, layout.key)) as client:
        await client.report(report)


def test_a_ticket_that_came_again_is_told(running: Mesh) -> None:
    ticket = run("agent", "ticket", "--state", str(running.state), "--services", "spare").stdout.strip()
    assert run("join", "--ticket", ticket, "--state", str(running.folder / "one")).returncode == 0
    assert run("join", "--ticket", ticket, "--state", str(running.folder / "two")).returncode != 0
    found = wait_for(lambda: _alerts(running, "replayed_ticket"), 40, "the alert was told")
    assert [each["status"] for each in found] == ["firing"]
    families = _metrics(_json(running, "status")["server"]["metrics"])
    assert _value(families, "handsel_alerts", kind="replayed_ticket") == 1
    assert _value(families, "handsel_hosts_in_quarantine") == 1
    agent = found[0]["details"]["agent"]
    assert run("agent", "quarantine", "lift", agent, "--state", str(running.state)).returncode == 0
    wait_for(lambda: _alerts(running, "replayed_ticket")[-1]["status"] == "resolved", 40, "its end was told")


def test_plaintext_at_a_permissive_port_is_told_with_the_address_that_it_came_from(running: Mesh) -> None:
    assert fetch(f"http://127.0.0.1:{running.workload('spare')['ports']['mesh']}/plain")[0] == 200
    (alert,) = wait_for(lambda: _alerts(running, "plaintext"), 40, "the alert was told")
    assert alert["summary"] == "spare took 1 connections in plaintext from 127.0.0.1"
    shown = run("mesh", "graph", "--state", str(running.state)).stdout
    assert re.search(r"^127\.0\.0\.1 +spare +- +plaintext .* not declared$", shown, re.MULTILINE)


def test_several_agents_on_a_machine_each_have_a_door_and_a_written_port_is_kept(running: Mesh) -> None:
    ticket = run("agent", "ticket", "--state", str(running.state), "--services", "spare").stdout.strip()
    port, taken = free_port(), socket.create_server(("127.0.0.1", 0))
    with taken:
        wrong = run("agent", "run", "--state", str(running.folder / "three"), "--ticket", ticket,
                    "--metrics-port", str(taken.getsockname()[1]))  # fmt: skip
        assert wrong.returncode != 0
        assert "HS-S003" in wrong.stderr
    agent = Handsel(running.folder, "three", "agent", "run", "--state", "three", "--metrics-port", str(port))
    agent.wait_for(f"metrics http://127.0.0.1:{port}/metrics")
    assert _value(_metrics(f"http://127.0.0.1:{port}/metrics"), "handsel_agent_server_reached") == 1
    wait_for(lambda: _spares(running) == 2, 15, "the second host told where its service is")
    agent.stop()
    wait_for(lambda: "its agent is away" in run("mesh", "proxies", "--state", str(running.state)).stdout, 15)


def _spares(running: Mesh) -> int:
    return sum(each["service"] == "spare" for each in _json(running, "mesh", "proxies")["proxies"])
