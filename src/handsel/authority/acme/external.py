"""External account keys: made and taken back by people (RFC 8555, section 7.3.4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from handsel.authority.acme.model import ExternalKey, Saved
from handsel.pki.secret import Secret
from handsel.store.journal import entry
from handsel.store.outcome import Outcome

SECRET_BYTES = 32
"""As long as the output of HMAC with SHA-256 (RFC 7518, section 3.2)."""


def make_key(
    key_id: str,
    secret: Secret,
    *,
    lifetime: timedelta | None = None,
    profile: str | None = None,
    names: tuple[str, ...] = (),
    reusable: bool = False,
    comment: str = "",
    by: str,
    now: datetime,
) -> Outcome[ExternalKey]:
    """A key for somebody who will open an account. `names` are patterns: all that the account may ever order."""
    key = ExternalKey(
        key_id, secret, now, expires=now + lifetime if lifetime is not None else None, profile=profile, names=names,
        reusable=reusable, comment=comment,
    )  # fmt: skip
    line = entry("external key", now, key=key_id, profile=profile or "", names=",".join(names), by=by)
    return Outcome((Saved(key), line), key)


def take_back(key: ExternalKey, *, by: str, now: datetime) -> Outcome[ExternalKey]:
    """No account is opened with this key any more. What it allows its accounts stays, and its secret is forgotten."""
    gone = replace(key, removed=now, secret=Secret(b""))
    return Outcome((Saved(gone), entry("external key removed", now, key=key.key_id, by=by)), gone)
