"""Accounts: opened, changed, given another key, closed (RFC 8555, section 7.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from handsel.acme import jws as signatures
from handsel.acme.jws import Jwk
from handsel.acme.lifecycle import Status
from handsel.acme.problems import Problem, malformed
from handsel.authority.acme.model import Account, Authorization, ExternalKey, Order, Saved
from handsel.model.authority import Acme
from handsel.store.journal import entry
from handsel.store.outcome import Outcome

_MAIL = re.compile(r"mailto:[^\s,?@]+@[^\s,?@]+")
_MOST_CONTACTS = 10


def open_account(
    jwk: Jwk, wish: Mapping[str, Any], external: ExternalKey | None, settings: Acme, *, account_id: str, now: datetime
) -> Outcome[Account]:
    """A new account. `external` is the key whose binding was checked, see `check_binding`."""
    if settings.external_account_required and external is None:
        raise Problem("externalAccountRequired", "accounts are opened with a key from `handsel ca acme eab` here")
    agreed = wish.get("termsOfServiceAgreed") is True
    if settings.terms_of_service and not agreed:
        raise Problem("userActionRequired", f"agree to the terms of service: {settings.terms_of_service}")
    account = Account(
        account_id, jwk.members, jwk.thumbprint, _contacts(wish), now,
        external_key=external.key_id if external else None, terms=settings.terms_of_service if agreed else None,
    )  # fmt: skip
    writes: list[object] = [
        Saved(account),
        entry("account", now, account=account_id, thumbprint=jwk.thumbprint, external=account.external_key or ""),
    ]
    if external is not None:
        writes.append(Saved(replace(external, bound_to=account_id)))
    return Outcome(tuple(writes), account)


def check_binding(binding: Any, account_key: Jwk, url: str, external: ExternalKey | None, now: datetime) -> ExternalKey:
    """The external key, when the inner JWS proves that the account's owner has it (section 7.3.4)."""
    inner = signatures.parse(binding) if isinstance(binding, Mapping) else None
    if inner is None:
        raise malformed("externalAccountBinding is a JWS")
    if inner.protected.get("url") != url or "nonce" in inner.protected:
        raise malformed("the binding has the url of the request and no nonce")
    if external is None or external.removed or (external.expires is not None and now >= external.expires):
        raise Problem("unauthorized", "this external account key is not known here, or has ended")
    if not signatures.check_mac(inner, external.secret.reveal()):
        raise Problem("unauthorized", "the MAC of the external account binding does not hold")
    if signatures.read_key(inner.json()).thumbprint != account_key.thumbprint:
        raise malformed("the binding's payload is not the account's key")
    if external.bound_to is not None and not external.reusable:
        raise Problem("unauthorized", "this external account key was used before")
    return external


def binding_key_id(binding: Any) -> str:
    """Which external key a binding names. Raises `Problem`."""
    key_id = signatures.parse(binding).protected.get("kid") if isinstance(binding, Mapping) else None
    if not isinstance(key_id, str):
        raise malformed("the protected header of externalAccountBinding has a kid")
    return key_id


def require_terms(account: Account, settings: Acme) -> None:
    """Raise `Problem` when the terms of service are others than the client agreed to (section 7.3.3)."""
    terms = settings.terms_of_service
    if terms is not None and account.terms != terms:
        link = (("Link", f'<{terms}>;rel="terms-of-service"'),)
        raise Problem("userActionRequired", f"agree to the terms of service: {terms}", headers=link, instance=terms)


def change_account(account: Account, wish: Mapping[str, Any], settings: Acme, *, now: datetime) -> Outcome[Account]:
    """Other contacts, or new terms agreed to (sections 7.3.2 and 7.3.3). Unknown fields are ignored."""
    if "status" in wish and wish["status"] != account.status:
        raise malformed("an account's status can be changed to deactivated only")
    terms = settings.terms_of_service if wish.get("termsOfServiceAgreed") is True else account.terms
    changed = replace(account, contact=_contacts(wish) if "contact" in wish else account.contact, terms=terms)
    if changed == account:
        return Outcome((), account)
    line = entry("account changed", now, account=account.account_id)
    return Outcome((Saved(changed), line), changed)


def close_account(
    account: Account, work: Iterable[Order | Authorization], *, by: str, now: datetime
) -> Outcome[Account]:
    """The end of an account (section 7.3.6), and with it of the orders and authorizations that are open."""
    closed = replace(account, status=Status.DEACTIVATED)
    ended = tuple(
        Saved(replace(each, status=Status.INVALID if isinstance(each, Order) else Status.DEACTIVATED))
        for each in work
        if now < each.expires
    )
    return Outcome((Saved(closed), *ended, entry("account closed", now, account=account.account_id, by=by)), closed)


def change_key(account: Account, inner: signatures.Jws, url: str, account_url: str, *, now: datetime) -> Outcome[Jwk]:
    """Another key for the account (section 7.3.5): the new key signs inside what the old one signs outside."""
    new = signatures.read_key(inner.protected.get("jwk"))
    signatures.verify(inner, new.key)
    if "nonce" in inner.protected or "kid" in inner.protected or inner.protected.get("url") != url:
        raise malformed("the inner JWS has the same url, a jwk, no kid and no nonce")
    wish = inner.json()
    if wish.get("account") != account_url:
        raise malformed("the inner payload names another account")
    if signatures.read_key(wish.get("oldKey")).thumbprint != account.thumbprint:
        raise malformed("oldKey is not the account's key")
    changed = replace(account, jwk=new.members, thumbprint=new.thumbprint)
    line = entry("account key", now, account=account.account_id, thumbprint=new.thumbprint)
    return Outcome((Saved(changed), line), new)


def _contacts(wish: Mapping[str, Any]) -> tuple[str, ...]:
    contacts = wish.get("contact", [])
    if not isinstance(contacts, list) or len(contacts) > _MOST_CONTACTS:
        raise malformed(f"contact is a list of at most {_MOST_CONTACTS} addresses")
    for contact in contacts:
        if not isinstance(contact, str):
            raise malformed("a contact is a string")
        if not contact.startswith("mailto:"):
            raise Problem("unsupportedContact", f"contacts are mailto: addresses here, not {contact[:80]!r}")
        if not _MAIL.fullmatch(contact):
            raise Problem("invalidContact", f"{contact[:80]!r} is not one address without header fields")
    return tuple(contacts)
