"""`handsel cert store list`: what is in a key store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handsel.cli import common
from handsel.cli.cert.store import shared

if TYPE_CHECKING:
    from handsel.pki.keystore.report import EntryReport, StoreReport

_WIDEST = 60


@click.command()
@click.argument("file", type=shared.PATH)
@shared.password_options
@common.output_option
def command(file: Path, password_file: Path | None, key_password_file: Path | None, output: str) -> None:
    """Show what is in a key store of any format, and say what is wrong with it. Keys are never shown.

    Certificates are listed without a password where the format allows it (JKS, JCEKS, PEM); whether the store is as it
    was written is then not checked, and keys are not tried.

    \b
    Examples:
      handsel cert store list keystore.jks
      handsel cert store list keystore.p12 --password-file password -o json
    """
    from handsel.cli.cert.documents import integrity_in_words, store_document
    from handsel.pki.inspect import printable
    from handsel.wiring.store_acts import show
    from handsel.wiring.stores import Subject

    report = show(Subject(file, password_file, key_password_file, shared.ask()), datetime.now(UTC))
    if output == "json":
        click.echo(json.dumps(store_document(report, str(file)), indent=2))
    elif output == "yaml":
        common.print_yaml(store_document(report, str(file)))
    else:
        common.print_table(("ALIAS", "KIND", "SUBJECT", "ENDS", "CHAIN", "PROBLEMS"), list(_rows(report)))
        click.echo(f"\n{report.kind}: {integrity_in_words(report.integrity)}")
        for note in report.notes:
            click.echo(f"  {printable(note)}")


def _rows(report: StoreReport) -> list[tuple[str, ...]]:
    """An entry a row, and a row more for each further problem."""
    from handsel.pki.inspect import printable

    rows: list[tuple[str, ...]] = []
    for each in report.entries:
        first, *more = each.problems or ("",)
        rows.append((*(_cell(text) for text in (each.alias, each.kind, *_of_leaf(each))), printable(first)))
        rows += [("", "", "", "", "", printable(problem)) for problem in more]
    return rows


def _cell(text: str) -> str:
    """What a column can hold: an alias may have 64 KiB."""
    from handsel.pki.inspect import printable

    return printable(text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…")


def _of_leaf(entry: EntryReport) -> tuple[str, str, str]:
    """Subject, end and length of the chain."""
    if entry.leaf is None:
        return entry.protection if entry.kind == "secret" else "", "", str(len(entry.certificates) or "")
    count = str(len(entry.certificates)) if entry.kind == "key" else ""
    return entry.leaf.subject or next(iter(entry.leaf.names), "(empty)"), f"{entry.leaf.not_after:%Y-%m-%d}", count
