"""What people get wrong: one clear line, the right exit code, nothing half-done, no traceback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.mesh_process import HANDSEL, HTTP_PROGRAM, environment, run, short_folder

pytestmark = pytest.mark.e2e

MESH = f'trust_domain: bad.internal\nservices:\n  web: {{command: "{HTTP_PROGRAM}"}}\n'


def _up(folder: Path, text: str, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "handsel.yaml").write_text(text)
    return run("up", "-f", "handsel.yaml", "--state", "s", *more, cwd=folder)


@pytest.fixture
def folder():
    with short_folder() as made:
        yield made


def test_every_fault_of_a_file_is_told_at_once_with_its_place(folder: Path) -> None:
    text = "services:\n  web: {prot: 3, port: 808080, calls: [emji], expose: {prt: 1}}\n  emoji: {}\nnetworks: {}\n"
    result = _up(folder, text)
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        'handsel.yaml:2:9: services.web.prot: unknown key, did you mean "port"?',
        "handsel.yaml:2:18: services.web.port: a port is a number from 1 to 65535, not 808080",
        "handsel.yaml:2:40: services.web.calls[0]: there is no service or external 'emji', did you mean \"emoji\"?",
        "handsel.yaml:2:47: services.web.expose: 'port' is missing",
        'handsel.yaml:2:56: services.web.expose.prt: unknown key, did you mean "port"?',
        "handsel.yaml:4:1: networks: not supported yet",
    ]
    assert not (folder / "s").exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "handsel.yaml:1:1: there is no such file"),
        (b"services: [", ": not YAML: did not find expected node content"),
        (b"\xff\xfe\x00", "handsel.yaml:1:1: "),
        (b"- a list", "a mesh file starts with keys such as services:"),
        (b"a: &a [*a]", "handsel.yaml:1"),
        (b"services: {web: {command: 'unclosed \" quote'}}", "cannot be split into words"),
    ],
)
def test_a_file_that_is_none(folder: Path, content: bytes | None, expected: str) -> None:
    if content is not None:
        (folder / "handsel.yaml").write_bytes(content)
    result = run("up", "-f", "handsel.yaml", "--state", "s", cwd=folder)
    assert result.returncode == 2
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_a_command_that_is_no_program(folder: Path) -> None:
    result = _up(folder, MESH.replace(HTTP_PROGRAM, "no-such-program --at all"))
    assert result.returncode == 2
    assert "HS-C002 the command of web cannot be started: no-such-program" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_envoy_that_is_none(folder: Path) -> None:
    (folder / "envoy").write_text("#!/bin/sh\nexit 1\n")
    result = _up(folder, MESH, "--envoy", str(folder / "envoy"))
    assert result.returncode == 1
    assert "HS-S004" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="skipped: needs setpriv (util-linux)")
def test_a_read_only_state_folder_leaves_nothing_half_written(folder: Path) -> None:
    """As root, modes do not hold: the command runs without root's powers over files."""
    (folder / "handsel.yaml").write_text(MESH)
    state = folder / "s"
    state.mkdir(mode=0o500)
    command = [*HANDSEL, "up", "-f", "handsel.yaml", "--state", "s"]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", *command]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment(), timeout=30, check=False
    )
    assert result.returncode == 1, result.stderr
    assert "HS-S001" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(state.iterdir()) == []


def test_a_state_folder_open_to_others_is_refused(folder: Path) -> None:
    (folder / "s").mkdir()
    (folder / "s").chmod(0o755)
    result = _up(folder, MESH)
    assert result.returncode == 1
    assert "open to others" in result.stderr
    assert "chmod 700" in result.stderr


def test_a_key_that_others_can_read_is_refused(folder: Path) -> None:
    assert _up(folder, MESH, "--once").returncode == 1  # a mesh without an edge proves nothing
    key = folder / "s" / "server" / "authority" / "issuing.key"
    key.chmod(0o644)
    result = _up(folder, MESH)
    assert result.returncode == 1
    assert f"{key} can be read by others" in result.stderr


def test_a_lost_authority_is_not_silently_made_anew(folder: Path) -> None:
    _up(folder, MESH, "--once")
    (folder / "s" / "server" / "authority" / "issuing.crt").unlink()
    result = _up(folder, MESH)
    assert result.returncode == 1
    assert "issuing.crt is gone, and certificates were issued with it" in result.stderr


def test_another_trust_domain_on_the_same_state_is_refused(folder: Path) -> None:
    _up(folder, MESH, "--once")
    result = _up(folder, MESH.replace("bad.internal", "other.internal"))
    assert result.returncode == 1
    assert "holds the authority of spiffe://bad.internal, not of other.internal" in result.stderr


def test_a_door_that_is_in_use_moves_and_says_so(folder: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8443))
        except OSError:
            pass  # somebody else has it: as good
        else:
            taken.listen()
        result = _up(folder, MESH, "--once")
    assert "port 8443 is in use, this door is at" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("stauts",), 2, "Did you mean 'status'?"),
        (("status", "--state", "nowhere"), 4, "HS-L001 neither a server nor an agent runs on"),
        (("agent", "ticket", "--state", "nowhere"), 4, "HS-L001 no server runs on the state folder "),
        (("join", "--ticket", "nonsense", "--state", "j"), 1, "HS-A002 this is not a join ticket"),
        (("agent", "run", "--state", "j"), 2, "this host has not joined yet"),
        (("server", "--listen", "nonsense", "-f", "good.yaml"), 2, "--listen 'nonsense' is no address"),
        (("up", "--once", "--detach", "-f", "good.yaml"), 2, "--once ends by itself"),
        (("down", "--state", "nowhere"), 0, "nothing runs on"),
        (("mesh", "config", "--stage", "xds", "-f", "good.yaml", "--state", "nowhere"), 4, "/admin.sock)"),
        (("ca", "keys", "encrypt", "--new-password-file", "p", "--state", "nowhere"), 1, "there is no folder "),
        (("ca", "profiles", "-f", "other.yaml"), 2, "there is no such file; name the mesh file with -f"),
        (("cert", "list", "--state", "nowhere"), 4, "is it running, as this user, and is --state the same?"),
    ],
)
def test_commands_given_wrong(folder: Path, arguments: tuple[str, ...], code: int, text: str) -> None:
    (folder / "good.yaml").write_text(MESH)
    result = run(*arguments, cwd=folder)
    assert result.returncode == code, result.stderr
    assert text in result.stderr
    assert "Traceback" not in result.stderr
