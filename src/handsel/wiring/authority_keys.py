"""The CAs of a server: opened from their folder when it starts, and written down so that their chains are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from handsel.authority import hierarchy
from handsel.authority.adapters.authorities_tables import Authorities
from handsel.authority.adapters.signers.custody import open_keys
from handsel.authority.adapters.signers.folder import KeyFolder
from handsel.authority.hierarchy import TRUSTED, CaKnown, CaPlan, Known, State
from handsel.authority.model import Issuer, Issuers
from handsel.model.authority import MESH_ISSUER, Authority
from handsel.pki.names import TrustDomain
from handsel.store.adapters.sql import SqlStore
from handsel.store.journal import entry


def key_folder(folder: Path, settings: Authority, password_file: Path | None = None) -> KeyFolder:
    """The folder of an authority, with its keys where the settings say. Raises `StateError`, `UsageError`."""
    return KeyFolder(folder, open_keys(folder, settings.keys, password_file))


@dataclass(frozen=True)
class Opened:
    """The CAs that sign now, whether the authority was made just now, and where CAs and mesh file differ."""

    issuers: Issuers
    made: bool
    differences: tuple[str, ...] = ()


async def open_authorities(
    keys: KeyFolder, store: SqlStore, trust_domain: TrustDomain, settings: Authority, *, unused: bool, now: datetime
) -> Opened:
    """Open every issuing CA, make those that the mesh file names anew, and write down the ones that are new.

    One that the file no longer names is opened too: its certificates live on, and their status is asked for.
    `unused`: nothing was ever issued with this state. Raises `StateError`.
    """
    known = await Authorities(store).all()
    active = {each.name: each for each in known if each.state is State.ACTIVE and not each.is_root}
    named = hierarchy.plans(settings.issuing)
    former = [
        CaPlan(name)
        for name in active
        if name not in {plan.name for plan in named} and keys.has(name) and keys.keys.exists(name)
    ]
    found, made = keys.open_all(
        trust_domain, [*named, *former], now=now, may_make=unused and not store.read_only,
        known=active if not store.read_only else [plan.name for plan in named],
    )  # fmt: skip
    # After a rotation a CA signs with another key than its first, which the table names.
    signing = [
        keys.load(each.name, trust_domain, key=active[each.name].key) if each.name in active else each for each in found
    ]
    new = _unknown(signing, known, now)
    if new and not store.read_only:
        lines = [entry("authority", now, name=each.name, key_id=each.key_id, state=str(each.state)) for each in new]
        await store.commit((*(CaKnown(each) for each in new), *lines))
    pairs = zip(named, signing, strict=False)  # the former ones come last: no file says anything of them
    differing = [line for plan, each in pairs for line in hierarchy.differences(plan, each.certificate)]
    return Opened(issuers_of(keys, trust_domain, signing, [*known, *new]), made, tuple(differing))


def issuers_of(keys: KeyFolder, trust_domain: TrustDomain, signing: Sequence[Issuer], known: list[Known]) -> Issuers:
    """The CAs that sign, the roots to trust, those that retire, and the chains of what older CAs signed.

    Which roots are to be trusted is kept in the folder too.
    """
    roots = [each for each in known if each.is_root and each.state in TRUSTED]
    trusted = tuple(each.certificate for each in sorted(roots, key=lambda each: each.state is not State.ACTIVE))
    keys.roots.trust(trusted)
    issuing = [each for each in known if not each.is_root]
    retiring = [each for each in issuing if each.state is State.RETIRING]
    # A server that does not lead may lack the key yet.
    coming = [each for each in issuing if each.state is State.PUBLISHED and keys.holds(each.key)]
    return Issuers(
        {each.name: each for each in signing},
        trusted,
        hierarchy.chains_known(known, keys.roots.links(), trusted),
        tuple(keys.load(each.name, trust_domain, key=each.key) for each in retiring),
        keys.roots.issuers(),
        next((each.since for each in known if each.name == MESH_ISSUER and each.state is State.ACTIVE), None),
        tuple(keys.load(each.name, trust_domain, key=each.key) for each in coming),
        frozenset(each.certificate.key_id for each in issuing if each.state is State.REMOVED),
    )


def _unknown(signing: list[Issuer], known: list[Known], now: datetime) -> list[Known]:
    key_ids = {each.key_id for each in known}
    root = Known(signing[0].root, hierarchy.ROOT, State.ACTIVE, hierarchy.ROOT, now)
    all_of_them = [root, *(Known(each.certificate, each.name, State.ACTIVE, each.name, now) for each in signing)]
    return [each for each in all_of_them if each.key_id not in key_ids]
