"""`handsel explain`: a call, a pasted TLS error, or a code."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.errors import ExitCode, InvalidFile, UsageError

_FAULTS = {
    "us": "us: handsel itself",
    "peer": "peer: the other side",
    "operator": "operator: the mesh file, or a program it names",
    "network": "network: what lies between",
}
_WIDEST = 120
_LABEL = 11


@click.command()
@click.argument("words", nargs=-1)
@common.config_option
@common.state_option
@click.option("--demo", is_flag=True, help="The voting application that comes with handsel.")
@click.option("--no-request", is_flag=True, help="Send nothing: judge by what the logs have.")
@common.output_option
def command(
    words: tuple[str, ...], config: Path, state: Path | None, output: str, *, demo: bool, no_request: bool
) -> None:
    """Explain a call of the mesh, a TLS error, or a code: cause, evidence, next step.

    With two names one real request is sent from the first to the second. Exit code 0: it is mutual TLS and was
    answered. 1: it is not. 2: no such name. 4: nothing runs.

    \b
    Examples:
      handsel explain web emoji
      handsel explain 'curl: (35) error:0A00010B:SSL routines::wrong version number'
      journalctl -u shop | tail -n 5 | handsel explain -
      handsel explain HS-E003
    """
    from handsel.diagnose import explain

    if len(words) == 2 and not any(" " in word for word in words):
        explained = _edge(words, config, state, demo=demo, ask=not no_request)
        _print(explained, output, _print_edge)
        raise SystemExit(ExitCode.OK if explained["ok"] else ExitCode.FAILED)
    if len(words) == 1 and explain.is_code(words[0]):
        _print(_code(words[0]), output, _print_code)
        return
    _check_is_text(words, config, demo=demo)
    explained = explain.text(_text(words))
    _print(explained, output, _print_text)
    raise SystemExit(ExitCode.OK if explained["ok"] else ExitCode.FAILED)


def _edge(words: tuple[str, ...], config: Path, state: Path | None, *, demo: bool, ask: bool) -> dict[str, Any]:
    from handsel import settings
    from handsel.cli.local import call_agent
    from handsel.diagnose import explain
    from handsel.wiring.explain import check_names, explain_edge
    from handsel.wiring.mesh_files import load_mesh

    caller, callee = words
    try:
        mesh = load_mesh(common.demo_file() if demo else config)
        check_names(mesh, caller, callee)
    except (InvalidFile, UsageError) as error:
        if explain.text(" ".join(words))["ok"]:
            error.next_step = "; ".join(filter(None, (error.next_step, "if it is a text, put it into quotes")))
        raise
    folder = common.state_of(state, str(mesh.trust_domain))
    status = call_agent(folder, "GET", "/v1/status")
    runtime = settings.runtime_folder(folder)
    return asyncio.run(explain_edge(mesh, status, folder, runtime, caller, callee, ask=ask))


def _code(word: str) -> dict[str, Any]:
    from handsel.diagnose import explain
    from handsel.model.faults import did_you_mean

    explained = explain.code(word)
    if explained is None:
        hint = did_you_mean(word.upper(), explain.codes(), known_here=True)
        raise UsageError(f"there is no code {word}", next_step=hint)
    return explained


def _check_is_text(words: tuple[str, ...], config: Path, *, demo: bool) -> None:
    """Raises `UsageError` for no word at all, and for one that is the name of a service."""
    from handsel.wiring.mesh_files import load_mesh

    if not words:
        raise UsageError("nothing to explain", next_step="two names, a TLS error in quotes, a code, or - for stdin")
    if len(words) > 1 or not (demo or config.exists()):
        return
    try:
        mesh = load_mesh(common.demo_file() if demo else config)
    except InvalidFile:
        return
    if words[0] in mesh.services or words[0] in mesh.externals:
        calls = [f"{name} {words[0]}" for name, service in mesh.services.items() if words[0] in service.calls]
        calls = [f"{words[0]} {callee}" for callee in getattr(mesh.services.get(words[0]), "calls", ())] + calls
        raise UsageError(
            f"{words[0]} alone is no call: name two", next_step=", ".join(f"handsel explain {each}" for each in calls)
        )


def _text(words: tuple[str, ...]) -> str:
    """The words as they are, or standard input for a dash. Raises `UsageError` when it is too long."""
    from handsel.diagnose.explain import MAXIMUM_TEXT

    piped = words == ("-",)
    text = sys.stdin.buffer.read(MAXIMUM_TEXT + 1) if piped else " ".join(words).encode(errors="replace")
    if len(text) > MAXIMUM_TEXT:
        raise UsageError(f"the text has more than {MAXIMUM_TEXT >> 10} KiB", next_step="paste only the error's lines")
    return text.decode(errors="replace")


def _print(explained: dict[str, Any], output: str, as_table: Any) -> None:
    if output == "json":
        click.echo(json.dumps(explained, indent=2))
    elif output == "yaml":
        common.print_yaml(explained)
    else:
        as_table(explained)


def _print_edge(explained: dict[str, Any]) -> None:
    tls, traffic = explained["tls"] or {}, explained["traffic"]
    edge = f"{explained['from']} → {explained['to']}"
    if explained["state"] == "failed":
        print_title("✗", "red", edge, f"{explained['code']} {explained['name']}")
    else:
        version = str(tls.get("version", "")).replace("TLSv", " ")
        group = f", {tls['group']}" if tls else ""
        mark = ("✓", "green") if explained["ok"] else ("!", "yellow")
        print_title(*mark, edge, f"{explained['state']}{version}{group}")
    print_fields([
        ("why" if explained["code"] else "note", explained["what"]),
        ("fault", _FAULTS.get(explained["fault"] or "", "")),
        ("caller", tls.get("caller", "")),
        ("callee", tls.get("callee", "")),
        ("allowed by", explained["allowed_by"] or ""),
        ("seen last", traffic["last"] or "no traffic seen yet"),
        ("asked now", traffic["asked"] or "nothing"),
        *(("evidence", f"{each['source']}: {each['text']}") for each in explained["evidence"]),
        ("check", explained["check"] or ""),
        ("fix", explained["fix"] or ""),
    ])  # fmt: skip


def _print_text(explained: dict[str, Any]) -> None:
    if not explained["ok"]:
        print_title("?", "yellow", "unknown text", "no entry of the catalogue matches it")
        print_fields([
            *(("understood", fact) for fact in explained["understood"] or ["nothing of it"]),
            ("next", "If it is between two services of a mesh: handsel explain CALLER CALLEE"),
        ])  # fmt: skip
        return
    print_title("•", "cyan", explained["code"], explained["name"])
    print_fields([
        ("cause", explained["cause"]),
        ("this text", ": ".join(filter(None, (explained["runtime"], explained["meaning"])))),
        ("fault", _FAULTS[explained["fault"]]),
        ("versions", explained["versions"]),
        *(("or it is", each) for each in explained["also"]),
        *(("also in it", each) for each in explained["others"]),
        ("check", explained["check"]),
        ("fix", explained["fix"]),
    ])  # fmt: skip


def _print_code(explained: dict[str, Any]) -> None:
    print_title("•", "cyan", explained["code"], explained["name"])
    print_fields([
        ("cause", explained["cause"]),
        ("fault", _FAULTS[explained["fault"]]),
        ("exit code", str(explained.get("exit_code", ""))),
        ("versions", explained.get("versions", "")),
        *(("or it is", each) for each in explained.get("also", ())),
        *((each["runtime"], each["text"]) for each in explained.get("texts", ())),
        ("check", explained.get("check", "")),
        ("fix", explained.get("fix", "")),
    ])  # fmt: skip


def print_title(mark: str, colour: str, subject: str, text: str) -> None:
    """The first line: what it is about, and the answer."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    line = f"{click.style(mark, fg=colour)} {click.style(subject, bold=True)}   {text}"
    click.echo(line, color=False if plain else None)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Labels and texts, wrapped at the width of the terminal; a label that repeats is printed once.

    Commands are never cut: they are there to be copied.
    """
    from handsel.pki.inspect import printable

    width, before = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST), ""
    for label, text in fields:
        if not text:
            continue
        head = f"  {'' if label == before else label:<{_LABEL}} "
        before = label
        if label == "check":
            click.echo(head + printable(text))
            continue
        click.echo(textwrap.fill(
            printable(text), width, initial_indent=head, subsequent_indent=" " * len(head),
            break_long_words=False, break_on_hyphens=False,
        ))  # fmt: skip
