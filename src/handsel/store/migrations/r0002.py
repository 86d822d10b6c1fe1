"""The complete authority: a journal for each server, and what a certificate is searched by.

`tables` is what `make migration` found to be missing. Here stands what no machine can know: what the rows of the first
release get in the new columns.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from handsel.pki.certificate import Certificate
from handsel.store.migrations import r0002_tables as tables

_LOG = "main"
"""The log of a server that is alone with its database, as all were."""

_certificates = sa.table(
    "certificates", sa.column("serial"), sa.column("identity"), sa.column("issuer"), sa.column("profile"),
    sa.column("key_pin"), sa.column("fingerprint"), sa.column("log"), sa.column("der", sa.LargeBinary),
    sa.column("state"), sa.column("number", sa.BigInteger),
)  # fmt: skip
_names = sa.table("certificate_names", sa.column("serial"), sa.column("name"))


def upgrade() -> None:
    journal()
    tables.upgrade()
    issued = 0
    for row in op.get_bind().execute(sa.select(_certificates)).fetchall():
        issued += row.state == "issued"
        _complete(row, issued if row.state == "issued" else None)


def journal() -> None:
    """One chain became one for each server."""
    op.rename_table("journal", "journal_0001")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX journal_pkey RENAME TO journal_0001_pkey")
    op.create_table(
        "journal",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("log", "number"),
    )
    op.execute(f"INSERT INTO journal SELECT '{_LOG}', number, entry, hash FROM journal_0001")  # noqa: S608
    op.drop_table("journal_0001")


def _complete(row: sa.Row[Any], number: int | None) -> None:
    """The first release had one CA and three profiles, and kept in rows what certificates say."""
    connection = op.get_bind()
    values = {"issuer": "issuing", "profile": _profile(row.identity), "log": _LOG, "number": number}
    names = {row.identity}
    if row.der is not None:
        certificate = Certificate(row.der)
        values |= {"key_pin": certificate.pin, "fingerprint": certificate.fingerprint}
        names |= {*certificate.uri_names, *certificate.dns_names, *certificate.ip_names}
    connection.execute(sa.update(_certificates).where(_certificates.c.serial == row.serial).values(**values))
    connection.execute(sa.insert(_names), [{"serial": row.serial, "name": name} for name in sorted(names)])


def _profile(identity: str) -> str:
    if "/handsel/agent/" in identity:
        return "agent"
    return "server" if identity.endswith("/handsel/server") else "workload"
