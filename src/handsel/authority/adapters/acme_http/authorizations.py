"""Authorizations and challenges, asked over HTTP (RFC 8555, section 7.5)."""

from __future__ import annotations

from handsel.acme.lifecycle import Status
from handsel.acme.problems import Problem
from handsel.authority.acme import accounts, challenges, orders
from handsel.authority.acme.model import Authorization, Saved
from handsel.authority.adapters.acme_http.answers import show_authorization, show_challenge
from handsel.authority.adapters.acme_http.calls import Means, Signed
from handsel.authority.adapters.issuing import now
from handsel.door.asgi import Response


async def new_authorization(means: Means, signed: Signed) -> Response:
    """An authorization ahead of any order (section 7.4.1)."""
    settings = means.settings()
    accounts.require_terms(signed.owner, settings)
    identifier = orders.read_identifier(signed.wish.get("identifier"), settings.validation)
    if identifier.value.startswith("*."):
        raise Problem("rejectedIdentifier", "a wildcard is authorized by an order only", identifier=identifier)
    profile = means.offered(signed.call)[0]
    orders.require_allowed(
        (identifier,), await means.requester(signed.owner), profile, means.domain(),
        means.issuing.issuers()[profile.issuer],
    )  # fmt: skip
    made = orders.make_authorization(signed.owner, identifier, now=now(), ahead=True)
    await means.commit(signed, (Saved(made),))
    return show_authorization(signed.call, made, now(), 201)


async def authorization(means: Means, signed: Signed) -> Response:
    found = await _own_authorization(means, signed)
    if signed.jws.payload and signed.wish.get("status") == Status.DEACTIVATED:
        outcome = challenges.withdraw(found, now=now())
        await means.commit(signed, outcome.writes)
        return show_authorization(signed.call, outcome.answer, now(), 200)
    await means.commit(signed)
    return show_authorization(signed.call, found, now(), 200)


async def challenge(means: Means, signed: Signed) -> Response:
    found = await _own_authorization(means, signed)
    shown = found.challenge(signed.call.parts[2])
    if shown is None:
        raise Problem("malformed", "there is no such challenge", status=404)
    if not signed.jws.payload:
        await means.commit(signed)
        return show_challenge(signed.call, found, shown)
    signed.jws.json()
    outcome = challenges.start(found, shown, now=now())
    await means.commit(signed, outcome.writes)
    if outcome.answer:
        means.probing.look(found, shown, signed.key.thumbprint)
        await means.probing.wait(found, shown)
    found = await _own_authorization(means, signed)
    return show_challenge(signed.call, found, found.challenge(shown.kind) or shown)


async def _own_authorization(means: Means, signed: Signed) -> Authorization:
    found = await means.objects.authorization(signed.call.parts[1])
    if found is None or found.account_id != signed.owner.account_id:
        raise Problem("malformed", "there is no such authorization", status=404)
    return found
