"""Orders, asked over HTTP (RFC 8555, section 7.4; RFC 9773, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from handsel.acme import jws as signatures
from handsel.acme.certid import CertificateId
from handsel.acme.problems import Identifier, Problem, malformed
from handsel.authority import service
from handsel.authority.acme import accounts, orders, renewal
from handsel.authority.acme.limits import Bucket, registered_names
from handsel.authority.acme.model import ExternalKey, Order, Saved
from handsel.authority.adapters.acme_http.answers import show_order
from handsel.authority.adapters.acme_http.calls import Means, Signed, time_of
from handsel.authority.adapters.issuing import now
from handsel.authority.directory import Record
from handsel.authority.model import Leaf
from handsel.authority.service import Intent
from handsel.door.asgi import Response
from handsel.model.authority import Profile
from handsel.store.outcome import Writes


async def new_order(means: Means, signed: Signed) -> Response:
    wish, owner, settings = signed.wish, signed.owner, means.settings()
    accounts.require_terms(owner, settings)
    identifiers = orders.read_identifiers(wish.get("identifiers"), settings.validation)
    if wish.get("notBefore") is not None:
        raise malformed("notBefore is not offered: a certificate begins when it is made")
    external = await means.external_key(owner)
    profile = _profile(means.offered(signed.call), wish.get("profile"), external)
    orders.require_allowed(
        identifiers, orders.requester_of(owner, external), profile, means.domain(),
        means.issuing.issuers()[profile.issuer],
    )  # fmt: skip
    replaced, freed = await _replaced(means, signed, identifiers)
    proven = await means.objects.proven_ahead(owner.account_id, [each.value.removeprefix("*.") for each in identifiers])
    outcome = orders.make_order(
        owner, identifiers, profile, proven, not_after=time_of(wish.get("notAfter")),
        replaces=str(replaced[0]) if replaced else None, now=now(),
    )  # fmt: skip
    early = replaced is None or now() < renewal.window(replaced[1], means.issuing.issuers()).start
    counted = _buckets(means, signed, identifiers) if early else ()
    await means.commit_counted(signed, counted, (*freed, *outcome.writes))
    return await _show(means, signed, outcome.answer, 201)


async def order(means: Means, signed: Signed) -> Response:
    found = await _own_order(means, signed)
    await means.commit(signed)
    return await _show(means, signed, found, 200)


async def finalize(means: Means, signed: Signed) -> Response:
    found = await _own_order(means, signed)
    encoded = signed.wish.get("csr")
    if not isinstance(encoded, str):
        raise malformed("finalize has a csr")
    csr_der = signatures.decode(encoded, "csr")
    if found.request_hash == orders.request_hash(csr_der):  # asked again: the same answer
        await means.commit(signed)
        return await _show(means, signed, found, 200)
    authorizations = await means.objects.authorizations(found.authorizations)
    requester = await means.requester(signed.owner)
    domain = means.domain()
    approval = orders.approve(found, authorizations, csr_der, signed.key.key, domain, requester, now=now())
    intent = service.intend([approval], domain, means.issuing.issuers(), now())
    under_way = orders.processing(found, csr_der, intent.drafts[0].draft.serial)
    done: list[Order] = []

    def fulfil(leaves: tuple[Leaf, ...]) -> Writes:
        done.append(orders.fulfilled(found, csr_der, leaves[0].certificate))
        return (Saved(done[0]),)

    await means.issuing.issue(Intent((*signed.writes, under_way, *intent.writes), intent.drafts), also=fulfil)
    return show_order(signed.call, done[0], authorizations, now(), 200)


async def _replaced(
    means: Means, signed: Signed, identifiers: Sequence[Identifier]
) -> tuple[tuple[CertificateId, Record] | None, Writes]:
    """The certificate that an order replaces, and the writes that let it."""
    text = signed.wish.get("replaces")
    if text is None:
        return None, ()
    if not isinstance(text, str):
        raise malformed("replaces is the name of a certificate")
    named = CertificateId.parse(text)
    record = await means.directory.record(named.serial_hex)
    record = renewal.require_replaceable(record, named, signed.owner)
    renewal.require_shared(record, identifiers)
    holder = await means.objects.order_replacing(str(named))
    authorizations = await means.objects.authorizations(holder.authorizations) if holder else []
    return (named, record), renewal.take_over(holder, authorizations, now()).writes


def _buckets(means: Means, signed: Signed, identifiers: Sequence[Identifier]) -> tuple[Bucket, ...]:
    """What an order is counted under."""
    limits = means.settings().limits
    return (
        Bucket(f"account {signed.owner.account_id}", limits.orders_per_account, "this account"),
        *(Bucket(f"name {name}", limits.orders_per_name, name) for name in registered_names(identifiers)),
    )


def _profile(offered: Sequence[Profile], wanted: Any, external: ExternalKey | None) -> Profile:
    """The profile that an order is for (draft-ietf-acme-profiles): the first of those that the account may have."""
    if external is not None and external.profile is not None:
        offered = [each for each in offered if each.name == external.profile]
    for each in offered:
        if wanted is None or each.name == wanted:
            return each
    raise Problem("invalidProfile", f"profiles for you are {', '.join(each.name for each in offered) or 'none'} here")


async def _own_order(means: Means, signed: Signed) -> Order:
    found = await means.objects.order(signed.call.parts[1])
    if found is None or found.account_id != signed.owner.account_id:
        raise Problem("malformed", "there is no such order", status=404)
    return found


async def _show(means: Means, signed: Signed, shown: Order, status: int) -> Response:
    authorizations = await means.objects.authorizations(shown.authorizations)
    return show_order(signed.call, shown, authorizations, now(), status)
