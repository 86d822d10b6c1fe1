"""Rotation of issuing CAs and of the root while everything runs: no request fails, and it is resumed after kills."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from handsel.pki.certificate import parse_pem
from tests.e2e.authority_process import Authority, authority, running_in
from tests.e2e.load import Load
from tests.e2e.mesh_process import (
    HTTP_PROGRAM,
    Handsel,
    Mesh,
    end_everything_in,
    mesh,
    run,
    short_folder,
    wait_for,
    workload,
)

pytestmark = pytest.mark.e2e

MESH = f"""
trust_domain: rotation.internal
services:
  web: {{command: "{HTTP_PROGRAM}", calls: [emoji]}}
  emoji: {{command: "{HTTP_PROGRAM}"}}
authority: {{leaf_lifetime: 8s}}
"""


ROOT_MESH = MESH.replace("leaf_lifetime: 8s", "leaf_lifetime: 8s, root_notice: 1s")


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


def _trusted(state: str) -> list[str]:
    """The SHA-256 of the roots that `ca bundle` prints."""
    done = run("ca", "bundle", "--state", state)
    assert done.returncode == 0, done.stderr
    return [each.fingerprint for each in parse_pem(done.stdout.encode())]


def _held_up_by_agents_alone(state: str) -> bool:
    """Whether every workload shows a certificate of the new root, and only an agent's own leads to the old one."""
    reasons = _status(state, "root")["heldUpBy"]
    return bool(reasons) and all("/agent/" in each for each in reasons)


def test_a_mesh_under_load_does_not_notice_that_its_root_is_replaced() -> None:
    with mesh(ROOT_MESH) as running:
        state = str(running.state)
        port = running.workload("web")["ports"]["callees"]["emoji"]
        (old,) = _trusted(state)
        wait_for(lambda: not _waiting(running), what="acknowledgements")
        played = _rotate(state, "root", "--rehearse")
        assert played.returncode == 0, played.stdout
        assert "ok: a new certificate of issuing, by the old root and the link: believed" in played.stdout
        assert _states(state, "root") == ["active"]
        with Load(port, rate=50) as load:
            time.sleep(1)
            begun = _rotate(state, "root")
            assert begun.returncode == 0, begun.stderr
            again = _rotate(state, "root")
            assert again.returncode == 1
            assert "is being rotated already" in again.stderr
            wait_for(lambda: _states(state, "root") == ["active", "retiring"], seconds=30, what="a new root")
            both = _trusted(state)
            assert len(both) == 2
            assert both[1] == old  # the one that signs comes first
            wait_for(lambda: _states(state) == ["active", "retiring"], seconds=30, what="the issuing CA after it")
            assert "issuing hangs from it" in _status(state, "root")["heldUpBy"]
            tainted = _rotate(state, "taint", "root", "--reason", "a disk was lost")
            assert tainted.returncode == 0, tainted.stderr
            wait_for(lambda: _held_up_by_agents_alone(state), seconds=30, what="new leaves")
            assert _rotate(state, "override", "root", "--reason", "the host recovers by its key").returncode == 0
            wait_for(lambda: "removed" in _states(state, "root"), seconds=30, what="the old root's end")
            assert _trusted(state) == both[:1]
            wait_for(lambda: not _waiting(running), what="acknowledgements of the new root alone")
            time.sleep(2)
        assert load.sent > 100
        assert load.failures == []


def _believed(running: Authority, roots: str) -> bool:
    """Whether openssl believes the door by these roots alone."""
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", running.url.removeprefix("https://"), "-CAfile", roots],
        cwd=running.folder, input="", capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "Verify return code: 0 (ok)" in shown.stdout


@pytest.mark.key_files("the root's keys are in files away from the server")
def test_a_root_that_is_elsewhere_is_rotated_by_files_and_after_a_kill() -> None:
    with short_folder() as folder:
        (folder / "handsel.yaml").write_text("trust_domain: away.internal\nauthority: {root_notice: 0s}\n")
        begun = run("ca", "init", "--state", "s", "--offline-root", "away", cwd=folder)
        assert begun.returncode == 0, begun.stderr
        with running_in(folder) as running:
            state = str(running.state)
            (folder / "old.pem").write_bytes(running.roots.read_bytes())
            played = _rotate(state, "root", "--rehearse")
            assert played.returncode == 1
            assert "fails: the root's key is here and can be used" in played.stdout
            nothing = _rotate(state, "root")
            assert nothing.returncode == 1
            assert "next-root" in nothing.stderr
            assert running.run("ca", "install", "old.pem", "--name", "root").returncode == 2
            made = run("ca", "next-root", "--root", "away", "--out", "next.pem", cwd=folder)
            assert made.returncode == 0, made.stderr
            installed = running.run("ca", "install", "next.pem", "--name", "root")
            assert installed.returncode == 0, installed.stderr
            assert _rotate(state, "root").returncode == 0
            running.server.kill()
            running.start()
            wait_for(lambda: _states(state, "root") == ["active", "retiring"], what="the new root")
            assert _states(state) == ["active"]  # nothing here can sign the issuing CA that follows
            assert "handsel ca request" in _status(state)["heldUpBy"][0]

            assert running.run("ca", "request", "issuing", "--out", "i.csr").returncode == 0
            sign = ("ca", "sign", "--root", "away", "--csr", "i.csr", "--out", "i.crt")
            signed = run(*sign, cwd=folder)
            assert signed.returncode == 0, signed.stderr
            assert running.run("ca", "install", "i.crt").returncode == 0
            wait_for(lambda: _states(state) == ["active", "retiring"], what="the issuing CA")
            (folder / "new.pem").write_text(parse_pem(running.run("ca", "bundle").stdout.encode())[0].pem.decode())
            wait_for(lambda: _believed(running, "new.pem"), what="a certificate of the new root at the door")
            assert _believed(running, "old.pem")  # by the link

            undone = _rotate(state, "undo", "root")
            assert undone.returncode == 0, undone.stderr
            wait_for(lambda: not _believed(running, "new.pem"), what="the old CA at the door")
            assert _believed(running, "old.pem")
            assert _states(state) == ["active", "retiring"]


def test_a_host_that_was_away_while_its_root_was_dropped_comes_back() -> None:
    """Its roots are the old ones, and so is its certificate: the link leads it to the new one, its key proves it."""
    config = "trust_domain: away.internal\nservices: {web: {}}\nauthority: {leaf_lifetime: 4s, root_notice: 0s}\n"
    with authority(config) as running:
        state, host = str(running.state), running.folder / "h"
        ticket = running.run("agent", "ticket").stdout.strip()
        assert run("join", "--ticket", ticket, "--state", str(host)).returncode == 0
        first = Handsel(running.folder, "agent", "agent", "run", "--state", "h")
        wait_for(lambda: _in_sync(running), seconds=30, what="the host's report")
        (old,) = _trusted(state)
        first.stop()

        assert _rotate(state, "root").returncode == 0
        wait_for(lambda: _states(state) == ["active", "retiring"], seconds=40, what="a new issuing CA")
        assert _rotate(state, "taint", "root", "--reason", "stolen").returncode == 0
        assert _rotate(state, "override", "root", "--reason", "one host is away").returncode == 0
        wait_for(lambda: "removed" in _states(state, "root"), what="the end of the old root")
        (new,) = _trusted(state)
        assert new != old

        Handsel(running.folder, "again", "agent", "run", "--state", "h")
        try:
            wait_for(lambda: _roots_of(host) == [new], seconds=40, what="the new root at the host")
            wait_for(lambda: _in_sync(running), seconds=40, what="a new certificate at the host")
        finally:
            end_everything_in(running.folder)


def _in_sync(running: Authority) -> bool:
    (web,) = running.json("status")["server"]["workloads"] or [{}]
    return web.get("in_sync") is True


def _roots_of(host: Path) -> list[str]:
    return [each.fingerprint for each in parse_pem((host / "agent" / "roots.crt").read_bytes())]
