"""The verb: files and standard input in, manifests on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from handsel.cli.agent import command as agent
from handsel.cli.join import command as join
from handsel.errors import HandselError, InvalidFile
from handsel.mesh.inject import commands
from handsel.mesh.inject.model import AUDIENCE, CONFIG_MAP, IMAGE, Settings
from handsel.model.pod import Interception
from tests.mesh.inject.manifests import pod, run

POD = pod().replace("  annotations:\n", "")
PIN = "ab" * 32


def test_files_keep_their_order_and_standard_input_is_one_of_them(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("kind: A\n---\nkind: B\n")
    result = run("-f", str(tmp_path / "a.yaml"), "-f", "-", "-o", "json", text=POD)
    answer = json.loads(result.stdout)
    assert [each["kind"] for each in answer["items"]] == ["A", "B", "Pod"]
    assert answer["kind"] == "List"
    assert result.stderr == "injected: Pod app\n"


def test_lists_become_one_list_in_json():
    text = (
        f"{POD}---\n"
        "apiVersion: v1\nkind: List\nitems:\n  - kind: A\n  - {apiVersion: v1, kind: List, items: [{kind: B}]}\n"
    )
    answer = json.loads(run("-f", "-", "-o", "json", text=text).stdout)
    assert [each["kind"] for each in answer["items"]] == ["Pod", "A", "B"]


def test_a_file_gets_what_would_be_printed(tmp_path: Path):
    out = tmp_path / "out.yaml"
    result = run("-f", "-", "--out", str(out), text=POD)
    assert (result.exit_code, result.stdout) == (0, "")
    assert out.read_text() == run("-f", "-", text=POD).stdout


def test_a_file_that_cannot_be_written_or_read_is_said(tmp_path: Path):
    for arguments in (["-f", "-", "--out", str(tmp_path / "no" / "out")], ["-f", str(tmp_path / "none.yaml")]):
        error = run(*arguments, text=POD).exception
        assert isinstance(error, HandselError)
        assert "No such file" in str(error)


def test_nothing_to_inject_is_said():
    result = run("-f", "-", text="kind: Service\napiVersion: v1\n")
    assert (result.exit_code, result.stdout) == (0, "kind: Service\napiVersion: v1\n")
    assert result.stderr == "nothing was injected: no pod in here that gets a sidecar\n"
    assert run("-f", "-", text="").stdout == ""


def test_faults_of_all_files_are_said_and_nothing_is_printed(tmp_path: Path):
    bad = tmp_path / "bad.yaml"
    bad.write_text(pod("sidecar.istio.io/logLevel: x"))
    result = run("-f", str(bad), "-f", "-", text=pod("sidecar.istio.io/proxyCPU: x"))
    assert isinstance(result.exception, InvalidFile)
    assert [fault.file for fault in result.exception.faults] == [str(bad), "(stdin)"]
    assert result.stdout == ""
    broken = run("-f", str(bad), "-f", "-", text="a: [")
    assert isinstance(broken.exception, InvalidFile)
    assert "(stdin):" in str(broken.exception)


def test_a_huge_input_is_refused_without_reading_it_all():
    """Through a pipe that never ends: the verb has answered long before."""
    command = [sys.executable, "-m", "handsel", "mesh", "inject", "-f", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        sent = 0
        with contextlib.suppress(BrokenPipeError):
            while sent < 100 << 20:
                sent += os.write(process.stdin.fileno(), b"# comment\n" * 50_000)
        assert 1 << 20 < sent < 10 << 20
        process.stdin.close()
        assert process.wait(20) == 2
        assert process.stderr.read() == b"(stdin):1:1: the file is larger than 1 MiB\n"
        assert process.stdout.read() == b""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--server", "http://a"], "--server"), (["--pin", "xyz"], "--pin"), (["--image", "a b"], "--image"),
        (["--config-map", "A"], "--config-map"), (["--trust-domain", "A b"], "--trust-domain"),
    ],
)  # fmt: skip
def test_options_are_checked(arguments: list[str], message: str):
    error = run("-f", "-", *arguments, text=POD).exception
    assert isinstance(error, HandselError)
    assert error.exit_code == 2
    assert str(error).startswith(message)


def test_with_server_and_pin_no_config_map_is_needed():
    said = run(
        "-f", "-", "--server", "https://h:8443/", "--pin", PIN, "--trust-domain", "shop.internal", text=POD
    ).stdout
    assert "configMap" not in said
    assert 'value: "https://h:8443"' in said
    assert PIN in said
    assert "configMapKeyRef" in run("-f", "-", "--pin", PIN, text=POD).stdout
    assert "roots.pem" in run("-f", "-", "--server", "https://h:8443", text=POD).stdout


def test_the_help_says_what_is_usual():
    text = re.sub(r"\s+", " ", run("--help").stdout)
    for usual in (IMAGE, CONFIG_MAP, AUDIENCE):
        assert f"[default: {usual}]" in text
    assert "handsel mesh inject -f - < deployment.yaml | kubectl apply -f -" in text


@pytest.mark.parametrize(
    "settings", [Settings(), Settings(server="https://h", pins=(PIN, PIN), trust_domain="a.b")], ids=["usual", "all"]
)
def test_the_command_lines_are_ones_that_handsel_takes(settings: Settings, tmp_path: Path):
    """Their options are parsed by the verbs themselves; files that must exist are put elsewhere."""
    file = tmp_path / "file"
    file.touch()
    paths = (f"{commands.TOKEN_VOLUME}/{commands.TOKEN}", f"{commands.TRUST_VOLUME}/{commands.ROOTS}")
    verb, *arguments = [str(file) if each in paths else each for each in commands.join(settings)][1:]
    context = join.make_context(verb, arguments)
    assert context.params["attestor"] == "kubernetes"
    assert len(context.params["pin"]) == len(settings.pins)
    assert (context.params["roots"] is None) is bool(settings.pins)
    assert isinstance(agent, click.Group)
    for command in (*(commands.run(mode) for mode in Interception), commands.wait()):
        group, verb, *arguments = command[1:]
        assert group == "agent"
        running = agent.commands[verb].make_context(verb, arguments)
        assert running.params["state"] == context.params["state"]
