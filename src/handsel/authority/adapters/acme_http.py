"""The ACME door: who speaks, what they want, and what they are told (RFC 8555, sections 6 and 7)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from handsel.acme import jws as signatures
from handsel.acme.jws import Jwk, Jws
from handsel.acme.lifecycle import Status
from handsel.acme.problems import CONTENT_TYPE, Identifier, Problem, malformed
from handsel.authority import service
from handsel.authority.acme import accounts, challenges, orders
from handsel.authority.acme.model import (
    Account,
    Authorization,
    Challenge,
    Order,
    Saved,
    authorization_status,
    order_error,
    order_status,
    random_id,
)
from handsel.authority.adapters.acme_tables import AcmeObjects
from handsel.authority.adapters.issuing import Issuing, now
from handsel.authority.adapters.nonces import Nonces, bad_nonce
from handsel.authority.adapters.tables import Directory
from handsel.authority.model import Domain, Leaf, Requester
from handsel.authority.service import Intent
from handsel.door.asgi import Request, Response
from handsel.errors import Conflict, HandselError, KeyRefused, NonceSpent, Refused
from handsel.model.authority import Acme, Profile
from handsel.pki.certificate import Certificate, to_pem
from handsel.store.outcome import Store, Writes

PREFIX = "/acme/"
_JOSE = "application/jose+json"
_JSON = "application/json"
_PEM = "application/pem-certificate-chain"
_MAXIMUM_BODY = 64 << 10
_POLL_SECONDS = 1
_TRIES = 3

Probe = Callable[[str, Identifier, str, str], Awaitable[None]]
"""Looks whether a client controls a name: (kind of challenge, identifier, token, thumbprint). Raises `Problem`."""

Chains = Callable[[Certificate], tuple[tuple[Certificate, ...], ...]]
"""The chains that a certificate can be shown with, without itself; the usual one first."""


@dataclass(frozen=True)
class Call:
    """A request below `/acme/`, taken apart: `scope` is empty, or `ca/NAME/` or `profile/NAME/`."""

    request: Request
    base: str
    scope: str
    parts: tuple[str, ...]

    @property
    def url(self) -> str:
        """The address that the client asked for."""
        return self.base + self.request.raw_path.decode("ascii", errors="replace").removeprefix(PREFIX)

    def at(self, *parts: str) -> str:
        """The address of a resource."""
        return self.base + "/".join(parts)


@dataclass(frozen=True)
class Signed:
    """A call whose signature holds. `writes` belong into the commit that it leads to, see `Nonces.spend`."""

    call: Call
    jws: Jws
    key: Jwk
    account: Account | None
    writes: Writes

    @property
    def wish(self) -> dict[str, Any]:
        return self.jws.json()

    @property
    def owner(self) -> Account:
        """The account that speaks. Only for calls that were checked to have one."""
        assert self.account is not None  # noqa: S101  # `_authenticate` saw to it
        return self.account


_Handler = Callable[["AcmeDoor", Signed], Awaitable[Response]]


class AcmeDoor:
    """Handlers for everything below `/acme/`. Give it as a route of its own: it answers its errors itself."""

    def __init__(
        self,
        store: Store,
        objects: AcmeObjects,
        directory: Directory,
        issuing: Issuing,
        nonces: Nonces,
        domain: Callable[[], Domain],
        settings: Callable[[], Acme],
        probe: Probe,
        chains: Chains,
        on_bug: Callable[[Exception], None],
    ) -> None:
        self._store = store
        self._objects = objects
        self._directory = directory
        self._issuing = issuing
        self._nonces = nonces
        self._domain = domain
        self._settings = settings
        self._probe = probe
        self._chains = chains
        self._on_bug = on_bug
        self._probing: set[asyncio.Task[None]] = set()

    async def handle(self, request: Request) -> Response:
        """Answer a request; every refusal is a problem document with a fresh nonce (section 6.5)."""
        call = _take_apart(request)
        try:
            answer = await self._answer(call)
        except Problem as problem:
            answer = _refusal(problem)
        except KeyRefused as refused:  # RFC 8555, section 6.7
            answer = _refusal(Problem("badPublicKey", str(refused)))
        except Refused as refused:
            answer = _refusal(Problem("rejectedIdentifier", str(refused)))
        except HandselError as error:
            answer = _refusal(
                Problem("serverInternal", f"{error.code} {error}", status=503, headers=(("Retry-After", "5"),))
            )
        except Exception as error:  # noqa: BLE001  # the last line of defence: the client gets no traceback
            self._on_bug(error)
            answer = _refusal(Problem("serverInternal", "the server made a mistake; its log has the details"))
        return self._with_headers(call, answer)

    async def stop(self) -> None:
        """Leave off looking at challenges; they are looked at again after the next start."""
        for task in self._probing:
            task.cancel()
        await asyncio.gather(*self._probing, return_exceptions=True)

    # What may be asked without a signature

    async def _answer(self, call: Call) -> Response:
        match (call.request.method, call.parts):
            case ("GET" | "HEAD", ("directory",)):
                return _json(self._directory_of(call))
            case ("HEAD", ("new-nonce",)):
                return Response(200, headers=(("Cache-Control", "no-store"),))
            case ("GET", ("new-nonce",)):
                return Response(204, headers=(("Cache-Control", "no-store"),))
            case ("POST", parts):
                return await self._answer_signed(call, parts)
            case (_, parts) if _handler(parts) or parts in (("directory",), ("new-nonce",)):
                raise Problem("malformed", "this resource is asked by POST (section 6.3)", status=405)
            case _:
                raise Problem("malformed", "there is nothing here", status=404)

    def _directory_of(self, call: Call) -> dict[str, Any]:
        settings = self._settings()
        offered = self._offered(call)
        meta: dict[str, Any] = {
            "profiles": {each.name: each.description or f"lives {each.lifetime}" for each in offered},
            "externalAccountRequired": settings.external_account_required,
        }
        if settings.terms_of_service:
            meta["termsOfService"] = settings.terms_of_service
        return {
            "newNonce": call.at("new-nonce"),
            "newAccount": call.at("new-account"),
            "newOrder": call.base + call.scope + "new-order",
            "newAuthz": call.at("new-authz"),
            "revokeCert": call.at("revoke-cert"),
            "keyChange": call.at("key-change"),
            "meta": meta,
        }

    def _offered(self, call: Call) -> tuple[Profile, ...]:
        """The profiles of a directory: all, those of one CA, or one (the first is the usual one)."""
        profiles = self._domain().profiles.for_acme()
        kind, _, name = call.scope.strip("/").partition("/")
        match kind:
            case "ca":
                profiles = tuple(each for each in profiles if each.issuer == name)
            case "profile":
                profiles = tuple(each for each in profiles if each.name == name)
        if not profiles:
            raise Problem("malformed", "there is no such directory", status=404)
        return profiles

    # Who speaks (section 6.2 to 6.5)

    async def _answer_signed(self, call: Call, parts: tuple[str, ...]) -> Response:
        handler = _handler(parts)
        if handler is None:
            raise Problem("malformed", "there is nothing here", status=404)
        signed = await self._authenticate(call, handler)
        for tries_left in reversed(range(_TRIES)):
            try:
                return await handler.answer(self, signed)
            except NonceSpent:  # another server of the same database took it
                raise bad_nonce() from None
            except Conflict:  # somebody else changed what this was decided on: decide again
                if not tries_left:
                    raise
                signed = replace(signed, account=await self._reread(signed.account))
            except (Problem, Refused):  # the nonce is used even so
                with contextlib.suppress(NonceSpent):
                    await self._commit(signed)
                raise
        raise AssertionError  # the last try answers or raises

    async def _authenticate(self, call: Call, handler: _Resource) -> Signed:
        if call.request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JOSE:
            raise Problem("malformed", f"the content type of a request is {_JOSE}", status=415)
        if len(call.request.body) > _MAXIMUM_BODY:
            raise Problem("malformed", f"a request has at most {_MAXIMUM_BODY} bytes", status=413)
        jws = signatures.parse(call.request.body)
        key, account = await self._speaker(call, jws, handler)
        signatures.verify(jws, key.key)
        if jws.protected.get("url") != call.url:
            raise Problem("unauthorized", f"the url of the protected header is not {call.url}")
        nonce = jws.protected.get("nonce")
        if not isinstance(nonce, str):
            raise bad_nonce()
        writes = self._nonces.spend(nonce)
        if handler.by_get != (jws.payload == b"") and handler.by_get is not None:
            raise malformed("a fetch has an empty payload (section 6.3), everything else a JSON object")
        return Signed(call, jws, key, account, writes)

    async def _speaker(self, call: Call, jws: Jws, handler: _Resource) -> tuple[Jwk, Account | None]:
        """The key to verify with. Exactly one of `jwk` and `kid`, and the right one for the resource (section 6.2)."""
        kid, jwk = jws.protected.get("kid"), jws.protected.get("jwk")
        if (kid is None) == (jwk is None):
            raise malformed("the protected header has exactly one of jwk and kid")
        if kid is None:
            if not handler.by_key:
                raise malformed("this resource is asked with a kid, not with a jwk")
            return signatures.read_key(jwk), None
        if not handler.by_account:
            raise malformed("this resource is asked with a jwk, not with a kid")
        prefix = call.at("account", "")
        account = await self._objects.account(kid.removeprefix(prefix)) if str(kid).startswith(prefix) else None
        if account is None:
            raise Problem("accountDoesNotExist", "the kid names no account of this server")
        if account.status is not Status.VALID:
            raise Problem("unauthorized", f"the account is {account.status}")
        return signatures.read_key(account.jwk), account

    async def _reread(self, account: Account | None) -> Account | None:
        return await self._objects.account(account.account_id) if account else None

    async def _commit(self, signed: Signed, writes: Writes = ()) -> None:
        if signed.writes or writes:
            await self._store.commit((*signed.writes, *writes))

    # Accounts (section 7.3)

    async def new_account(self, signed: Signed) -> Response:
        wish = signed.wish
        existing = await self._objects.account_of_key(signed.key.thumbprint)
        if existing is not None:
            if existing.status is not Status.VALID:
                raise Problem("unauthorized", f"the account is {existing.status}")
            await self._commit(signed)
            return self._show_account(signed.call, existing, 200)
        if wish.get("onlyReturnExisting") is True:
            raise Problem("accountDoesNotExist", "there is no account with this key")
        binding = wish.get("externalAccountBinding")
        external = None
        if binding is not None:
            found = await self._objects.external_key(accounts.binding_key_id(binding))
            external = accounts.check_binding(binding, signed.key, signed.call.url, found, now())
        outcome = accounts.open_account(signed.key, wish, external, self._settings(), account_id=random_id(), now=now())
        await self._commit(signed, outcome.writes)
        return self._show_account(signed.call, outcome.answer, 201)

    async def account(self, signed: Signed) -> Response:
        if signed.call.parts[1] != signed.owner.account_id:
            raise Problem("unauthorized", "this is another account")
        wish = signed.wish if signed.jws.payload else {}
        outcome = accounts.change_account(signed.owner, wish, now=now())
        await self._commit(signed, outcome.writes)
        return self._show_account(signed.call, outcome.answer, 200)

    async def key_change(self, signed: Signed) -> Response:
        inner = signatures.parse(signed.jws.payload)
        url = signed.call.at("account", signed.owner.account_id)
        outcome = accounts.change_key(signed.owner, inner, signed.call.url, url, now=now())
        holder = await self._objects.account_of_key(outcome.answer.thumbprint)
        if holder is not None:
            where = (("Location", signed.call.at("account", holder.account_id)),)
            raise Problem("malformed", "another account has this key", status=409, headers=where)
        await self._commit(signed, outcome.writes)
        account = await self._reread(signed.account)
        return self._show_account(signed.call, account or signed.owner, 200)

    def _show_account(self, call: Call, account: Account, status: int) -> Response:
        url = call.at("account", account.account_id)
        content: dict[str, Any] = {
            "status": account.status, "contact": list(account.contact), "orders": f"{url}/orders",
        }  # fmt: skip
        if account.terms_agreed:
            content["termsOfServiceAgreed"] = True
        return _json(content, status, ("Location", url))

    # Orders (section 7.4)

    async def new_order(self, signed: Signed) -> Response:
        wish = signed.wish
        identifiers = orders.read_identifiers(wish.get("identifiers"), self._settings().validation)
        if wish.get("notBefore") is not None:
            raise malformed("notBefore is not offered: a certificate begins when it is made")
        values = [each.value.removeprefix("*.") for each in identifiers]
        proven = await self._objects.valid_authorizations(signed.owner.account_id, values)
        profile = self._profile(signed.call, wish.get("profile"))
        orders.require_allowed(
            identifiers, await self._requester(signed.owner), profile, self._domain(),
            self._issuing.issuers()[profile.issuer],
        )  # fmt: skip
        outcome = orders.make_order(
            signed.owner, identifiers, profile, [each for each in proven if each.ahead],
            not_after=_time(wish.get("notAfter")), replaces=None, now=now(),
        )  # fmt: skip
        await self._commit(signed, outcome.writes)
        return await self._show_order(signed.call, outcome.answer, 201)

    async def _requester(self, account: Account) -> Requester:
        """Who an account is to the policy."""
        external = await self._objects.external_key(account.external_key) if account.external_key else None
        return orders.requester_of(account, external)

    def _profile(self, call: Call, wanted: Any) -> Profile:
        offered = self._offered(call)
        if wanted is None:
            return offered[0]
        for each in offered:
            if each.name == wanted:
                return each
        raise Problem("invalidProfile", f"profiles are {', '.join(each.name for each in offered)} here")

    async def order(self, signed: Signed) -> Response:
        found = await self._own_order(signed)
        await self._commit(signed)
        return await self._show_order(signed.call, found, 200)

    async def finalize(self, signed: Signed) -> Response:
        found = await self._own_order(signed)
        encoded = signed.wish.get("csr")
        if not isinstance(encoded, str):
            raise malformed("finalize has a csr")
        csr_der = signatures.decode(encoded, "csr")
        if found.request_hash == orders.request_hash(csr_der):  # asked again: the same answer
            await self._commit(signed)
            return await self._show_order(signed.call, found, 200)
        authorizations = await self._objects.authorizations(found.authorizations)
        approval = orders.approve(
            found, authorizations, csr_der, signed.key.key, self._domain(), await self._requester(signed.owner),
            now=now(),
        )  # fmt: skip
        intent = service.intend([approval], self._domain(), self._issuing.issuers(), now())
        under_way = orders.processing(found, csr_der, intent.drafts[0].draft.serial)
        done: list[Order] = []

        def fulfil(leaves: tuple[Leaf, ...]) -> Writes:
            done.append(orders.fulfilled(found, csr_der, leaves[0].certificate.serial))
            return (Saved(done[0]),)

        await self._issuing.issue(Intent((*signed.writes, under_way, *intent.writes), intent.drafts), also=fulfil)
        return await self._show_order(signed.call, done[0], 200)

    async def _own_order(self, signed: Signed) -> Order:
        found = await self._objects.order(signed.call.parts[1])
        if found is None or found.account_id != signed.owner.account_id:
            raise Problem("malformed", "there is no such order", status=404)
        return found

    async def _show_order(self, call: Call, order: Order, status: int) -> Response:
        authorizations = await self._objects.authorizations(order.authorizations)
        moment = now()
        state = order_status(order, authorizations, moment)
        url = call.at("order", order.order_id)
        content: dict[str, Any] = {
            "status": state,
            "expires": _text(order.expires),
            "identifiers": [each.to_json() for each in order.identifiers],
            "authorizations": [call.at("authz", each) for each in order.authorizations],
            "finalize": f"{url}/finalize",
            "profile": order.profile,
        }
        if order.not_after:
            content["notAfter"] = _text(order.not_after)
        if order.replaces:
            content["replaces"] = order.replaces
        error = order_error(order, authorizations, moment)
        if error:
            content["error"] = error
        if state is Status.VALID and order.serial:
            content["certificate"] = call.at("cert", order.serial)
        return _json(content, status, ("Location", url))

    # Authorizations and challenges (section 7.5)

    async def new_authorization(self, signed: Signed) -> Response:
        identifier = orders.read_identifier(signed.wish.get("identifier"), self._settings().validation)
        if identifier.value.startswith("*."):
            raise Problem("rejectedIdentifier", "a wildcard is authorized by an order only", identifier=identifier)
        made = orders.make_authorization(signed.owner, identifier, now=now(), ahead=True)
        await self._commit(signed, (Saved(made),))
        return self._show_authorization(signed.call, made, 201)

    async def authorization(self, signed: Signed) -> Response:
        found = await self._own_authorization(signed)
        if signed.jws.payload and signed.wish.get("status") == Status.DEACTIVATED:
            outcome = challenges.withdraw(found, now=now())
            await self._commit(signed, outcome.writes)
            return self._show_authorization(signed.call, outcome.answer, 200)
        await self._commit(signed)
        return self._show_authorization(signed.call, found, 200)

    async def challenge(self, signed: Signed) -> Response:
        found = await self._own_authorization(signed)
        challenge = found.challenge(signed.call.parts[2])
        if challenge is None:
            raise Problem("malformed", "there is no such challenge", status=404)
        if signed.jws.payload:
            outcome = challenges.start(found, challenge, now=now())
            await self._commit(signed, outcome.writes)
            if outcome.answer:
                self._look(found.authorization_id, challenge, found.identifier, signed.key.thumbprint)
                challenge = replace(challenge, status=Status.PROCESSING)
        else:
            await self._commit(signed)
        up = (("Link", f'<{signed.call.at("authz", found.authorization_id)}>;rel="up"'),)
        waiting = (("Retry-After", str(_POLL_SECONDS)),) if challenge.status is Status.PROCESSING else ()
        return _json(_challenge(signed.call, found, challenge), 200, *up, *waiting)

    def _look(self, authorization_id: str, challenge: Challenge, identifier: Identifier, thumbprint: str) -> None:
        task = asyncio.get_running_loop().create_task(
            self._validate(authorization_id, challenge, identifier, thumbprint)
        )
        self._probing.add(task)
        task.add_done_callback(self._probing.discard)

    async def _validate(
        self, authorization_id: str, challenge: Challenge, identifier: Identifier, thumbprint: str
    ) -> None:
        """Look whether the client controls the name, and write down what was seen."""
        failure: Problem | None = None
        try:
            await self._probe(challenge.kind, identifier, challenge.token, thumbprint)
        except Problem as problem:
            failure = problem
        except Exception as error:  # noqa: BLE001  # a mistake of ours must not leave the challenge hanging
            self._on_bug(error)
            failure = Problem("serverInternal", "the server made a mistake while it looked")
        for _ in range(_TRIES):
            current = await self._objects.authorization(authorization_id)
            if current is None:
                return
            try:
                await self._store.commit(challenges.settle(current, challenge.kind, failure, now=now()).writes)
            except Conflict:
                continue
            return

    async def _own_authorization(self, signed: Signed) -> Authorization:
        found = await self._objects.authorization(signed.call.parts[1])
        if found is None or found.account_id != signed.owner.account_id:
            raise Problem("malformed", "there is no such authorization", status=404)
        return found

    def _show_authorization(self, call: Call, authorization: Authorization, status: int) -> Response:
        state = authorization_status(authorization, now())
        shown = authorization.challenges
        if state is Status.VALID:  # section 7.1.4: then only the one that succeeded
            shown = tuple(each for each in shown if each.status is Status.VALID)
        content: dict[str, Any] = {
            "status": state,
            "identifier": authorization.identifier.to_json(),
            "expires": _text(authorization.expires),
            "challenges": [_challenge(call, authorization, each) for each in shown],
        }
        if authorization.wildcard:
            content["wildcard"] = True
        headers = [("Location", call.at("authz", authorization.authorization_id))]
        if any(each.status is Status.PROCESSING for each in shown):
            headers.append(("Retry-After", str(_POLL_SECONDS)))
        return _json(content, status, *headers)

    # Certificates (section 7.4.2)

    async def certificate(self, signed: Signed) -> Response:
        serial, *number = signed.call.parts[1:]
        found = await self._directory.issued(serial)
        by = await self._directory.requested_by(serial)
        if found is None or by != f"account/{signed.owner.account_id}":
            raise Problem("malformed", "there is no such certificate", status=404)
        await self._commit(signed)
        chains = self._chains(found)
        wanted = int(number[0]) if number and number[0].isdecimal() else 0
        if wanted >= len(chains):
            raise Problem("malformed", "there is no such chain", status=404)
        others = [
            ("Link", f'<{signed.call.at("cert", serial, *([str(each)] if each else []))}>;rel="alternate"')
            for each in range(len(chains))
            if each != wanted
        ]
        return Response(200, to_pem((found, *chains[wanted])), _PEM, tuple(others))

    # Answers

    def _with_headers(self, call: Call, answer: Response) -> Response:
        """A fresh nonce, and the way back to the directory (sections 6.5 and 7.1)."""
        headers = answer.headers
        if call.parts != ("directory",):
            headers = (*headers, ("Link", f'<{call.base}{call.scope}directory>;rel="index"'))
        if call.request.method == "POST" or call.parts == ("new-nonce",):
            headers = (*headers, ("Replay-Nonce", self._nonces.mint()))
        return replace(answer, headers=headers)


@dataclass(frozen=True)
class _Resource:
    """How a resource is asked: with `kid` or `jwk`; `by_get` True: by POST-as-GET only, None: either way."""

    answer: _Handler
    by_account: bool = True
    by_key: bool = False
    by_get: bool | None = False


_RESOURCES: Mapping[tuple[str, ...], _Resource] = {
    ("new-account",): _Resource(AcmeDoor.new_account, by_account=False, by_key=True),
    ("new-order",): _Resource(AcmeDoor.new_order),
    ("new-authz",): _Resource(AcmeDoor.new_authorization),
    ("key-change",): _Resource(AcmeDoor.key_change),
    ("account", "*"): _Resource(AcmeDoor.account, by_get=None),
    ("order", "*"): _Resource(AcmeDoor.order, by_get=True),
    ("order", "*", "finalize"): _Resource(AcmeDoor.finalize),
    ("authz", "*"): _Resource(AcmeDoor.authorization, by_get=None),
    ("challenge", "*", "*"): _Resource(AcmeDoor.challenge, by_get=None),
    ("cert", "*"): _Resource(AcmeDoor.certificate, by_get=True),
    ("cert", "*", "*"): _Resource(AcmeDoor.certificate, by_get=True),
}
"""What is asked by POST. A star stands for one part of the path."""


def _handler(parts: tuple[str, ...]) -> _Resource | None:
    for pattern, resource in _RESOURCES.items():
        if len(pattern) == len(parts) and all(p in ("*", part) for p, part in zip(pattern, parts, strict=True)):
            return resource
    return None


def _take_apart(request: Request) -> Call:
    base = f"https://{request.headers.get('host', 'localhost')}{PREFIX}"
    parts = tuple(request.path.removeprefix(PREFIX).split("/"))
    if len(parts) > 2 and parts[0] in ("ca", "profile"):
        return Call(request, base, f"{parts[0]}/{parts[1]}/", parts[2:])
    return Call(request, base, "", parts)


def _refusal(problem: Problem) -> Response:
    return Response(problem.status, problem.encode(), CONTENT_TYPE, problem.headers)


def _json(content: Mapping[str, Any], status: int = 200, *headers: tuple[str, str]) -> Response:
    return Response(status, json.dumps(content).encode(), _JSON, headers)


def _challenge(call: Call, authorization: Authorization, challenge: Challenge) -> dict[str, Any]:
    content: dict[str, Any] = {
        "type": challenge.kind,
        "url": call.at("challenge", authorization.authorization_id, challenge.kind),
        "token": challenge.token,
        "status": challenge.status,
    }
    if challenge.validated:
        content["validated"] = _text(challenge.validated)
    if challenge.error:
        content["error"] = challenge.error
    return content


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: Any) -> datetime | None:
    """A time as RFC 3339 writes it. Raises `Problem`."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        raise malformed("a time is written as in 2030-01-01T00:00:00Z") from None
