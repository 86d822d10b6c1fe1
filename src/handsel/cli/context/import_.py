"""`handsel context import`: contexts out of other worlds."""

from __future__ import annotations

import json
from pathlib import Path

import click

from handsel.errors import ExitCode


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--from", "kind", type=click.Choice(["mule", "java", "spring"]), default=None, show_default="told by their content",
    help="What the files are.",
)  # fmt: skip
@click.option(
    "--fail-on", type=click.Choice(["loss", "note"]), default=None, help="Exit with 3 if anything was lost, or noted."
)
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def command(files: tuple[Path, ...], kind: str | None, fail_on: str | None, output: str) -> None:
    """Read TLS contexts out of FILEs, and print them as the part `contexts:` of a mesh file.

    Mule: XML with tls:context, or the connectors of Mule 3. Java: javax.net.ssl.* and jdk.tls.*, in properties or as
    words with -D. Spring: server.ssl.* and SSL bundles, in properties or YAML. What is lost, and what a person has to
    decide, goes to standard error. Passwords are never taken over.

    \b
    Examples:
      handsel context import src/main/mule/*.xml > contexts.yaml
      handsel context import application.yaml --fail-on loss -o json
      tr '\\0' ' ' < /proc/4711/cmdline > java.txt && handsel context import java.txt
    """
    from handsel.tls.convert import handsel_yaml
    from handsel.tls.convert.model import NoteKind
    from handsel.wiring.contexts import import_files

    imported = import_files(files, kind)
    if output == "json":
        content = {
            "apiVersion": "handsel/v1",
            "kind": "TlsContexts",
            "contexts": handsel_yaml.tree(imported.contexts),
            "notes": [vars(note) for note in imported.notes],
        }
        click.echo(json.dumps(content, indent=2))
    else:
        click.echo(handsel_yaml.write(imported.contexts), nl=False)
    for note in imported.notes:
        click.echo(str(note), err=True)
    lost = any(note.kind is NoteKind.LOST for note in imported.notes)
    if (fail_on == "loss" and lost) or (fail_on == "note" and imported.notes):
        raise SystemExit(ExitCode.FINDINGS)
