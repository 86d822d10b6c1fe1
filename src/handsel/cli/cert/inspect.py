"""`handsel cert inspect`: what is in a certificate file."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.explain import print_fields, print_title
from handsel.errors import UsageError


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option("--short", is_flag=True, help="One line a certificate.")
@common.output_option
def command(file: Path, output: str, *, short: bool) -> None:
    """Show what is in a certificate file, PEM or DER, and say what is wrong with it. Without FILE: standard input.

    Keys are never shown, only that they are there.

    \b
    Examples:
      handsel cert inspect chain.pem
      openssl s_client -connect shop:443 </dev/null | handsel cert inspect --short
    """
    now = datetime.now(UTC)
    report = _report(file, now)
    if output == "json":
        click.echo(json.dumps(report, indent=2))
    elif output == "yaml":
        common.print_yaml(report)
    elif short:
        for certificate in report["certificates"]:
            _print_short(certificate, now)
    else:
        _print(report, now)


def _report(file: Path, now: datetime) -> dict[str, Any]:
    """The file as a value (`kind: CertificateInspection`). Raises `UsageError` in one line when it is no such file."""
    from handsel.pki import inspect as pki

    name = "standard input" if str(file) == "-" else str(file)
    try:
        content, read_by_others = _content(file, pki.MAXIMUM_BYTES + 1)
        inspection = pki.inspect(content, now, read_by_others=read_by_others)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{name}: {pki.printable(str(error))}") from error
    return {
        "apiVersion": "handsel/v1",
        "kind": "CertificateInspection",
        "ok": inspection.ok,
        "certificates": [
            {
                **vars(facts),
                "names": list(facts.names),
                "usages": list(facts.usages),
                "problems": list(facts.problems),
                "not_before": facts.not_before.isoformat(),
                "not_after": facts.not_after.isoformat(),
            }
            for facts in inspection.certificates
        ],
        "chain": inspection.chain,
        "others": list(inspection.others),
        "problems": list(inspection.problems),
    }


def _content(file: Path, most: int) -> tuple[bytes, bool]:
    """The bytes, and whether users other than the owner may read them."""
    if str(file) == "-":
        return sys.stdin.buffer.read(most), False
    with file.open("rb") as opened:
        return opened.read(most), bool(file.stat().st_mode & 0o077)


def _print(report: dict[str, Any], now: datetime) -> None:
    certificates = report["certificates"]
    for number, certificate in enumerate(certificates, 1):
        role = "CA" if certificate["is_ca"] else "leaf"
        count = f"   ({number} of {len(certificates)})" if len(certificates) > 1 else ""
        wrong = certificate["problems"]
        print_title("✗" if wrong else "✓", "red" if wrong else "green", _name(certificate), f"{role}{count}")
        print_fields([
            *(("WRONG", problem) for problem in wrong),
            ("subject", certificate["subject"] or "(empty)"),
            ("issuer", certificate["issuer"] or "(empty)"),
            *(("names", name) for name in certificate["names"]),
            ("key", certificate["key"]),
            ("signature", certificate["signature"]),
            ("serial", certificate["serial"]),
            ("valid from", _time(certificate["not_before"])),
            ("valid until", f"{_time(certificate['not_after'])}, {_left(certificate, now)}"),
            ("usages", ", ".join(certificate["usages"]) or "none named"),
            ("sha-256", certificate["fingerprint"]),
        ])  # fmt: skip
        click.echo()
    print_fields([
        ("chain", report["chain"]),
        *(("also in it", f"{other}, not shown") for other in report["others"]),
        *(("WRONG", problem) for problem in report["problems"]),
    ])  # fmt: skip


def _print_short(certificate: dict[str, Any], now: datetime) -> None:
    from handsel.pki.inspect import printable

    wrong = f"   WRONG: {'; '.join(certificate['problems'])}" if certificate["problems"] else ""
    text = (
        f"{certificate['key']}   serial {certificate['serial'][:12]}   {_left(certificate, now)}"
        f"   by {certificate['issuer']}{wrong}"
    )
    print_title("✗" if wrong else "✓", "red" if wrong else "green", _name(certificate), printable(text))


def _name(certificate: dict[str, Any]) -> str:
    """What to call it: its first name, else its subject."""
    from handsel.pki.inspect import printable

    first = certificate["names"][0].partition(":")[2] if certificate["names"] else ""
    return printable(first or certificate["subject"] or "(no name)")


def _left(certificate: dict[str, Any], now: datetime) -> str:
    """How much of its life is left."""
    from handsel.pki.inspect import in_words

    start, end = (datetime.fromisoformat(certificate[key]) for key in ("not_before", "not_after"))
    if now >= end:
        return "ended"
    if now < start:
        return "not begun"
    return f"{in_words(end - now)} of {in_words(end - start)} left"


def _time(text: str) -> str:
    return text.replace("T", " ").replace("+00:00", " UTC")
