"""Certificates and key stores as JSON has them, and names in them as a terminal may show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handsel.pki.inspect import Facts
    from handsel.pki.keystore.report import EntryReport, StoreReport


def certificate_document(facts: Facts) -> dict[str, Any]:
    """One certificate."""
    return {
        **vars(facts),
        "names": list(facts.names),
        "usages": list(facts.usages),
        "problems": list(facts.problems),
        "not_before": facts.not_before.isoformat(),
        "not_after": facts.not_after.isoformat(),
    }


def store_document(report: StoreReport, name: str) -> dict[str, Any]:
    """`kind: KeyStore`. A certificate that cannot be read is null; the entry's problems tell of it."""
    return {
        "apiVersion": "handsel/v1",
        "kind": "KeyStore",
        "file": name,
        "format": str(report.kind),
        "integrity": str(report.integrity),
        "ok": report.ok,
        "entries": [_entry_document(each) for each in report.entries],
        "notes": list(report.notes),
    }


def _entry_document(entry: EntryReport) -> dict[str, Any]:
    return {
        "alias": entry.alias,
        "kind": entry.kind,
        "created": entry.created.isoformat() if entry.created else None,
        "protection": entry.protection,
        "locked": entry.locked,
        "certificates": [certificate_document(each) if each else None for each in entry.certificates],
        "chain": entry.chain,
        "faults": list(entry.faults),
        "problems": list(entry.problems),
    }


def integrity_in_words(integrity: str) -> str:
    """Whether a store is as it was written, for people."""
    return {
        "checked": "integrity checked",
        "not checked": "integrity not checked",
        "none": "there is no check of its integrity",
    }[integrity]
