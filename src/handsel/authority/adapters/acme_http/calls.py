"""What comes in below `/acme/`, taken apart, and what every handler works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from handsel.acme.jws import Jwk, Jws
from handsel.acme.lifecycle import Status
from handsel.acme.problems import Problem, malformed
from handsel.authority.acme.limits import Bucket, Buckets, TooFew
from handsel.authority.acme.model import Account, ExternalKey
from handsel.authority.acme.orders import requester_of
from handsel.authority.adapters.acme_http.probing import Probing
from handsel.authority.adapters.acme_tables import AcmeObjects
from handsel.authority.adapters.issuing import Issuing
from handsel.authority.adapters.tables import Directory
from handsel.authority.model import Domain, Requester
from handsel.door.asgi import Request, Response
from handsel.model.authority import Acme, Profile
from handsel.pki.certificate import Certificate
from handsel.store.outcome import Store, Writes

PREFIX = "/acme/"

Chains = Callable[[Certificate], tuple[tuple[Certificate, ...], ...]]
"""The chains that a certificate can be shown with, without itself; the usual one first."""


@dataclass(frozen=True)
class Call:
    """A request below `/acme/`, taken apart: `scope` is empty, or `ca/NAME/` or `profile/NAME/`."""

    request: Request
    base: str
    scope: str
    parts: tuple[str, ...]

    @classmethod
    def of(cls, request: Request) -> Call:
        base = f"https://{request.headers.get('host', 'localhost')}{PREFIX}"
        parts = tuple(request.path.removeprefix(PREFIX).split("/"))
        if len(parts) > 2 and parts[0] in ("ca", "profile"):
            return cls(request, base, f"{parts[0]}/{parts[1]}/", parts[2:])
        return cls(request, base, "", parts)

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

    @cached_property
    def wish(self) -> dict[str, Any]:
        return self.jws.json()

    @property
    def owner(self) -> Account:
        """The account that speaks. Only for calls that were checked to have one."""
        assert self.account is not None  # noqa: S101  # `Speakers.authenticate` saw to it
        return self.account


@dataclass(frozen=True)
class Means:
    """What the handlers work with. `domain` and `settings` give those of that moment."""

    store: Store
    objects: AcmeObjects
    directory: Directory
    issuing: Issuing
    domain: Callable[[], Domain]
    settings: Callable[[], Acme]
    probing: Probing
    chains: Chains
    buckets: Buckets

    async def commit(self, signed: Signed, writes: Writes = ()) -> None:
        """Make what a call leads to durable, its nonce with it."""
        if signed.writes or writes:
            await self.store.commit((*signed.writes, *writes))

    async def commit_counted(self, signed: Signed, wanted: Sequence[Bucket], writes: Writes) -> None:
        """The same for what has limits. Raises `Problem` (`rateLimited`) when there was too much of it lately."""
        taken = self.buckets.take(wanted, signed.call.at("limits"))
        try:
            await self.commit(signed, (*writes, *taken))
        except TooFew as error:
            self.buckets.learn(error)
            raise
        self.buckets.keep(taken)

    async def again(self, signed: Signed) -> Signed:
        """The call, with its account as it is now. Raises `Problem` when that was closed meanwhile."""
        if signed.account is None:
            return signed
        account = await self.objects.account(signed.account.account_id)
        if account is None or account.status is not Status.VALID:
            raise Problem("unauthorized", "the account was closed")
        return replace(signed, account=account)

    def offered(self, call: Call) -> tuple[Profile, ...]:
        """The profiles of a directory: all, those of one CA, or one (the first is the usual one)."""
        profiles = self.domain().profiles.for_acme()
        kind, _, name = call.scope.strip("/").partition("/")
        match kind:
            case "ca":
                profiles = tuple(each for each in profiles if each.issuer == name)
            case "profile":
                profiles = tuple(each for each in profiles if each.name == name)
        if not profiles:
            raise Problem("malformed", "there is no such directory", status=404)
        return profiles

    async def external_key(self, account: Account) -> ExternalKey | None:
        """The key that opened an account: it limits what the account may have."""
        return await self.objects.external_key(account.external_key) if account.external_key else None

    async def requester(self, account: Account) -> Requester:
        """Who an account is to the policy."""
        return requester_of(account, await self.external_key(account))


Handler = Callable[[Means, Signed], Awaitable[Response]]


@dataclass(frozen=True)
class Resource:
    """How a resource is asked: with `kid` or `jwk`; `by_get` True: by POST-as-GET only, None: either way."""

    answer: Handler
    by_account: bool = True
    by_key: bool = False
    by_get: bool | None = False


Resources = Mapping[tuple[str, ...], Resource]
"""What is asked by POST. A star stands for one part of the path."""


def text_of(moment: datetime) -> str:
    """A time as RFC 3339 writes it, in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_of(text: Any) -> datetime | None:
    """A time as RFC 3339 writes it. Raises `Problem`."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        raise malformed("a time is written as in 2030-01-01T00:00:00Z") from None
