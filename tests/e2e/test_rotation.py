"""Rotation of an issuing CA while everything runs: no request fails, and it is resumed after kills."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest

from tests.e2e.authority_process import Authority, authority
from tests.e2e.load import Load
from tests.e2e.mesh_process import HTTP_PROGRAM, Mesh, mesh, run, wait_for, workload

pytestmark = pytest.mark.e2e

MESH = f"""
trust_domain: rotation.internal
services:
  web: {{command: "{HTTP_PROGRAM}", calls: [emoji]}}
  emoji: {{command: "{HTTP_PROGRAM}"}}
authority: {{leaf_lifetime: 8s}}
"""


def _rotate(state: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("ca", "rotate", *arguments, "--state", state)


def _status(state: str, name: str = "issuing") -> dict[str, Any]:
    done = _rotate(state, "status", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["rotations"]
    return next(each for each in found if each["name"] == name)


def _states(state: str, name: str = "issuing") -> list[str]:
    return sorted(each["state"] for each in _status(state, name)["authorities"])


def _key_of(running: Authority) -> str:
    """Who signed the certificate that the server's door shows."""
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", running.url.removeprefix("https://"), "-CAfile", str(running.roots)],
        input="", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Verify return code: 0 (ok)" in shown.stdout
    issued = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "authorityKeyIdentifier"], input=shown.stdout, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return issued.stdout.split()[-1].replace(":", "").lower()


def _ocsp(running: Authority, issuer: str) -> str:
    """What OCSP says of `leaf.pem`, signed for the CA whose certificate is in the file `issuer`."""
    url = running.server.output().partition("status ")[2].split()[0] + "/ocsp"
    asked = subprocess.run(
        ["openssl", "ocsp", "-issuer", str(running.state / "server" / "authority" / issuer), "-cert", "leaf.pem",
         "-url", url, "-CAfile", str(running.roots), "-no_nonce"],
        cwd=running.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Response verify OK" in asked.stderr, asked.stderr
    return asked.stdout


def _verified(running: Authority, place: str) -> str:
    """What openssl says of `leaf.pem` by the complete list of one key of a CA."""
    keys, lists = running.state / "server" / "authority", running.state / "server" / "crl" / place / "full.crl"
    subprocess.run(
        ["openssl", "crl", "-inform", "DER", "-in", str(lists), "-out", "list.pem"], cwd=running.folder, check=True
    )
    done = subprocess.run(
        ["openssl", "verify", "-crl_check", "-CRLfile", "list.pem", "-CAfile", str(running.roots), "-untrusted",
         str(keys / f"{place}.crt"), "leaf.pem"],
        cwd=running.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_mesh_under_load_does_not_notice_that_its_ca_is_replaced() -> None:
    with mesh(MESH) as running:
        state = str(running.state)
        port = running.workload("web")["ports"]["callees"]["emoji"]
        wait_for(lambda: not _waiting(running), what="acknowledgements")
        with Load(port, rate=50) as load:
            time.sleep(1)
            before = _chain_key(running)
            begun = _rotate(state, "issuing")
            assert begun.returncode == 0, begun.stderr
            wait_for(lambda: _states(state) == ["active", "retiring"], seconds=30, what="activation")
            wait_for(lambda: _chain_key(running) != before, seconds=30, what="new leaves")
            time.sleep(3)
        assert load.sent > 100
        assert load.failures == []


def _waiting(running: Mesh) -> list[str]:
    done = _rotate(str(running.state), "issuing", "--dry-run")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _chain_key(running: Mesh) -> str:
    """Which CA signed what the proxy of web shows now."""
    assert workload(running.state, "web")
    chain = next((running.state / "agent" / "workloads" / "web").rglob("*.crt"), None)
    pem = chain.read_text() if chain else ""
    issued = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "authorityKeyIdentifier"], input=pem, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return issued.stdout.split()[-1]


def test_a_rotation_goes_on_after_a_kill_and_its_older_leaves_keep_their_answers() -> None:
    with authority() as running:
        state = str(running.state)
        before = _key_of(running)
        (running.folder / "leaf.pem").write_bytes((running.state / "server" / "server.crt").read_bytes())
        assert _rotate(state, "issuing").returncode == 0
        running.server.kill()
        running.server.log.unlink()  # else the address of before would be found in it
        running.start()
        wait_for(lambda: _states(state) == ["active", "retiring"], what="activation")
        wait_for(lambda: _key_of(running) != before, what="the door's new certificate")
        again = _rotate(state, "issuing")
        assert again.returncode == 0, again.stderr  # another one, while the first still retires
        wait_for(lambda: _states(state) == ["active", "retiring", "retiring"], what="a second activation")
        assert (running.state / "server" / "authority" / "issuing.3.crt").exists()
        assert "leaf.pem: good" in _ocsp(running, "issuing.crt")
        assert "leaf.pem: OK" in _verified(running, "issuing")
        assert running.run("cert", "revoke", "leaf.pem", "--reason", "superseded").returncode == 0
        assert running.run("ca", "crl", "build").returncode == 0
        assert "leaf.pem: revoked" in _ocsp(running, "issuing.crt")
        assert "certificate revoked" in _verified(running, "issuing")


def test_a_pause_holds_it_and_undo_goes_back() -> None:
    with authority() as running:
        state = str(running.state)
        before = _key_of(running)
        assert _rotate(state, "issuing").returncode == 0
        wait_for(lambda: _states(state) == ["active", "retiring"], what="activation")
        wait_for(lambda: _key_of(running) != before, what="the door's new certificate")
        done = _rotate(state, "undo")
        assert done.returncode == 0, done.stderr
        wait_for(lambda: _key_of(running) == before, what="the old CA at the door")
        assert _status(state)["heldUpBy"] == ["paused by local"]
        assert _rotate(state, "override", "issuing", "--reason", "").returncode == 1
        unknown = _rotate(state, "issuing", "nobody")
        assert unknown.returncode == 1
        assert "there is no issuing CA 'nobody'" in unknown.stderr
