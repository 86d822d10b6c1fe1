"""Writes the references from the code: commands, settings, errors. `make docs`; a test says when they are stale."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import click

from handsel import errors
from handsel.cli.main import root
from handsel.mesh.balancer import findings as balancer_findings
from handsel.mesh.istio import findings, kinds
from handsel.mesh.istio.resources.common import Later, Part
from handsel.model import edge_findings, file, traffic_findings
from handsel.model.finding import Known

FOLDER = Path(__file__).parent / "reference"
WIDTH = 100


def pages() -> dict[str, str]:
    """The generated pages by file name."""
    return {
        "commands.md": commands(),
        "mesh-file.md": mesh_file(),
        "errors.md": error_codes(),
        "istio.md": istio(),
        "findings.md": finding_codes(),
    }


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


_WORDS = {"string": "text", "integer": "number", "number": "number", "boolean": "true or false"}


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
    if value.get("type") == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"name → {_kind(value['additionalProperties'], schema)}"
    return _WORDS.get(value.get("type", ""), "text")


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


def istio() -> str:
    """Which of Istio's kinds are read, and of their fields which are carried out."""
    lines = ["# Istio's resources", "", "Made by `make docs` from the models.", ""]
    lines += [
        "Fields are below `spec`; what has parts that were named before is not taken apart again. A field that",
        "Istio knows and that is not carried out is a finding of `handsel mesh check`, never silence.",
        "",
    ]
    for kind, (versions, model) in kinds.READ.items():
        carried_out, later = _fields_of(model, "", set())
        lines += [f"## {kind}", "", f"`apiVersion`: {', '.join(f'`{each}`' for each in versions)}.", ""]
        lines += [f"Read: {', '.join(f'`{each}`' for each in carried_out)}.", ""] if carried_out else []
        lines += [f"Not carried out: {', '.join(f'`{each}`' for each in later)}.", ""] if later else []
    return "\n".join(lines)


def _fields_of(model: Any, prefix: str, seen: set[Any]) -> tuple[list[str], list[str]]:
    """The fields below a model, by their paths: those that are carried out, and the others.

    What has the same parts as something before it is not taken apart again.
    """
    found: list[str] = []
    later: list[str] = []
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}".removeprefix("spec.")
        if not prefix and name in ("api_version", "kind", "metadata", "status"):
            continue
        if any(isinstance(each, Later) for each in field.metadata):
            later.append(path)
            continue
        inner, is_list = _model_of(field.annotation)
        if inner is None or inner in seen:
            found.append(path + ("[]" if is_list else ""))
            continue
        seen.add(inner)
        below = _fields_of(inner, f"{path}[]." if is_list else f"{path}.", seen)
        found += below[0]
        later += below[1]
    return found, later


def _model_of(annotation: Any) -> tuple[Any, bool]:
    """The model that a field has, and whether it is a list of them."""
    is_list = get_origin(annotation) is list
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation, False
    for each in get_args(annotation):
        inner, inner_list = _model_of(each)
        if inner is not None:
            return inner, is_list or inner_list
    return None, is_list


def finding_codes() -> str:
    """Everything that `handsel mesh check` can say."""
    lines = ["# Findings", "", "Made by `make docs` from the code.", ""]
    lines += ["| code | Istio's | severity | what to do |", "|---|---|---|---|"]
    modules = (findings, traffic_findings, balancer_findings, edge_findings)
    known = {each.code: each for module in modules for each in vars(module).values() if isinstance(each, Known)}
    lines += [
        f"| {code} | {each.istio} | {each.severity.name.lower()} | {each.fix} |" for code, each in sorted(known.items())
    ]
    return "\n".join([*lines, ""])


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
