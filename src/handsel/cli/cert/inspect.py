"""`handsel cert inspect`: what is in a certificate file."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.cli.cert.documents import certificate_document, integrity_in_words, store_document
from handsel.cli.cert.store import shared
from handsel.cli.explain import print_fields, print_title
from handsel.errors import UsageError


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option("--short", is_flag=True, help="One line a certificate.")
@click.option("--for", "role", type=click.Choice(("server", "client")), help="Say whether it is one's in TLS.")
@shared.password_options
@common.output_option
def command(
    file: Path, output: str, role: str | None, password_file: Path | None, key_password_file: Path | None,
    *, short: bool,
) -> None:  # fmt: skip
    """Show what is in a certificate file or a key store, and say what is wrong with it. Without FILE: standard input.

    Certificates are read as PEM or DER; key stores are JKS, JCEKS, PKCS12 and BCFKS. Keys are never shown, only that
    they are there.

    \b
    Examples:
      handsel cert inspect chain.pem
      handsel cert inspect server.pem --for server
      handsel cert inspect keystore.p12 --password-file password
      openssl s_client -connect shop:443 </dev/null | handsel cert inspect --short
    """
    now = datetime.now(UTC)
    report = _report(file, now, password_file, key_password_file)
    if role is not None:
        _judge_use(report, role)
    if output == "json":
        click.echo(json.dumps(report, indent=2))
    elif output == "yaml":
        common.print_yaml(report)
    elif short:
        for certificate in _all_certificates(report):
            _print_short(certificate, now)
    elif report["kind"] == "KeyStore":
        _print_store(report, now)
    else:
        _print(report, now)


def _report(file: Path, now: datetime, password_file: Path | None, key_password_file: Path | None) -> dict[str, Any]:
    """The file as a value: `kind: CertificateInspection`, of a key store `kind: KeyStore`.

    Raises `UsageError` in one line when it is no such file, and what reading a key store raises.
    """
    from handsel.pki import inspect as pki
    from handsel.pki.keystore.model import LARGEST

    name = "standard input" if str(file) == "-" else str(file)
    try:
        content, read_by_others = _content(file, LARGEST + 1)
        if _is_key_store(content):
            return _store_report(Path(name), content, now, password_file, key_password_file, read_by_others)
        inspection = pki.inspect(content, now, read_by_others=read_by_others)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{name}: {pki.printable(str(error))}") from error
    return {
        "apiVersion": "handsel/v1",
        "kind": "CertificateInspection",
        "ok": inspection.ok,
        "certificates": [certificate_document(facts) for facts in inspection.certificates],
        "chain": inspection.chain,
        "others": list(inspection.others),
        "problems": list(inspection.problems),
    }


def _judge_use(report: dict[str, Any], role: str) -> None:
    """Add what is wrong with each leaf in a role: the first certificate of a file, or of each key in a store."""
    from handsel.pki.inspect import wrong_use

    chains = [each["certificates"] for each in report.get("entries", []) if each["kind"] == "key"]
    for chain in chains if report["kind"] == "KeyStore" else [report["certificates"]]:
        leaf = chain[0] if chain else None
        problem = wrong_use(leaf["usages"], role, is_ca=leaf["is_ca"]) if leaf else ""
        if leaf and problem:
            leaf["problems"].append(problem)
            report["ok"] = False


def _content(file: Path, most: int) -> tuple[bytes, bool]:
    """The bytes, and whether users other than the owner may read them."""
    if str(file) == "-":
        return sys.stdin.buffer.read(most), False
    with file.open("rb") as opened:
        return opened.read(most), bool(file.stat().st_mode & 0o077)


def _is_key_store(content: bytes) -> bool:
    """Whether it is one of those that are more than certificates after one another."""
    from handsel.errors import StoreUnreadable
    from handsel.pki.keystore import StoreKind, detect

    try:
        return detect(content) is not StoreKind.PEM
    except StoreUnreadable:
        return False


def _store_report(
    name: Path, content: bytes, now: datetime, password_file: Path | None, key_password_file: Path | None,
    read_by_others: bool,
) -> dict[str, Any]:  # fmt: skip
    from handsel.wiring.store_acts import show_content
    from handsel.wiring.stores import Subject

    subject = Subject(name, password_file, key_password_file, shared.ask())
    return store_document(show_content(content, subject, now, read_by_others=read_by_others), str(name))


def _all_certificates(report: dict[str, Any]) -> list[dict[str, Any]]:
    if report["kind"] != "KeyStore":
        return list(report["certificates"])
    return [each for entry in report["entries"] for each in entry["certificates"] if each]


def _print(report: dict[str, Any], now: datetime) -> None:
    _print_certificates(report["certificates"], now)
    print_fields([
        ("chain", report["chain"]),
        *(("also in it", f"{other}, not shown") for other in report["others"]),
        *(("WRONG", problem) for problem in report["problems"]),
    ])  # fmt: skip


def _print_store(report: dict[str, Any], now: datetime) -> None:
    """Each entry with its certificates, then what there is to say about the whole."""
    from handsel.pki.inspect import printable

    for entry in report["entries"]:
        wrong = entry["problems"]
        print_title("✗" if wrong else "✓", "red" if wrong else "green", printable(entry["alias"]), entry["kind"])
        print_fields([
            *(("WRONG", problem) for problem in entry["faults"]),
            ("since", _time(entry["created"][:19] + "+00:00") if entry["created"] else ""),
            ("kept by", entry["protection"]),
            ("chain", entry["chain"]),
        ])  # fmt: skip
        click.echo()
        _print_certificates([each for each in entry["certificates"] if each], now)
    print_fields([
        ("store", f"{report['format']}, {integrity_in_words(report['integrity'])}"),
        *(("note", note) for note in report["notes"]),
    ])  # fmt: skip


def _print_certificates(certificates: list[dict[str, Any]], now: datetime) -> None:
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
