"""An OCSP answer goes along with a certificate, and says what is true of it."""

from __future__ import annotations

import subprocess

import pytest

from tests.e2e.mesh_process import HTTP_PROGRAM, Mesh, environment, mesh, wait_for

pytestmark = pytest.mark.e2e

MESH = f"""
trust_domain: staples.internal
services:
  web: {{command: "{HTTP_PROGRAM}", calls: [shop, plain]}}
  shop: {{command: "{HTTP_PROGRAM}", staple: true}}
  plain: {{command: "{HTTP_PROGRAM}"}}
"""


def _shown(running: Mesh, service: str) -> str:
    """What OpenSSL is told about the status of a service's certificate, by the service itself."""
    agent = running.state / "agent"
    own = agent / "workloads" / "web"
    done = subprocess.run(
        [
            "openssl", "s_client", "-connect", f"127.0.0.1:{running.workload(service)['ports']['mesh']}", "-status",
            "-cert", str(own / "identity.crt"), "-cert_chain", str(own / "identity.crt"),
            "-key", str(own / "identity.key"), "-CAfile", str(agent / "roots.crt"),
        ],
        input="", capture_output=True, text=True, timeout=20, check=False, env=environment(),
    )  # fmt: skip
    return done.stdout


def test_a_certificate_brings_an_answer_for_it_along_where_that_is_wanted() -> None:
    with mesh(MESH) as running:
        shown = wait_for(lambda: _with_answer(running), what="a staple")
        assert "Cert Status: good" in shown
        serial = running.workload("shop")["certificate"]["serial"]
        assert f"Serial Number: {serial.upper().lstrip('0')}" in shown.replace("Serial Number: 0", "Serial Number: ")
        assert "OCSP response: no response sent" in _shown(running, "plain")
        # It is kept: the next agent has it before it has asked anybody.
        assert (running.state / "agent" / "workloads" / "shop" / "identity.ocsp").exists()
        assert not (running.state / "agent" / "workloads" / "plain" / "identity.ocsp").exists()


def _with_answer(running: Mesh) -> str:
    shown = _shown(running, "shop")
    return shown if "OCSP Response Status: successful" in shown else ""
