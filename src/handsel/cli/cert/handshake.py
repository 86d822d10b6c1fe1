"""`handsel cert handshake`: a TLS handshake, step by step."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handsel.cli import common
from handsel.cli.explain import print_fields, print_title
from handsel.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from handsel.diagnose.handshake.model import Step
    from handsel.wiring.handshake import Asked, Shown

_WIDEST, _LABEL = 120, 13
_NONE = "none"
_LONGEST_SECONDS = 120
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("target", metavar="HOST:PORT")
@click.option(
    "--client-cert",
    "certificates",
    multiple=True,
    metavar="FILE|none",
    help="The client's certificate, its chain behind it, and its key if it is in it. none: show none; beside "
    "a file: compare both.",
)
@click.option("--client-key", type=_PATH, default=None, help="The client's key, when it is in a file of its own.")
@click.option("--tls", type=click.Choice(["1.2", "1.3"]), default=None, help="Offer this version alone.")
@click.option(
    "--roots", type=_PATH, default=None, show_default="the machine's", help="A PEM file with the roots to believe."
)
@click.option("--state", type=_PATH, default=None, help="Believe the roots of the mesh with this state folder.")
@click.option(
    "--server-name",
    default=None,
    show_default="HOST",
    metavar="NAME",
    help="Whom to ask for, and whom the certificate must be for: a name, an address or a SPIFFE ID.",
)
@click.option("--alpn", default="h2,http/1.1", show_default=True, help="The protocols to offer, or none.")
@click.option("--context", default=None, metavar="NAME", help="Ask as a TLS context of the mesh file would.")
@common.config_option
@click.option("--timeout", default="10s", show_default=True, help="For each handshake.")
@common.output_option
def command(
    target: str, certificates: tuple[str, ...], client_key: Path | None, tls: str | None, roots: Path | None,
    state: Path | None, server_name: str | None, alpn: str, context: str | None, config: Path, timeout: str,
    output: str,
) -> None:  # fmt: skip
    """Make a real TLS handshake, and tell it message by message: what each is for, and what was said.

    A server that cannot be believed is shown all the same; nothing but the handshake is ever sent. With a client
    certificate that the server asks for, the handshake is made with it and without, and both are compared.

    Exit code 0: the server's certificate can be believed, and it refused nothing. 1: it cannot, it refused, or it does
    not speak TLS. 2: wrong usage. 4: nothing takes the connection.

    \b
    Examples:
      handsel cert handshake shop.example.com:443
      handsel cert handshake 10.0.0.7:443 --server-name shop.internal --roots root.pem
      handsel cert handshake bank:443 --client-cert cert.pem --client-key key.pem --tls 1.2
      handsel cert handshake bank:443 --context bank -f handsel.yaml -o json
    """
    from handsel.wiring import handshake

    asked = _base(target, server_name, alpn, timeout)
    if context is not None:
        asked = handshake.with_context(asked, context, config)
    asked = _with_options(asked, certificates, client_key, tls, roots, state)
    shown = handshake.show(asked)
    if output == "table":
        _print(shown)
    else:
        document = shown.document()
        click.echo(json.dumps(document, indent=2)) if output == "json" else common.print_yaml(document)
    raise SystemExit(_exit_code(shown))


def _base(target: str, server_name: str | None, alpn: str, timeout: str) -> Asked:
    """Raises `UsageError`."""
    from handsel.wiring import handshake

    host, port = handshake.target(target)
    seconds = common.seconds(timeout, "--timeout")
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise UsageError(f"--timeout: from a moment to {_LONGEST_SECONDS} s")
    protocols = () if alpn == _NONE else tuple(alpn.split(","))
    if not all(each.isascii() and 0 < len(each) < 256 for each in protocols):
        raise UsageError(f"--alpn: {alpn!r} is no list of protocols", next_step="for example h2,http/1.1")
    name = handshake.check_server_name(server_name) if server_name else ""
    return handshake.Asked(host, port, name, alpn=protocols, timeout=seconds)


def _with_options(
    asked: Asked, certificates: tuple[str, ...], key: Path | None, tls: str | None, roots: Path | None,
    state: Path | None,
) -> Asked:  # fmt: skip
    """What the options say goes before what a context says. Raises `UsageError`, and what reading files raises."""
    from handsel.wiring import handshake

    files = [each for each in certificates if each != _NONE]
    if len(files) > 1:
        raise UsageError("--client-cert: one file, and perhaps none beside it")
    if key is not None and not files:
        raise UsageError("--client-key belongs to --client-cert FILE")
    if files:
        asked = replace(asked, identity=handshake.own_identity(Path(files[0]), key))
    if _NONE in certificates:
        asked = replace(asked, compare=True) if files else replace(asked, identity=None)
    if tls is not None:
        asked = replace(asked, protocols=(f"TLSv{tls}",))
    if roots is not None or state is not None:
        asked = handshake.with_roots(asked, roots, state.absolute() if state else None)
    return asked


def _exit_code(shown: Shown) -> int:
    if shown.story.ok:
        return ExitCode.OK
    return ExitCode.UNREACHABLE if shown.story.outcome.result == "unreachable" else ExitCode.FAILED


# For people


def _print(shown: Shown) -> None:
    story, asked = shown.story, shown.asked
    name = "" if asked.name == asked.host else f", asked for as {asked.name}"
    _echo(f"TLS handshake with {asked.host}:{asked.port}{name}", bold=True)
    _echo("→ the client (this command) speaks, ← the server answers; times since the start\n", dim=True)
    hidden = False
    for number, step in enumerate(story.steps, 1):
        if step.encrypted and not hidden:
            hidden = True
            _echo("    " + " from here on encrypted ".center(_width() - 4, "─") + "\n", fg="cyan")
        _print_step(number, step)
    if shown.without is not None:
        _print_comparison(shown)
    _print_verdict(shown)


def _print_step(number: int, step: Step) -> None:
    arrow = {"client": "→", "server": "←"}.get(step.sender or "", "·")
    size = f"{step.size} bytes" if step.size else ""
    clock = f"{step.at * 1000:.1f} ms" if step.at is not None else ""
    right = "   ".join(filter(None, (size, clock)))
    head = f"{number:>2} {arrow} {step.title}"
    gap = " " * max(_width() - len(head) - len(right), 3)
    _echo(f"{number:>2} {arrow} {click.style(step.title, bold=True)}{gap}{click.style(right, dim=True)}")
    _echo(_wrapped(step.purpose, "     ", "     "))
    for label, value in step.details.items():
        for line, text in enumerate([value] if isinstance(value, str) else value):
            head = f"       {label if not line else '':<{_LABEL}} "
            _echo(_wrapped(text, head, " " * len(head)), dim=True)
    if step.good:
        _echo(_wrapped(step.good, "     ✓ ", "       "), fg="green")
    if step.problem:
        _echo(_wrapped(step.problem, "     ✗ ", "       "), fg="red")
    if step.fix:
        _echo(_wrapped(step.fix, "       fix: ", "            "))
    click.echo()


def _print_comparison(shown: Shown) -> None:
    from handsel.diagnose.handshake import compare

    if shown.without is None:
        return
    _echo("Without and with the client certificate", bold=True)
    rows = compare.rows(shown.without, shown.story)
    head = ("", "one-way", "two-way")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(3)]
    for row in (head, *rows):
        differs = row[1] != row[2]
        mark = "≠" if differs and row is not head else " "
        _echo(f"  {mark} " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo()


def _print_verdict(shown: Shown) -> None:
    from handsel.diagnose.handshake import compare

    story = shown.story
    what = ", ".join(filter(None, (story.version, story.group, story.suite)))
    mark = ("✓", "green") if story.ok else ("✗", "red")
    print_title(*mark, str(story.outcome.result), what)
    compared = compare.in_words(shown.without, story) if shown.without else ""
    print_fields([
        ("verdict", story.outcome.sentence),
        ("", compared),
        ("client", story.outcome.client and f"client certificate {story.outcome.client}"),
        ("cost", _cost(shown)),
        ("fix", story.outcome.fix),
        *(("note", note) for note in shown.notes),
    ])  # fmt: skip


def _cost(shown: Shown) -> str:
    finished = shown.story.recording.finished
    if finished is None:
        return ""
    return (
        f"{shown.story.round_trips} round trips, one of them TCP's; {finished * 1000:.1f} ms until data could be sent"
    )


def _width() -> int:
    return min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)


def _wrapped(text: str, first: str, others: str) -> str:
    from handsel.pki.inspect import printable

    return textwrap.fill(
        printable(text), _width(), initial_indent=first, subsequent_indent=others, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _echo(text: str, *, fg: str | None = None, bold: bool = False, dim: bool = False) -> None:
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    click.echo(click.style(text, fg=fg, bold=bold or None, dim=dim or None), color=False if plain else None)
