"""`handsel apply`: resources for a running server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from handsel import settings
from handsel.cli import common


@click.command()
@click.option("-f", "--file", "paths", type=click.Path(path_type=Path, exists=True), multiple=True, required=True,
              help="A file, or a folder with all below it; more than once. Also a mesh file.")  # fmt: skip
@common.state_option
@click.option("--set", "set_name", default="default", show_default=True,
              help="The name of what belongs together: --prune takes away what is not in it any more.")  # fmt: skip
@click.option(
    "--prune", is_flag=True, help="Take away what was applied with this set before and is not among the files."
)
@click.option(
    "--dry-run", is_flag=True, help="Say what would change, and which open connections would end; change nothing."
)
@click.option("--diff", is_flag=True, help="Show each changed resource, line by line.")
@common.output_option
def command(
    paths: tuple[Path, ...], state: Path | None, set_name: str, output: str, *, prune: bool, dry_run: bool, diff: bool
) -> None:
    """Apply Istio resources, or a mesh file, to a running server.

    A file with a fault changes nothing. A resource that cannot be carried out is named and left aside, alone.

    \b
    Examples:
      handsel apply -f istio/ --dry-run --diff
      handsel apply -f istio/ --prune --state /var/lib/handsel
      handsel apply -f reviews.yaml -o json
    """
    from handsel.cli.local import call_server

    files = _files(paths)
    folder = (state or common.state_of(None, common.trust_domain(settings.config_file(), demo=False))).absolute()
    wish = {"files": files, "set": set_name, "prune": prune, "dry_run": dry_run}
    answer: dict[str, Any] = call_server(folder, "POST", "/v1/apply", wish)
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
    elif output == "yaml":
        common.print_yaml(answer)
    else:
        _print(answer, diff=diff)


def _files(paths: tuple[Path, ...]) -> list[dict[str, str]]:
    """Every file with its text. Raises `InvalidFile`, also for what is no text, before anything is sent."""
    from handsel.wiring.mesh_files import files_of, read_documents

    for path in paths:
        read_documents(path)
    return [{"name": str(each), "text": each.read_text()} for path in paths for each in files_of(path)]


def _print(answer: dict[str, Any], *, diff: bool) -> None:
    dry = " (dry run)" if answer["dry_run"] else ""
    for each in answer["changes"]:
        click.echo(f"{each['resource']} {each['what']}{dry}")
        if diff and each["diff"]:
            click.echo(each["diff"])
    for each in answer["findings"]:
        where = f"{each['file']}:{each['line']}:{each['column']}"
        click.echo(f"{where}: {each['severity']} {each['code']} {each['message']}", err=True)
    would = "would get" if answer["dry_run"] else "get"
    for each in answer["proxies"]:
        parts = [f"{len(each.get(key, ()))} {key}" for key in ("added", "changed", "removed") if each.get(key)]
        click.echo(f"the proxy of {each['service']} {would} a new configuration: {', '.join(parts)}")
    would = "would end" if answer["dry_run"] else "end"
    for each in answer["connections"]:
        how = "the call is allowed no longer" if each["how"] == "refused" else "and begin anew"
        click.echo(f"open connections {each['caller']} -> {each['callee']} {would}: {how}")
