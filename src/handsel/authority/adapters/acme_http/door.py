"""The ACME door: what may be asked, and how every refusal is told (RFC 8555, sections 6 and 7)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from handsel.acme.problems import Problem
from handsel.authority.acme import recovery
from handsel.authority.acme.limits import Buckets
from handsel.authority.adapters.acme_http import accounts, authorizations, certificates, orders
from handsel.authority.adapters.acme_http.answers import json_answer, refusal, show_directory
from handsel.authority.adapters.acme_http.calls import Call, Chains, Means, Resource, Resources, Signed
from handsel.authority.adapters.acme_http.probing import Probe, Probing
from handsel.authority.adapters.acme_http.speaker import Speakers
from handsel.authority.adapters.acme_tables import AcmeObjects
from handsel.authority.adapters.issuing import Issuing, now
from handsel.authority.adapters.nonces import Nonces, bad_nonce
from handsel.authority.adapters.tables import Directory
from handsel.authority.model import Domain
from handsel.door.asgi import Request, Response
from handsel.errors import Conflict, HandselError, KeyRefused, NonceSpent, Refused
from handsel.model.authority import Acme
from handsel.store.outcome import Store

_TRIES = 3
_FRESH = ("Cache-Control", "no-store")

RESOURCES: Resources = {
    ("new-account",): Resource(accounts.new_account, by_account=False, by_key=True),
    ("new-order",): Resource(orders.new_order),
    ("new-authz",): Resource(authorizations.new_authorization),
    ("key-change",): Resource(accounts.key_change),
    ("revoke-cert",): Resource(certificates.revoke, by_key=True),
    ("account", "*"): Resource(accounts.account, by_get=None),
    ("account", "*", "orders"): Resource(accounts.orders_of, by_get=True),
    ("account", "*", "orders", "*"): Resource(accounts.orders_of, by_get=True),
    ("order", "*"): Resource(orders.order, by_get=True),
    ("order", "*", "finalize"): Resource(orders.finalize),
    ("authz", "*"): Resource(authorizations.authorization, by_get=None),
    ("challenge", "*", "*"): Resource(authorizations.challenge, by_get=None),
    ("cert", "*"): Resource(certificates.certificate, by_get=True),
    ("cert", "*", "*"): Resource(certificates.certificate, by_get=True),
}


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
        self._nonces = nonces
        self._on_bug = on_bug
        self._speakers = Speakers(objects, nonces)
        self._means = Means(
            store, objects, directory, issuing, domain, settings, Probing(store, objects, probe, on_bug), chains,
            Buckets(time.time),
        )  # fmt: skip

    async def recover(self) -> None:
        """After intentions were settled: their orders can be finalized again, and challenges are looked at.

        What is under way here is left alone, so this may be called at any time.
        """
        means = self._means
        left = await means.objects.orders_in_process()
        abandoned = await means.objects.abandoned([each.serial for each in left if each.serial])
        for each in left:
            with contextlib.suppress(Conflict):  # another server was faster
                await means.store.commit(recovery.put_back([each], abandoned, now=now()).writes)
        for authorization in await means.objects.authorizations_in_process():
            account = await means.objects.account(authorization.account_id)
            for challenge in recovery.unseen(authorization, now()):
                if account is not None:
                    means.probing.look(authorization, challenge, account.thumbprint)

    async def stop(self) -> None:
        """Leave off looking at challenges; they are looked at again after the next start."""
        await self._means.probing.stop()

    async def handle(self, request: Request) -> Response:
        """Answer a request; every refusal is a problem document with a fresh nonce (section 6.5)."""
        call = Call.of(request)
        try:
            answer = await self._answer(call)
        except Problem as problem:
            answer = refusal(problem)
        except KeyRefused as refused:  # RFC 8555, section 6.7
            answer = refusal(Problem("badPublicKey", str(refused)))
        except Refused as refused:
            answer = refusal(Problem("rejectedIdentifier", str(refused)))
        except HandselError as error:
            waiting = (("Retry-After", "5"),)
            answer = refusal(Problem("serverInternal", f"{error.code} {error}", status=503, headers=waiting))
        except Exception as error:  # noqa: BLE001  # the last line of defence: the client gets no traceback
            self._on_bug(error)
            answer = refusal(Problem("serverInternal", "the server made a mistake; its log has the details"))
        return self._with_headers(call, answer)

    async def _answer(self, call: Call) -> Response:
        resource = find(call.parts)
        match (call.request.method, call.parts):
            case ("GET" | "HEAD", ("directory",)):
                return show_directory(call, self._means.settings(), self._means.offered(call))
            case ("HEAD", ("new-nonce",)):
                return Response(200, headers=(_FRESH,))
            case ("GET", ("new-nonce",)):
                return Response(204, headers=(_FRESH,))
            case ("GET" | "HEAD", ("renewal-info", _)):
                return await certificates.renewal_info(self._means, call)
            case ("GET" | "HEAD", ("limits",)):
                return self._limits()
            case ("POST", _) if resource is not None:
                return await self._answer_signed(call, resource)
            case (_, parts) if resource is not None or parts[0] in _WITHOUT_SIGNATURE:
                raise Problem("malformed", "this resource is not asked by this method (section 6.3)", status=405)
            case _:
                raise Problem("malformed", "there is nothing here", status=404)

    async def _answer_signed(self, call: Call, resource: Resource) -> Response:
        signed = await self._speakers.authenticate(call, resource)
        for tries_left in reversed(range(_TRIES)):
            try:
                return await resource.answer(self._means, signed)
            except NonceSpent:  # another server of the same database took it
                raise bad_nonce() from None
            except Conflict:  # somebody else changed what this was decided on: decide again
                if not tries_left:
                    raise
                signed = await self._means.again(signed)
            except (Problem, Refused):  # the nonce is used even so
                await self._spend(signed)
                raise
        raise AssertionError  # the last try answers or raises

    async def _spend(self, signed: Signed) -> None:
        with contextlib.suppress(NonceSpent):
            await self._means.commit(signed)

    def _limits(self) -> Response:
        """What the `help` of a refusal points at (section 6.6)."""
        limits = self._means.settings().limits
        return json_answer({
            "accountsPerAddressAndHour": limits.accounts_per_address,
            "ordersPerAccountAndHour": limits.orders_per_account,
            "ordersPerNameAndHour": limits.orders_per_name,
        })  # fmt: skip

    def _with_headers(self, call: Call, answer: Response) -> Response:
        """A fresh nonce, and the way back to the directory (sections 6.5 and 7.1)."""
        headers = answer.headers
        if call.parts != ("directory",):
            headers = (*headers, ("Link", f'<{call.base}{call.scope}directory>;rel="index"'))
        if call.request.method == "POST" or call.parts == ("new-nonce",):
            headers = (*headers, ("Replay-Nonce", self._nonces.mint()))
        return replace(answer, headers=headers)


_WITHOUT_SIGNATURE = ("directory", "new-nonce", "renewal-info", "limits")


_BY_SHAPE = {(pattern[0], len(pattern)): (pattern, resource) for pattern, resource in RESOURCES.items()}


def find(parts: tuple[str, ...]) -> Resource | None:
    """The resource at a path."""
    pattern, resource = _BY_SHAPE.get((parts[0], len(parts)), ((), None))
    return resource if all(p in ("*", part) for p, part in zip(pattern, parts, strict=False)) else None
