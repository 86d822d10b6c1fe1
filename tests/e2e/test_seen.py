"""What a person sees of a running mesh: status, the compiled stages, the scrape, the admin sockets' modes."""

from __future__ import annotations

import json
import re
import stat

import pytest
import yaml

from handsel import settings
from tests.e2e.mesh_process import HTTP_PROGRAM, Mesh, fetch, mesh, run

pytestmark = pytest.mark.e2e

MESH = f"""
trust_domain: seen.internal
services:
  web: {{command: "{HTTP_PROGRAM}", calls: [emoji, bank]}}
  emoji: {{command: "{HTTP_PROGRAM}"}}
external:
  bank: {{host: bank.example.com, tls: {{mode: mutual, client_certificate: c.pem, private_key: k.pem}}}}
"""


@pytest.fixture(scope="module")
def running():
    with mesh(MESH) as up:
        yield up


def test_status_fits_on_a_screen_and_says_what_is_wrong(running: Mesh) -> None:
    shown = run("status", "--state", str(running.state))
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert max(len(line) for line in lines if not line.startswith("!")) <= 100
    assert len(lines) <= 24
    assert "trust domain  seen.internal" in lines
    assert re.search(r"^web +60 min left +in sync \(pid \d+\) +\d+ +emoji, bank$", shown.stdout, re.MULTILINE)
    # The client certificate of `bank` is not there: the edge waits, the others go on.
    assert f"! web waits for a file: {running.folder}/c.pem is not there" in lines
    assert fetch(running.url("web", "emoji"))[0] == 200


def test_status_as_json_has_both_parts(running: Mesh) -> None:
    status = json.loads(run("status", "--state", str(running.state), "-o", "json").stdout)
    assert status["kind"] == "Status"
    assert status["server"]["trust_domain"] == "seen.internal"
    assert {each["service"] for each in status["agent"]["workloads"]} == {"web", "emoji"}
    (host,) = status["server"]["hosts"]
    assert host["agent"] == status["agent"]["agent"]
    assert yaml.safe_load(run("status", "--state", str(running.state), "-o", "yaml").stdout)["kind"] == "Status"


@pytest.mark.parametrize("stage", ["model", "ir", "xds"])
def test_every_stage_can_be_printed_and_shows_no_key(running: Mesh, stage: str) -> None:
    arguments = (
        "mesh",
        "config",
        "--stage",
        stage,
        "-f",
        str(running.folder / "handsel.yaml"),
        "--state",
        str(running.state),
    )
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        shown = run(*arguments, "-o", output)
        assert shown.returncode == 0, shown.stderr
        assert read(shown.stdout)
        assert "PRIVATE" not in shown.stdout
    one = run(*arguments, "--service", "emoji")
    assert one.returncode == 0
    assert "bank" not in one.stdout


def test_a_scrape_tells_when_certificates_end_and_who_is_in_sync(running: Mesh) -> None:
    status = json.loads(run("status", "--state", str(running.state), "-o", "json").stdout)
    text = fetch(status["server"]["metrics"])[1]
    assert (
        'handsel_cert_not_after_timestamp_seconds{role="workload",service="emoji",trust_domain="seen.internal"}' in text
    )
    assert 'handsel_cert_not_after_timestamp_seconds{role="root"' in text
    assert "handsel_proxies 2.0" in text
    assert "handsel_build_info{" in text
    base = status["server"]["metrics"].removesuffix("/metrics")
    assert fetch(f"{base}/healthz") == (200, "ok\n")
    assert fetch(f"{base}/readyz") == (200, "ok\n")


def test_every_socket_is_for_its_owner_alone(running: Mesh) -> None:
    folder = settings.runtime_folder(running.state)
    sockets = [path for path in folder.iterdir() if path.is_socket()]
    # Two for each workload, the agent's control socket, the server's admin socket.
    assert len(sockets) == 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in sockets} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_destination_that_is_not_declared_is_refused_by_the_proxy(running: Mesh) -> None:
    ports = running.workload("emoji")["ports"]
    status, text = fetch("http://web/", proxy=f"http://127.0.0.1:{ports['proxy']}")
    assert status == 403
    assert "not among the service's calls" in text
    web = running.workload("web")["ports"]
    assert fetch("http://emoji/", proxy=f"http://127.0.0.1:{web['proxy']}")[0] == 200


def test_config_view_says_where_each_value_comes_from(running: Mesh) -> None:
    shown = run("config", "view", "-f", str(running.folder / "handsel.yaml"))
    assert re.search(r'^trust_domain +"seen.internal" +.*handsel.yaml:2$', shown.stdout, re.MULTILINE)
    assert re.search(r'^authority.leaf_lifetime +"1h" +default$', shown.stdout, re.MULTILINE)
