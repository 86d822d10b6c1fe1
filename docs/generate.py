"""Writes the references from the code: commands, settings, errors. `make docs`; a test says when they are stale."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from handsel import errors
from handsel.cli.main import root
from handsel.model import file

FOLDER = Path(__file__).parent / "reference"
WIDTH = 100


def pages() -> dict[str, str]:
    """The generated pages by file name."""
    return {"commands.md": commands(), "mesh-file.md": mesh_file(), "errors.md": error_codes()}


def commands() -> str:
    lines = ["# Commands", "", "Made by `make docs` from `--help`.", ""]
    for name, command in _commands("handsel", root):
        context = click.Context(command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
        lines += [f"## {name}", "", "```", command.get_help(context), "```", ""]
    return "\n".join(lines)


def _commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _commands(f"{name} {inner}", found)


def mesh_file() -> str:
    schema = file.schema()
    lines = [
        "# The mesh file",
        "",
        "Made by `make docs` from the model. `handsel config schema` gives it to editors.",
        "",
    ]
    for title, part in [("The file", schema), *schema["$defs"].items()]:
        if "properties" not in part:
            continue
        lines += [f"## {title}", "", part.get("description", ""), ""]
        lines += ["| key | kind | default | meaning |", "|---|---|---|---|"]
        lines += [_row(key, value, schema) for key, value in part["properties"].items()]
        lines.append("")
    return "\n".join(lines)


def _row(key: str, value: dict[str, Any], schema: dict[str, Any]) -> str:
    default = value.get("default", "required" if "default" not in value else "")
    shown = "" if default in (None, {}, []) else f"`{default}`" if isinstance(default, str | int | bool) else ""
    shown = "required" if default == "required" else shown
    return f"| `{key}` | {_kind(value, schema)} | {shown} | {value.get('description', '')} |"


def _kind(value: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        target = schema["$defs"][name]
        return ", ".join(f"`{each}`" for each in target["enum"]) if "enum" in target else f"see {name}"
    if "enum" in value:
        return ", ".join(f"`{each}`" for each in value["enum"])
    if "anyOf" in value:
        return " or ".join(_kind(each, schema) for each in value["anyOf"] if each.get("type") != "null")
    if value.get("type") == "array":
        return f"list of {_kind(value['items'], schema)}"
    if value.get("type") == "object" and "additionalProperties" in value:
        return f"name → {_kind(value['additionalProperties'], schema)}"
    return str({"string": "text", "integer": "number", "boolean": "true or false"}.get(value.get("type", ""), "text"))


def error_codes() -> str:
    lines = ["# Errors", "", "Made by `make docs` from the code.", ""]
    lines += ["| code | name | who must act | exit | meaning |", "|---|---|---|---|---|"]
    kinds = sorted(_subclasses(errors.HandselError), key=lambda kind: kind.code)
    lines += [
        f"| {kind.code} | {kind.__name__} | {kind.fault} | {kind.exit_code} | {(kind.__doc__ or '').splitlines()[0]} |"
        for kind in kinds
        if kind.__module__ == "handsel.errors"
    ]
    return "\n".join([*lines, ""])


def _subclasses(kind: type[errors.HandselError]) -> Iterator[type[errors.HandselError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- demo: made by `python docs/generate.py --readme` -->\n", "<!-- end -->"


def demo_output() -> str:
    """What `make demo` prints, from a run of the real thing."""
    with tempfile.TemporaryDirectory(prefix="hs-") as state:
        command = [sys.executable, "-m", "handsel", "up", "--demo", "--state", f"{state}/demo"]
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603  # our own command
        lines = []
        for line in running.stderr or ():
            lines.append(line.replace(f"{state}/demo", "~/.local/state/handsel/demo.internal").rstrip())
            if "Ctrl-C" in line:
                break
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)
    return "\n".join(lines)


def write_readme() -> None:
    before, _, rest = README.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{BEGIN}```\n$ make demo\n{demo_output()}\n```\n{END}{after}")


def main() -> None:
    if "--readme" in sys.argv:
        write_readme()
        return
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
        sys.stdout.write(f"{FOLDER.name}/{name}\n")


if __name__ == "__main__":
    main()
