"""Where a server's state is kept: which tables there are, how writes become rows, and which database holds them."""

from __future__ import annotations

from pathlib import Path

from handsel.authority.adapters import acme_tables, administration_tables, ledger_tables
from handsel.authority.adapters import tables as authority_tables
from handsel.mesh.adapters import publications as publication_tables
from handsel.mesh.adapters import tables as mesh_tables
from handsel.store.adapters.sql import SqlStore, Topics
from handsel.store.adapters.sqlite import SqliteStore
from handsel.store.outcome import Appliers

APPLIERS: Appliers = {
    **authority_tables.APPLIERS,
    **acme_tables.APPLIERS,
    **ledger_tables.APPLIERS,
    **administration_tables.APPLIERS,
    **publication_tables.APPLIERS,
    **mesh_tables.APPLIERS,
}
"""Every write that there is. A new table's adapter belongs here: importing it is what declares its table."""

TOPICS: Topics = {}
"""What other parts and other servers want to hear of."""


def open_store(file: Path) -> SqlStore:
    """The state of a server. Raises `StateError`."""
    return SqliteStore(file, APPLIERS, topics=TOPICS)
