"""Accounts, asked over HTTP (RFC 8555, section 7.3)."""

from __future__ import annotations

from typing import Any

from handsel.acme import jws as signatures
from handsel.acme.lifecycle import Status
from handsel.acme.problems import Problem
from handsel.authority.acme import accounts
from handsel.authority.acme.limits import Bucket, counted_address
from handsel.authority.acme.model import Account, random_id
from handsel.authority.acme.orders import ORDER_LIFETIME
from handsel.authority.adapters.acme_http.answers import json_answer
from handsel.authority.adapters.acme_http.calls import Call, Means, Signed
from handsel.authority.adapters.issuing import now
from handsel.door.asgi import Response

_PAGE = 50


async def new_account(means: Means, signed: Signed) -> Response:
    wish = signed.wish
    existing = await means.objects.account_of_key(signed.key.thumbprint)
    if existing is not None:
        if existing.status is not Status.VALID:
            raise Problem("unauthorized", f"the account is {existing.status}")
        await means.commit(signed)
        return _show(signed.call, existing, 200)
    if wish.get("onlyReturnExisting") is True:
        raise Problem("accountDoesNotExist", "there is no account with this key")
    settings = means.settings()
    binding = wish.get("externalAccountBinding")
    external = None
    if binding is not None:
        found = await means.objects.external_key(accounts.binding_key_id(binding))
        external = accounts.check_binding(binding, signed.key, signed.call.url, found, now())
    outcome = accounts.open_account(signed.key, wish, external, settings, account_id=random_id(), now=now())
    client = counted_address(signed.call.request.client)
    counted = Bucket(f"accounts of {client}", settings.limits.accounts_per_address, "this address")
    await means.commit_counted(signed, [counted], outcome.writes)
    return _show(signed.call, outcome.answer, 201)


async def account(means: Means, signed: Signed) -> Response:
    require_own(signed)
    wish = signed.wish if signed.jws.payload else {}
    owner = signed.owner
    if wish.get("status") == Status.DEACTIVATED:
        outcome = accounts.close_account(owner, await means.objects.open_work(owner.account_id), by="owner", now=now())
    else:
        outcome = accounts.change_account(owner, wish, means.settings(), now=now())
    await means.commit(signed, outcome.writes)
    return _show(signed.call, outcome.answer, 200)


async def orders_of(means: Means, signed: Signed) -> Response:
    """A page of the account's orders; the last part of the path is the order that the page before ended with."""
    require_own(signed)
    _, account_id, _, *last = signed.call.parts
    after = await means.objects.order(last[0]) if last else None
    if last and (after is None or after.account_id != account_id):
        raise Problem("malformed", "there is no such page", status=404)
    found = await means.objects.orders_of(account_id, after=after, alive_from=now() - ORDER_LIFETIME, most=_PAGE + 1)
    await means.commit(signed)
    shown = found[:_PAGE]
    following = []
    if len(found) > _PAGE:
        url = signed.call.at("account", account_id, "orders", shown[-1].order_id)
        following = [("Link", f'<{url}>;rel="next"')]
    return json_answer({"orders": [signed.call.at("order", each.order_id) for each in shown]}, 200, *following)


async def key_change(means: Means, signed: Signed) -> Response:
    inner = signatures.parse(signed.jws.payload)
    url = signed.call.at("account", signed.owner.account_id)
    outcome = accounts.change_key(signed.owner, inner, signed.call.url, url, now=now())
    holder = await means.objects.account_of_key(outcome.answer.thumbprint)
    if holder is not None:
        where = (("Location", signed.call.at("account", holder.account_id)),)
        raise Problem("malformed", "another account has this key", status=409, headers=where)
    await means.commit(signed, outcome.writes)
    return _show(signed.call, (await means.again(signed)).owner, 200)


def require_own(signed: Signed) -> None:
    """Raise `Problem` when the path names another account."""
    if signed.call.parts[1] != signed.owner.account_id:
        raise Problem("unauthorized", "this is another account")


def _show(call: Call, shown: Account, status: int) -> Response:
    url = call.at("account", shown.account_id)
    content: dict[str, Any] = {"status": shown.status, "contact": list(shown.contact), "orders": f"{url}/orders"}
    if shown.terms:
        content["termsOfServiceAgreed"] = True
    return json_answer(content, status, ("Location", url))
