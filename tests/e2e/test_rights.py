"""What a host can do with the rights of root: a user for each workload, and names that lead to the sidecar."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from handsel.agent.adapters.host import rights
from tests.e2e.mesh_process import HANDSEL, HTTP_PROGRAM, TCP_PROGRAM, environment, free_port, mesh, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (rights.may_set_users() and rights.may_set_names()), reason="needs root"),
]

MESH = f"""
trust_domain: rights.internal
services:
  web: {{user: auto, calls: [shop, bank]}}
  other: {{user: auto, calls: [bank]}}
  shop: {{command: "{HTTP_PROGRAM}"}}
  bank: {{command: "{TCP_PROGRAM}", protocol: tcp, port: PORT}}
"""

# Reads what it is told to read, and says what came of it: a program of a workload.
_READER = """
import os, socket, sys
for path in sys.argv[1:]:
    try:
        if path.endswith(".ads"):
            socket.socket(socket.AF_UNIX).connect(path)
        else:
            open(path, "rb").read()
        print("yes", path)
    except OSError as error:
        print("no", path)
print("user", os.getuid(), os.getgid(), os.getgroups())
"""

_CALLER = """
import socket, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open("http://shop/", timeout=5).status)
print(socket.create_connection(("bank", %d), timeout=5).recv(100).decode())
print(open("/etc/hosts").read())
"""


def _mesh(port: int) -> str:
    return MESH.replace("PORT", str(port))


def _python() -> str:
    """A Python that another user may run."""
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


def _as(service: str, state: Path, *words: str) -> list[str]:
    done = subprocess.run(
        [*HANDSEL, "run", "--service", service, "--state", str(state), "--", *words],
        capture_output=True, text=True, timeout=40, check=False, cwd="/", env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_each_workload_has_a_user_of_its_own_and_reads_its_own_secrets_only() -> None:
    with mesh(_mesh(free_port())) as running:
        running.folder.chmod(0o711)
        agent = running.state / "agent"
        owned = {name: running.workload(name)["user"]["uid"] for name in ("web", "other")}
        assert len({*owned.values(), os.getuid()}) == 3
        sockets = {name: _socket_of(name, running.state) for name in owned}
        things = {name: [str(agent / "workloads" / name / "identity.key"), sockets[name]] for name in owned}
        ours = [str(agent / "agent.key"), str(agent / "recovery.key"), str(agent / "workloads/web/ports.json")]
        said = _as("web", running.state, _python(), "-c", _READER, *things["web"], *things["other"], *ours)
        assert said[:2] == [f"yes {path}" for path in things["web"]]
        assert said[2:-1] == [f"no {path}" for path in (*things["other"], *ours)]
        assert said[-1] == f"user {owned['web']} {owned['web']} [{owned['web']}]"
        # A program of the other one, as the control.
        said = _as("other", running.state, _python(), "-c", _READER, *things["other"], *things["web"])
        assert [line[:3] for line in said] == ["yes", "yes", "no ", "no ", "use"]


def test_names_lead_every_program_to_its_own_sidecar_and_nobody_else() -> None:
    port = free_port()
    with mesh(_mesh(port)) as running:
        before = Path("/etc/hosts").read_bytes()
        said = _as("web", running.state, _python(), "-c", _CALLER % port)
        assert said[0] == "200"
        assert said[1].startswith("220")
        assert any(line.endswith(" shop") for line in said)
        # The calls went through mutual TLS, as web.
        line = wait_for(lambda: [x for x in running.access_log("bank") if x["event"] == "inbound_connected"])[0]
        assert line["peer_uri"] == "spiffe://rights.internal/ns/default/sa/web"
        # Another workload has an address of its own for the same name, and the host has none.
        mine = running.workload("web")["ports"]["addresses"]["bank"]
        assert running.workload("other")["ports"]["addresses"]["bank"] != mine
        assert Path("/etc/hosts").read_bytes() == before
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo("bank", port)


def _socket_of(service: str, state: Path) -> str:
    from handsel import settings
    from handsel.agent.layout import Layout

    return str(Layout(state / "agent", settings.runtime_folder(state)).of(service).sockets.ads)
