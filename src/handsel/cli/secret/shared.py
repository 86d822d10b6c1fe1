"""What the verbs about secrets share: options, values from where nobody sees them, answers."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from handsel.cli import common
from handsel.errors import UsageError

LARGEST = 1 << 20
KINDS = ("opaque", "password", "key-store", "trust-store", "certificate", "crl", "context")

state_option = click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)
file_option = click.option(
    "--file", type=click.Path(path_type=Path, allow_dash=True), default=None,
    help="The file with the value, at most 1 MiB; - is standard input. Without it, it is asked for.",
)  # fmt: skip
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


def ask(state: Path, method: str, path: str, wish: Any = None) -> Any:
    """What the server of this state folder answers. Raises its error."""
    from handsel.cli.local import call_server

    return call_server(state.absolute(), method, f"/v1/secrets{path}", wish)


def show(kind: str, content: Any, output: str, print_table: Callable[[Any], None]) -> None:
    """The answer, as JSON, as YAML or for people."""
    whole: dict[str, Any] = {"apiVersion": "handsel/v1", "kind": kind}
    whole |= {"items": content} if isinstance(content, list) else content
    if output == "json":
        click.echo(json.dumps(whole, indent=2))
    elif output == "yaml":
        common.print_yaml(whole)
    else:
        print_table(content)


def read_value(path: Path | None, prompt: str | None) -> bytes:
    """A value from a file or standard input; from a terminal, unseen, when `prompt` says what is asked for.

    Raises `UsageError`.
    """
    if path is not None:
        return _content(path)
    if prompt is None or not sys.stdin.isatty():
        raise UsageError("there is no value", next_step="give it with --file FILE, or --file - for standard input")
    answer: str = click.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True)
    return answer.encode()


def read_password(path: Path) -> bytes:
    """The first line of a file. Raises `UsageError`."""
    return _content(path).partition(b"\n")[0].rstrip(b"\r")


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def one_line(value: bytes) -> bytes:
    """A password without the end of its line, which an editor or `echo` puts there."""
    return value.removesuffix(b"\n").removesuffix(b"\r")


def query(**said: str) -> str:
    """What stands behind the ? of an address."""
    return urlencode(said)


def full_name(name: str, group: str | None) -> str:
    """The name with its group before it. Raises `UsageError`."""
    if group and "/" in name:
        raise UsageError(f"{name} says its group already: leave --group out")
    return f"{group}/{name}" if group else name


def print_versions(verb: str) -> Callable[[Any], None]:
    """A line for each version that was put."""

    def table(versions: Any) -> None:
        for each in versions:
            facts = f": {each['facts']}" if each["facts"] else ""
            until = f", until {each['expires'][:16]}" if each["expires"] else ""
            click.echo(f"{each['name']} version {each['version']} ({each['secret_kind']}{until}) {verb}{facts}")

    return table


def _content(path: Path) -> bytes:
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with path.open("rb") as file:
                content = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > LARGEST:
        raise UsageError(f"{path} is larger than {LARGEST >> 20} MiB, which is the most that a secret may have")
    return content
