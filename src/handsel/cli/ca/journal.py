"""`handsel ca journal`: what happened, and whether that can be believed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from handsel.cli import common
from handsel.errors import ExitCode, NotInJournal, UsageError

_state_option = click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)
_key_option = click.option(
    "--key", "key_file", type=click.Path(path_type=Path), default=None,
    help="The public key that checkpoints must be signed with, kept from before.  [default: what the server says]",
)  # fmt: skip


@click.group()
def command() -> None:
    """What happened, and whether that can be believed.

    Everything that is issued, revoked or decided is a line of the journal, a hash chain. Every minute its state is
    signed as a checkpoint by a key of its own. Keep the key, and now and then a checkpoint, on another machine:
    then a journal that was changed or cut off is found out even if the server was taken over.

    \b
    Examples:
      handsel ca journal list --kind issued --state /var/lib/handsel
      handsel ca journal verify --state /var/lib/handsel
    """


@command.command("list")
@click.option("--kind", help="Only lines of this kind, such as issued or revoked.")
@click.option("--last", default=50, show_default=True, help="So many lines, the newest last.")
@_state_option
@common.output_option
def list_lines(state: Path, kind: str | None, last: int, output: str) -> None:
    """Show the newest lines.

    \b
    Examples:
      handsel ca journal list --kind revoked --last 10 --state /var/lib/handsel
    """
    found = [
        {"log": log["log"], "number": number, **json.loads(entry)}
        for log in _about(state)["logs"]
        for number, entry, _ in _lines(state, log["log"])
    ]
    found.sort(key=lambda line: (line["at"], line["number"]))
    found = [line for line in found if kind is None or line["kind"] == kind][-max(last, 0) :]
    if output == "json":
        click.echo(json.dumps({"apiVersion": "handsel/v1", "kind": "JournalLines", "lines": found}, indent=2))
    elif output == "yaml":
        common.print_yaml({"kind": "JournalLines", "lines": found})
    else:
        for line in found:
            fields = " ".join(f"{name}={value}" for name, value in line["fields"].items() if value)
            click.echo(f"{line['number']:>6}  {line['at'][:19]}  {line['kind']:<16}  {fields}")


@command.command()
@_key_option
@click.option(
    "--checkpoint", "kept", type=click.Path(path_type=Path), multiple=True,
    help="A checkpoint that was kept elsewhere; may be given several times.",
)  # fmt: skip
@_state_option
def verify(state: Path, key_file: Path | None, kept: tuple[Path, ...]) -> None:
    """Check every line, every checkpoint and every signature. Exit code 3 when something is wrong.

    \b
    Examples:
      handsel ca journal verify --state /var/lib/handsel
      handsel ca journal verify --key journal.pub --checkpoint monday.txt --state /var/lib/handsel
    """
    from handsel.authority import ledger
    from handsel.pki.names import TrustDomain

    about = _about(state)
    key = _read_key(key_file, about)
    trust_domain = TrustDomain(about["trust_domain"])
    elsewhere = [_read(path) for path in kept]
    wrong = False
    for log in about["logs"]:
        name = ledger.origin(trust_domain, log["log"])
        lines = _lines(state, log["log"])
        notes = [note for _, note in log["checkpoints"]] + [note for note in elsewhere if note.startswith(f"{name}\n")]
        faults = ledger.check_log(name, lines, notes, key)
        wrong = wrong or bool(faults)
        click.echo(f"{name}: {len(lines)} lines, {len(notes)} checkpoints: {'all holds' if not faults else 'WRONG'}")
        for fault in faults:
            click.echo(f"  {fault}")
    known = {f"{ledger.origin(trust_domain, log['log'])}\n" for log in about["logs"]}
    for note in elsewhere:
        if not any(note.startswith(name) for name in known):
            click.echo(f"a kept checkpoint is of a log that is not there: {note[:80].splitlines()[0]}")
            wrong = True
    sys.exit(ExitCode.FINDINGS if wrong else ExitCode.OK)


@command.command()
@_state_option
def checkpoint(state: Path) -> None:
    """Print the newest checkpoint of each log, to be kept elsewhere; `key` prints what it is checked with.

    \b
    Examples:
      handsel ca journal checkpoint --state /var/lib/handsel > monday.txt
    """
    for log in _about(state)["logs"]:
        if log["checkpoints"]:
            click.echo(log["checkpoints"][-1][1], nl=False)


@command.command()
@_state_option
def key(state: Path) -> None:
    """Print the public key that checkpoints are signed with.

    \b
    Examples:
      handsel ca journal key --state /var/lib/handsel > journal.pub
    """
    click.echo(_about(state)["public_key"], nl=False)


@command.command()
@click.argument("serial")
@_state_option
def prove(serial: str, state: Path) -> None:
    """Print the proof that the issuance of a certificate is in the journal, as JSON.

    \b
    Examples:
      handsel ca journal prove 4f3a… --state /var/lib/handsel > proof.json
      handsel ca journal check proof.json --key journal.pub
    """
    from handsel.authority import ledger

    wanted = serial.lower().replace(":", "").lstrip("0")
    for log in _about(state)["logs"]:
        for size, note in reversed(log["checkpoints"][-1:]):
            found = ledger.prove(wanted, _lines(state, log["log"]), note, size)
            if found is not None:
                content = {"apiVersion": "handsel/v1", "kind": "InclusionProof", **found.to_json()}
                click.echo(json.dumps(content, indent=2))
                return
    raise NotInJournal(f"no certificate with the serial number {wanted} is in the journal")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", "key_file", type=click.Path(path_type=Path), required=True, help="The journal's public key.")
def check(file: Path, key_file: Path) -> None:
    """Check a proof, without the server: only the key is needed.

    \b
    Examples:
      handsel ca journal check proof.json --key journal.pub
    """
    from handsel.authority import ledger

    try:
        entry = ledger.check_proof(ledger.Proof.from_json(json.loads(_read(file))), _read_key(key_file, {}))
    except (ValueError, RecursionError) as error:
        raise NotInJournal(f"{file} proves nothing: {error}") from error
    fields = " ".join(f"{name}={value}" for name, value in entry["fields"].items())
    click.echo(f"{entry['kind']} {entry['at']} {fields}: is in the journal")


def _about(state: Path) -> Any:
    from handsel.cli.local import call_server

    return call_server(state.absolute(), "GET", "/v1/journal")


def _lines(state: Path, log: str) -> list[tuple[int, str, str]]:
    from handsel.cli.local import call_server

    found: list[tuple[int, str, str]] = []
    while True:
        query = urlencode({"log": log, "after": found[-1][0] if found else 0})
        part = call_server(state.absolute(), "GET", f"/v1/journal/lines?{query}")
        if not part:
            return found
        found += [(number, entry, digest) for number, entry, digest in part]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _read_key(path: Path | None, about: Any) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = _read(path) if path else about["public_key"]
    try:
        found = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is no public key: {error}") from error
    if not isinstance(found, Ed25519PublicKey):
        raise UsageError(f"{path} is no Ed25519 key")
    return found
