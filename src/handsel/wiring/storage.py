"""Where a server's state is kept: which tables there are, how writes become rows, and which database holds them."""

from __future__ import annotations

import contextlib
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from handsel.authority.adapters import (
    acme_tables,
    administration_tables,
    attest_tables,
    authorities_tables,
    ended_tables,
    federation_tables,
    jwt_tables,
    ledger_tables,
    limit_tables,
    shared_nonces,
    status_tables,
)
from handsel.authority.adapters import tables as authority_tables
from handsel.authority.adapters.nonces import MemoryNonces, Nonces
from handsel.authority.directory import StandingSet
from handsel.authority.federation import BundleKept
from handsel.authority.hierarchy import CaKnown
from handsel.authority.jwt import KeysEnded, KeyShown
from handsel.authority.revocation import Revoked
from handsel.authority.va.lists import CrlMade
from handsel.errors import StateError, StateInUse, UsageError
from handsel.link.resume import Publish
from handsel.mesh.adapters import applied as applied_tables
from handsel.mesh.adapters import publications as publication_tables
from handsel.mesh.adapters import tables as mesh_tables
from handsel.mesh.adapters.applied import ResourcesApplied
from handsel.mesh.adapters.tables import PlacesReported
from handsel.secrets.adapters import tables as secret_tables
from handsel.store.adapters import postgres, schema, sqlite
from handsel.store.adapters.database import AdvisoryLock, Database
from handsel.store.adapters.files import hold_lock, write_file
from handsel.store.adapters.postgres import PostgresStore
from handsel.store.adapters.sql import SqlStore, Topics
from handsel.store.adapters.sqlite import SqliteStore
from handsel.store.migrations import HEAD
from handsel.store.outcome import Appliers

APPLIERS: Appliers = {
    **authority_tables.APPLIERS,
    **status_tables.APPLIERS,
    **acme_tables.APPLIERS,
    **administration_tables.APPLIERS,
    **attest_tables.APPLIERS,
    **authorities_tables.APPLIERS,
    **ended_tables.APPLIERS,
    **federation_tables.APPLIERS,
    **jwt_tables.APPLIERS,
    **ledger_tables.APPLIERS,
    **limit_tables.APPLIERS,
    **shared_nonces.APPLIERS,
    **publication_tables.APPLIERS,
    **mesh_tables.APPLIERS,
    **applied_tables.APPLIERS,
    **secret_tables.APPLIERS,
}
"""Every write that there is. A new table's adapter belongs here: importing it is what declares its table."""

PUBLICATIONS, PLACES, REVOCATIONS, CRLS = "publications", "places", "revocations", "crls"
AUTHORITIES = "authorities"
APPLIED = "applied"
BUNDLES, JWT_KEYS = "bundles", "jwt_keys"
STANDINGS = "standings"
TOPICS: Topics = {
    Publish: PUBLICATIONS,
    PlacesReported: PLACES,
    Revoked: REVOCATIONS,
    CrlMade: CRLS,
    CaKnown: AUTHORITIES,
    ResourcesApplied: APPLIED,
    BundleKept: BUNDLES,
    KeyShown: JWT_KEYS,
    KeysEnded: JWT_KEYS,
    StandingSet: STANDINGS,
}
"""What other parts and other servers want to hear of: `store.changes.on(topic, act)`."""

FILE = "handsel.db"
_TURN_SECONDS = 60.0


@dataclass(frozen=True)
class Migrated:
    """What was migrated: the revision before (None: it was empty), the steps from there, the copy that was kept."""

    where: str
    before: str | None
    steps: tuple[str, ...]
    kept: Path | None = None
    now: str = HEAD


@dataclass(frozen=True)
class Storage:
    """Which database holds the state: a file of the state folder, or PostgreSQL before which other servers may stand.

    `migrate`: whether an older PostgreSQL database is migrated at start. `read_only`: nothing is ever written.
    """

    database: Database | None = None
    migrate: bool = False
    read_only: bool = False

    @classmethod
    def at(
        cls, url: str | None, password_file: Path | None, *, seen: bool, migrate: bool = False, read_only: bool = False
    ) -> Storage:
        """The storage that a person named; `seen`: on a command line. Raises `UsageError`."""
        if url is None:
            return cls(read_only=read_only)
        database = Database.read(url, password_file)
        if seen and database.shows_password:
            raise UsageError(
                "a password on the command line is seen by everybody on this machine",
                next_step="write it into a file for --database-password-file, or into PGPASSFILE",
            )
        return cls(database, migrate=migrate, read_only=read_only)

    def open(self, folder: Path) -> SqlStore:
        """The state of the server with this folder. Raises `StateError`."""
        if self.database is None:
            return SqliteStore(folder / FILE, APPLIERS, topics=TOPICS, read_only=self.read_only)
        return PostgresStore(
            self.database, APPLIERS, log=_server_id(folder), topics=TOPICS, read_only=self.read_only,
            migrate=self.migrate,
        )  # fmt: skip

    def turn(self) -> contextlib.ExitStack:
        """One server of a database starts at a time, until this is closed: only the first one may make an authority."""
        held = contextlib.ExitStack()
        if self.database is not None and not self.read_only:
            lock = AdvisoryLock(self.database, "handsel start")
            until = time.monotonic() + _TURN_SECONDS
            while not lock.hold():
                if time.monotonic() > until:
                    raise StateInUse(f"another server has been starting on {self.database} for {_TURN_SECONDS:g} s")
                time.sleep(0.1)
            held.callback(lock.release)
        return held

    def migrate_now(self, folder: Path, *, dry_run: bool) -> Migrated:
        """Bring the database to the newest schema, or say what that would take. Raises `StateError`."""
        if self.database is not None:
            before = postgres.found_revision(self.database)
            if not dry_run:
                postgres.migrate(self.database)
            return Migrated(str(self.database), before, tuple(schema.pending(before)))
        file = folder / FILE
        if not file.exists():
            raise StateError(f"there is no {file}", next_step="name the server's folder with --state, or a --database")
        with hold_lock(folder / "lock", "migration"):
            before = sqlite.found_revision(file)
            kept = None if dry_run else sqlite.migrate(file)
            return Migrated(str(file), before, tuple(schema.pending(before)), kept)

    async def nonces(self, store: SqlStore) -> Nonces:
        """The nonces of ACME: in memory when this server is alone with its state."""
        if self.database is None or self.read_only:
            return MemoryNonces()
        return await shared_nonces.SharedNonces.open(store)


def _server_id(folder: Path) -> str:
    """What this server is called among those of one database: made at the first start, kept in its folder."""
    path = folder / "id"
    if not path.exists():
        write_file(path, f"server-{secrets.token_hex(4)}\n".encode())
    return path.read_text().strip()
