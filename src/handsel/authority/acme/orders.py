"""Orders: wished for, and fulfilled once every name was proven (RFC 8555, sections 7.1.3, 7.4)."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from handsel.acme.lifecycle import Status
from handsel.acme.problems import Identifier, Problem, malformed
from handsel.authority import policy
from handsel.authority.acme.model import (
    Account,
    Authorization,
    Challenge,
    ExternalKey,
    Order,
    Saved,
    authorization_status,
    order_status,
    random_id,
)
from handsel.authority.model import Approval, Domain, Issuer, Requester
from handsel.errors import Refused
from handsel.model.authority import Profile, Validation
from handsel.pki import csr
from handsel.pki.certificate import Certificate
from handsel.pki.csr import CertificateRequest
from handsel.pki.keys import PublicKey, public_der
from handsel.pki.names import Names, dns_name
from handsel.store.outcome import Outcome

ORDER_LIFETIME = timedelta(days=1)
AUTHORIZATION_LIFETIME = timedelta(days=1)
_MOST_IDENTIFIERS = 100


def read_identifiers(wish: Any, validation: Validation) -> tuple[Identifier, ...]:
    """The identifiers of an order, in canonical form, each once. Raises `Problem` with a subproblem for each fault."""
    if not isinstance(wish, list) or not wish:
        raise malformed("identifiers is a list with at least one name")
    if len(wish) > _MOST_IDENTIFIERS:
        raise malformed(f"an order has at most {_MOST_IDENTIFIERS} identifiers")
    found: dict[Identifier, None] = {}
    faults: list[Problem] = []
    for each in wish:
        try:
            found[read_identifier(each, validation)] = None
        except Problem as problem:
            faults.append(problem)
    if len(faults) == 1 and len(wish) == 1:
        raise faults[0]
    if faults:
        raise Problem(faults[0].kind, "some identifiers cannot be used", subproblems=faults)
    return tuple(found)


def read_identifier(wish: Any, validation: Validation) -> Identifier:
    """One identifier in canonical form (RFC 8555, section 7.1.4; RFC 8738, section 3). Raises `Problem`."""
    if not isinstance(wish, Mapping) or not isinstance(wish.get("value"), str) or not isinstance(wish.get("type"), str):
        raise malformed("an identifier has a type and a value")
    value = wish["value"]
    identifier = Identifier(str(wish["type"])[:32], value[:300])
    try:
        match wish["type"]:
            case "dns":
                name = dns_name(value)
                if not validation.allow_private_addresses and "." not in name.removeprefix("*."):
                    raise ValueError("names of one label are not allowed here")
                return Identifier("dns", name)
            case "ip":
                address = ipaddress.ip_address(value)
                if str(address) != value or "%" in value:
                    raise ValueError(f"the address is written {str(address).partition('%')[0]}")  # RFC 8738, section 3
                return Identifier("ip", value)
            case other:
                raise Problem("unsupportedIdentifier", f"identifiers are dns or ip, not {other[:32]!r}")
    except ValueError as error:
        raise Problem("rejectedIdentifier", str(error), identifier=identifier) from error


def requester_of(account: Account, external: ExternalKey | None) -> Requester:
    """Who an account is to the policy. `external` is the key that opened it; its names are the account's limits."""
    if account.external_key is not None and external is None:
        raise Problem("unauthorized", "the key that opened this account is gone, and with it what the account may have")
    return Requester(
        "acme", account.account_id, account.external_key, limits=external.names if external is not None else ()
    )


def require_allowed(
    identifiers: tuple[Identifier, ...], requester: Requester, profile: Profile, domain: Domain, issuer: Issuer
) -> None:
    """Raise `Problem` for names that would be refused at the end: before anybody proves them (section 7.4)."""
    refusals = policy.refused(_names(identifiers), requester, profile, domain.trust_domain, domain.policy, issuer)
    if not refusals:
        return
    faults = [Problem("rejectedIdentifier", each.why, identifier=Identifier(each.kind, each.name)) for each in refusals]
    if len(identifiers) == 1:
        raise faults[0]
    raise Problem("rejectedIdentifier", "some identifiers may not be had", subproblems=faults)


def make_order(
    account: Account,
    identifiers: tuple[Identifier, ...],
    profile: Profile,
    usable: Sequence[Authorization],
    *,
    not_after: datetime | None,
    replaces: str | None,
    now: datetime,
) -> Outcome[Order]:
    """A new order, with an authorization for each identifier. `usable` are those that the account proved ahead."""
    writes: list[object] = []
    authorizations: list[str] = []
    proven = {(each.identifier, each.wildcard): each for each in usable if authorization_status(each, now) == "valid"}
    for identifier in identifiers:
        base, wildcard = _split(identifier)
        found = proven.get((base, wildcard))
        if found is None:
            found = make_authorization(account, identifier, now=now)
            writes.append(Saved(found))
        authorizations.append(found.authorization_id)
    if not_after is not None and not now < not_after <= now + profile.longest(now):
        raise malformed(f"notAfter lies within {profile.longest(now)} from now, for the profile {profile.name!r}")
    order = Order(
        random_id(), account.account_id, identifiers, tuple(authorizations), profile.name, now, now + ORDER_LIFETIME,
        not_after=not_after, replaces=replaces,
    )  # fmt: skip
    return Outcome((*writes, Saved(order)), order)


def make_authorization(
    account: Account, identifier: Identifier, *, now: datetime, ahead: bool = False
) -> Authorization:
    """A pending authorization with every challenge that fits the identifier."""
    base, wildcard = _split(identifier)
    challenges = tuple(Challenge(kind, random_id()) for kind in challenge_kinds(base, wildcard=wildcard))
    expires = now + AUTHORIZATION_LIFETIME
    return Authorization(random_id(), account.account_id, base, wildcard, expires, challenges, ahead=ahead)


def challenge_kinds(identifier: Identifier, *, wildcard: bool) -> tuple[str, ...]:
    """How control can be proven: a wildcard only by DNS (section 7.1.4), an address not by DNS (RFC 8738, 7)."""
    if wildcard:
        return ("dns-01",)
    return ("http-01", "tls-alpn-01") if identifier.type == "ip" else ("http-01", "dns-01", "tls-alpn-01")


def request_hash(csr_der: bytes) -> str:
    """By which a repeated finalize is known."""
    return hashlib.sha256(csr_der).hexdigest()


def approve(
    order: Order,
    authorizations: Sequence[Authorization],
    csr_der: bytes,
    account_key: PublicKey,
    domain: Domain,
    requester: Requester,
    *,
    now: datetime,
) -> Approval:
    """What a finalized order may have (section 7.4). Raises `Problem`: `orderNotReady`, `badCSR`."""
    status = order_status(order, authorizations, now)
    if status is not Status.READY:
        raise Problem("orderNotReady", f"the order is {status}, not ready")
    request = _read_request(csr_der)
    if request.public_key_der == public_der(account_key):
        raise Problem("badCSR", "a certificate's key must not be the account's key (section 11.1)")
    wanted, asked = _names(order.identifiers), _asked(request)
    if (set(asked.dns), set(asked.ip)) != (set(wanted.dns), set(wanted.ip)) or asked.uri or asked.mail or asked.other:
        raise Problem("badCSR", "the request's names are not exactly the order's")
    profile = domain.profiles[order.profile]
    if request.kind not in profile.keys:
        raise Problem("badCSR", f"the profile {profile.name!r} takes no {request.kind} keys")
    lifetime = order.not_after - now if order.not_after else profile.lifetime
    return Approval(wanted, None, request.public_key, profile, lifetime, f"account/{order.account_id}", requester)


def processing(order: Order, csr_der: bytes, serial: str) -> Saved:
    """The order while its certificate is made. Conflicts when another request does the same."""
    return Saved(replace(order, status=Status.PROCESSING, serial=serial, request_hash=request_hash(csr_der)))


def fulfilled(order: Order, csr_der: bytes, certificate: Certificate) -> Order:
    """The order with its certificate, and valid as long as that is; follows `processing`."""
    return replace(
        order, status=Status.VALID, serial=certificate.serial, request_hash=request_hash(csr_der),
        expires=max(order.expires, certificate.not_after), revision=order.revision + 1,
    )  # fmt: skip


def _read_request(csr_der: bytes) -> CertificateRequest:
    try:
        return csr.parse(csr_der)
    except (ValueError, Refused) as error:
        raise Problem("badCSR", str(error)) from error


def _asked(request: CertificateRequest) -> Names:
    """The names that a request asks for, the common name among them (section 7.4)."""
    names = request.names
    if request.common_name is None or request.common_name in names.ip:
        return names
    try:
        return replace(names, dns=(*names.dns, request.common_name))
    except ValueError as error:
        raise Problem("badCSR", f"the common name: {error}") from error


def _names(identifiers: Sequence[Identifier]) -> Names:
    return Names(
        dns=tuple(each.value for each in identifiers if each.type == "dns"),
        ip=tuple(each.value for each in identifiers if each.type == "ip"),
    )


def _split(identifier: Identifier) -> tuple[Identifier, bool]:
    wildcard = identifier.value.startswith("*.")
    return Identifier(identifier.type, identifier.value.removeprefix("*.")), wildcard
