"""The way to the server: the connection, and the agent's own certificate, with which it is made."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from handsel.agent import renewal, service
from handsel.agent.adapters.acme.orders import OwnServer
from handsel.agent.adapters.files import AgentFolder
from handsel.agent.adapters.joining import recover
from handsel.agent.model import Enrolment, Holdings, KeyPair
from handsel.errors import HandselError, NotAuthorised, Unreachable
from handsel.link.adapters.http_client import LinkClient
from handsel.link.jwt import JwtRequest, JwtResponse
from handsel.link.messages import RenewRequest
from handsel.pki import csr
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey

_log = structlog.get_logger("handsel.agent")
_LONGEST_PAUSE = timedelta(seconds=10)


class ServerLink:
    """Where `client` leads. `problem` says why the server is away; `refused`: it takes our certificate no more.

    `on_refused` is called when that turns out.
    """

    def __init__(
        self, folder: AgentFolder, enrolment: Enrolment, roots: tuple[Certificate, ...], on_refused: Callable[[], None]
    ) -> None:
        self._folder = folder
        self.enrolment = enrolment
        self.own: KeyPair = folder.own()
        self.problem = ""
        self.refused = False
        self._on_refused = on_refused
        self._back = asyncio.Event()
        self._roots = roots
        self.client = self._connect()

    async def reconnect(self, roots: tuple[Certificate, ...]) -> None:
        """Begin anew, with the certificate and the roots of now. Who speaks over the old connection is cut off."""
        self._roots = roots
        before, self.client = self.client, self._connect()
        await before.close()

    async def close(self) -> None:
        await self.client.close()

    def answered(self) -> None:
        """The server is there."""
        self.problem = ""
        self._back.set()

    async def wait(self, failures: int) -> None:
        """Until it is time to try again, or the server is back."""
        self._back.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause(failures)):
                await self._back.wait()

    async def failed(self, error: HandselError, failures: int) -> None:
        """What was asked was not answered."""
        if str(error) != self.problem:
            _log.warning("the server is away", problem=str(error))
        self.problem = str(error)
        refused = isinstance(error, NotAuthorised) or (failures > 1 and await self._answers_without_certificate())
        if refused and not self.refused:
            self.refused = True
            self._on_refused()

    def is_due(self, holdings: Holdings, now: datetime) -> bool:
        """Whether our own certificate is to be made anew."""
        return self._is_of_no_use(holdings, now) or now >= renewal.due(self.own.leaf, None, holdings.signing)

    async def renew(self, holdings: Holdings, now: datetime) -> None:
        """Our own certificate, with a new key, if it is due; the old one is used until the new one is on disk."""
        if not self.is_due(holdings, now):
            return
        if self._is_of_no_use(holdings, now):
            self.own = await recover(self._folder, self.enrolment, holdings)
            self.refused = False
        else:
            key = PrivateKey.generate()
            answer = await self.client.renew(RenewRequest(csr.build(key, self.own.leaf.spiffe_id)))
            self.own = service.check_pair(key, answer.chain)
        self._folder.save_own(self.own)
        await self.reconnect(holdings.roots)

    async def jwt(self, request: JwtRequest) -> JwtResponse:
        """A JWT-SVID. Raises `Unreachable`, `Refused`, `NotAuthorised`."""
        try:
            return await self.client.jwt(request)
        except Unreachable:  # another server may be there; a token that nobody got harms nobody
            return await self.client.jwt(request)

    def acme(self) -> OwnServer:
        """The server's own ACME directory."""
        return OwnServer(f"{self.enrolment.url}/acme/directory", self._roots, self.enrolment.trust_domain.server_dns)

    def _is_of_no_use(self, holdings: Holdings, now: datetime) -> bool:
        """It has ended, was revoked while this host was banned, or is of a root that was dropped."""
        return self.refused or now >= self.own.leaf.not_after or not service.leads_to(self.own, holdings.roots)

    def _connect(self) -> LinkClient:
        layout, joined = self._folder.layout, self.enrolment
        own = (layout.certificate, layout.key)
        return LinkClient(joined.url, joined.trust_domain, self._roots, own, others=joined.others)

    async def _answers_without_certificate(self) -> bool:
        """Whether the server is there after all: a certificate that it does not take just ends the connection."""
        joined = self.enrolment
        try:
            async with LinkClient(joined.url, joined.trust_domain, self._roots, others=joined.others) as client:
                await client.challenge()
        except HandselError:
            return False
        return True


def pause(failures: int) -> float:
    """Seconds until the server is asked again; not all hosts at the same moment."""
    return renewal.backoff(failures, _LONGEST_PAUSE).total_seconds() * random.uniform(0.8, 1.2)  # noqa: S311
