"""`handsel context export`: a context in the words of others."""

from __future__ import annotations

from pathlib import Path

import click

from handsel.cli import common
from handsel.errors import ExitCode


@click.command()
@click.argument("name")
@click.option(
    "--to", "target", required=True, type=click.Choice(["mule", "java", "spring", "go", "node", "nginx", "envoy"]),
    help="For what.",
)  # fmt: skip
@common.config_option
@click.option(
    "--side", type=click.Choice(["client", "server"]), default=None, show_default="both", help="Only this side."
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=None, help="Write the files into this folder."
)
@click.option("--force", is_flag=True, help="Replace files that are there and say another thing.")
@click.option("--dry-run", is_flag=True, help="Only say which files would be written.")
@click.option(
    "--fail-on", type=click.Choice(["loss", "note"]), default=None, help="Exit with 3 if anything was lost, or noted."
)
def command(
    name: str, target: str, config: Path, side: str | None, out: Path | None, fail_on: str | None,
    *, force: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Write the context NAME in the words of others: on standard output, or with --out as files.

    What cannot be said there, and what a person has to do, goes to standard error. Passwords are never written, only
    where they come from.

    \b
    Examples:
      handsel context export orders --to nginx --side server
      handsel context export orders --to mule --out src/main/mule
      handsel context export orders --to go --fail-on loss > tls.go
    """
    from handsel.tls.convert.model import BOTH, NoteKind, Side
    from handsel.tls.convert.write import export
    from handsel.wiring.contexts import chosen, read_declared, save

    context = chosen(read_declared(config).contexts, name, config)
    exported = export(target, context, (Side(side),) if side else BOTH)
    for note in exported.notes:
        click.echo(str(note), err=True)
    if out is not None and not dry_run:
        save(exported, out, force=force)
    for file, text in exported.files.items():
        if out is None and not dry_run:
            click.echo(f"=== {file}\n" if len(exported.files) > 1 else "", nl=False)
            click.echo(text, nl=False)
        else:
            click.echo(f"{'would be written' if dry_run else 'written'}: {(out or Path()) / file}")
    lost = any(note.kind is NoteKind.LOST for note in exported.notes)
    if (fail_on == "loss" and lost) or (fail_on == "note" and exported.notes):
        raise SystemExit(ExitCode.FINDINGS)
