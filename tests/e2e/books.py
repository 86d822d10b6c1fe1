"""Whether the books of an authority know what clients were given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from handsel.store.adapters.sql import SqlStore
from handsel.store.journal import first_broken

_ALL = sa.text("SELECT serial, state, der FROM certificates")


async def check(store: SqlStore, given: Iterable[x509.Certificate]) -> Counter[str]:
    """Every certificate that was given is in the books as issued, and in a journal that is whole. Counts the states."""
    rows = {row.serial: row for row in await store.read(_ALL)}
    given = list(given)
    serials = [f"{each.serial_number:x}" for each in given]
    assert len(set(serials)) == len(serials), "a serial number was given twice"
    for serial, each in zip(serials, given, strict=True):
        assert serial in rows, f"{serial} was given and is not in the books"
        assert rows[serial].state == "issued", serial
        assert bytes(rows[serial].der) == each.public_bytes(Encoding.DER)
    intended: Counter[str] = Counter()
    settled: Counter[str] = Counter()
    for log in await store.logs():
        lines = await store.journal_lines(log)
        assert first_broken(lines) is None, f"the journal {log} is broken"
        for _, canonical, _ in lines:
            line = json.loads(canonical)
            if line["kind"] == "intended":
                intended[line["fields"]["serial"]] += 1
            elif line["kind"] in ("issued", "abandoned"):
                settled[line["fields"]["serial"]] += 1
    assert set(intended.values()) <= {1}
    assert set(settled.values()) <= {1}
    assert set(settled) <= set(intended), "something was signed without an intention"
    assert {serial for serial, row in rows.items() if row.state == "issued"} <= set(settled)
    return Counter(row.state for row in rows.values())
