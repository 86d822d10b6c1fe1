"""Acts about ACME: the keys that let somebody open an account, and the accounts."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from handsel.acme.jws import encode
from handsel.acme.lifecycle import Status
from handsel.authority.acme import accounts, external
from handsel.authority.acme.model import Account, ExternalKey, random_id
from handsel.authority.adapters.acme_tables import AcmeObjects
from handsel.authority.adapters.issuing import now
from handsel.authority.administration import Role
from handsel.authority.model import Domain
from handsel.errors import UsageError
from handsel.model.name_patterns import parse
from handsel.pki.secret import Secret
from handsel.store.outcome import Store
from handsel.wiring.admin.acts import Act, Acts, Asked

_LONGEST_LIFETIME = timedelta(days=3650)
_MOST_NAMES, _LONGEST_COMMENT = 100, 200
_PAGE = 1000


def acts(store: Store, objects: AcmeObjects, domain: Callable[[], Domain]) -> Acts:
    """What people do about ACME clients."""
    return {**_key_acts(store, objects, domain), **_account_acts(store, objects)}


def _key_acts(store: Store, objects: AcmeObjects, domain: Callable[[], Domain]) -> Acts:
    async def external_keys(_asked: Asked) -> Any:
        return [_shown_key(each) for each in await objects.external_keys()]

    async def make_key(asked: Asked) -> Any:
        wish = asked.wish
        limits = _read_limits(wish, domain())
        secret = Secret(secrets.token_bytes(external.SECRET_BYTES))
        outcome = external.make_key(random_id(), secret, **limits, by=asked.by, now=now())
        shown = _shown_key(outcome.answer)
        if wish.get("dry_run") is True:
            return shown | {"key_id": None}
        await store.commit(outcome.writes)
        return shown | {"hmac_key": encode(secret.reveal())}

    async def remove_key(asked: Asked) -> Any:
        key_id = str(asked.wish.get("key_id", ""))
        found = await objects.external_key(key_id)
        if found is None or found.removed is not None:
            raise UsageError(f"there is no external key {key_id[:80]!r}", next_step="see `handsel ca acme eab list`")
        if asked.wish.get("dry_run") is not True:
            await store.commit(external.take_back(found, by=asked.by, now=now()).writes)
        return _shown_key(found)

    return {
        ("GET", "/v1/acme/external-keys"): Act(Role.VIEWER, external_keys),
        ("POST", "/v1/acme/external-keys"): Act(Role.OPERATOR, make_key),
        ("POST", "/v1/acme/external-keys/remove"): Act(Role.OPERATOR, remove_key),
    }


def _account_acts(store: Store, objects: AcmeObjects) -> Acts:
    async def all_accounts(asked: Asked) -> Any:
        found = await objects.accounts(after=asked.query.get("after", ""), most=_PAGE)
        following = found[-1].account_id if len(found) == _PAGE else None
        return {"accounts": [_shown_account(each) for each in found], "next": following}

    async def close_account(asked: Asked) -> Any:
        account_id = str(asked.wish.get("account", ""))
        found = await objects.account(account_id)
        if found is None:
            raise UsageError(
                f"there is no account {account_id[:80]!r}", next_step="see `handsel ca acme accounts list`"
            )
        if found.status is not Status.VALID:
            raise UsageError(f"the account {account_id} is {found.status} already")
        outcome = accounts.close_account(found, await objects.open_work(account_id), by=asked.by, now=now())
        if asked.wish.get("dry_run") is not True:
            await store.commit(outcome.writes)
        return _shown_account(outcome.answer)

    return {
        ("GET", "/v1/acme/accounts"): Act(Role.VIEWER, all_accounts),
        ("POST", "/v1/acme/accounts/deactivate"): Act(Role.OPERATOR, close_account),
    }


def _read_limits(wish: dict[str, Any], domain: Domain) -> dict[str, Any]:
    """What a new key is asked to be. Raises `UsageError`."""
    profile, names, seconds = wish.get("profile"), wish.get("names", []), wish.get("lifetime")
    offered = [each.name for each in domain.profiles.for_acme()]
    if profile is not None and profile not in offered:
        raise UsageError(
            f"there is no profile {str(profile)[:63]!r} for ACME", next_step=f"one of {', '.join(offered)}"
        )
    if not isinstance(names, list) or len(names) > _MOST_NAMES:
        raise UsageError(f"names is a list of at most {_MOST_NAMES} patterns")
    for name in names:
        try:
            parse(str(name))
        except ValueError as error:
            raise UsageError(str(error)) from error
    lifetime = None
    if seconds is not None:
        if not isinstance(seconds, int | float) or not 1 <= seconds <= _LONGEST_LIFETIME.total_seconds():
            raise UsageError("a key can be used for at least a second and at most ten years")
        lifetime = timedelta(seconds=seconds)
    comment = str(wish.get("comment", ""))
    if len(comment) > _LONGEST_COMMENT or not comment.isprintable():
        raise UsageError(f"a comment is one line of at most {_LONGEST_COMMENT} characters")
    return {
        "lifetime": lifetime, "profile": profile, "names": tuple(map(str, names)),
        "reusable": wish.get("reusable") is True, "comment": comment,
    }  # fmt: skip


def _shown_key(key: ExternalKey) -> dict[str, Any]:
    """An external key without its secret."""
    return {
        "key_id": key.key_id,
        "state": _state(key),
        "created": key.created.isoformat(),
        "expires": key.expires.isoformat() if key.expires else None,
        "profile": key.profile,
        "names": list(key.names),
        "reusable": key.reusable,
        "comment": key.comment,
        "account": key.bound_to,
    }


def _state(key: ExternalKey) -> str:
    if key.removed is not None:
        return "removed"
    if key.bound_to is not None and not key.reusable:
        return "used"
    return "ended" if key.expires is not None and now() >= key.expires else "usable"


def _shown_account(account: Account) -> dict[str, Any]:
    return {
        "account": account.account_id,
        "status": str(account.status),
        "created": account.created.isoformat(),
        "contact": list(account.contact),
        "thumbprint": account.thumbprint,
        "external_key": account.external_key,
    }
