"""A key belongs to one requester, and a key that is known to others belongs to nobody.

Asked with what the directory knows of the key, before anything is written. Two requesters with one key at the very same
moment may both pass: they hold the same private key already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from handsel.authority.model import Draft
from handsel.errors import KeyRefused


@dataclass(frozen=True)
class KeyUse:
    """A certificate for a key: who asked for it, for which names. `compromised`: revoked since the key is known."""

    pin: str
    serial: str
    requested_by: str
    names: frozenset[str]
    not_after: datetime
    revoked: bool = False
    compromised: bool = False


def check(draft: Draft, uses: Iterable[KeyUse]) -> None:
    """Raise `KeyRefused` when one of the uses of the draft's key forbids it.

    A certificate that has ended, or was revoked for another reason, leaves its key free. One that lives does so for
    the same names of the same requester, where the profile says that keys may be used again: so `certbot --reuse-key`
    renews, and nobody else gets a certificate for the key of others.
    """
    names = frozenset(name for _, name in draft.names)
    for use in uses:
        if use.compromised:
            raise KeyRefused(f"the key is known to others: certificate {use.serial} was revoked for that")
        if use.revoked or use.not_after <= draft.made:
            continue
        if use.requested_by != draft.requested_by:
            raise KeyRefused("the key belongs to another requester, who has a certificate for it")
        if use.names != names:
            raise KeyRefused(f"the key has certificate {use.serial} for other names: make a new key")
        if not draft.profile.reuse_keys:
            raise KeyRefused(
                f"the key has certificate {use.serial}, and the profile {draft.profile.name!r} uses no key twice"
            )


def check_all(drafts: Sequence[Draft], pins: Sequence[str], uses: Sequence[KeyUse]) -> None:
    """The same for drafts that are decided together, with the pin of each one's key: no two of them share a key."""
    if len(set(pins)) != len(drafts):
        raise KeyRefused("two certificates were asked for with one key: make a key for each")
    for draft, key_pin in zip(drafts, pins, strict=True):
        check(draft, [use for use in uses if use.pin == key_pin])
