"""The door of the agents that have joined: renew, sign. Reads, hands writes to the store, answers last."""

from __future__ import annotations

from collections.abc import Callable

from handsel.authority import service
from handsel.authority.adapters.issuing import Issuing, now
from handsel.authority.adapters.tables import Directory
from handsel.authority.model import Domain, Host, Standing
from handsel.door.asgi import Handler, Request, Response
from handsel.errors import NotAuthorised, ProtocolError
from handsel.link.messages import (
    PREFIX,
    VERSION,
    VERSION_HEADER,
    Chain,
    RenewRequest,
    SignBatchRequest,
    SignBatchResponse,
)
from handsel.pki.certificate import Certificate, to_pem

PROTOBUF = "application/x-protobuf"


class AgentsDoor:
    """Handlers for the agents. `is_revoked` says whether a certificate that is shown was taken back."""

    def __init__(
        self, issuing: Issuing, directory: Directory, domain: Callable[[], Domain],
        is_revoked: Callable[[Certificate], bool],
    ) -> None:  # fmt: skip
        self._is_revoked = is_revoked
        self._issuing = issuing
        self._directory = directory
        self._domain = domain

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {
            ("GET", f"{PREFIX}/roots"): self.roots,
            ("POST", f"{PREFIX}/renew"): self.renew,
            ("POST", f"{PREFIX}/sign-batch"): self.sign_batch,
        }

    async def roots(self, _request: Request) -> Response:
        """The roots, for a host that holds a ticket and checks them by its pins."""
        return Response(200, to_pem(self._issuing.issuers().roots), "application/x-pem-file")

    async def renew(self, request: Request) -> Response:
        host = await self.host(request)
        wanted = RenewRequest.decode(request.body)
        intent = service.renew_agent(
            host, wanted.csr, domain=self._domain(), issuers=self._issuing.issuers(), now=now()
        )
        (leaf,) = await self._issuing.issue(intent)
        return Response(200, Chain(leaf.chain).encode(), PROTOBUF)

    async def sign_batch(self, request: Request) -> Response:
        host = await self.host(request)
        wanted = SignBatchRequest.decode(request.body).wanted
        intent = service.sign_workloads(host, wanted, domain=self._domain(), issuers=self._issuing.issuers(), now=now())
        leaves = await self._issuing.issue(intent)
        answer = SignBatchResponse(tuple(leaf.chain for leaf in leaves))
        return Response(200, answer.encode(), PROTOBUF)

    async def host(self, request: Request) -> Host:
        """The host that speaks, by its verified client certificate. Raises `NotAuthorised`."""
        check_version(request)
        if request.peer is None:
            raise NotAuthorised("this call needs an agent's client certificate")
        certificate = Certificate.of_peer(request.peer)
        identity = certificate.spiffe_id
        agent_id = identity.agent_id if identity else None
        host = await self._directory.host(agent_id) if agent_id else None
        if identity is None or identity.trust_domain != self._domain().trust_domain or host is None:
            raise NotAuthorised(f"{identity} is no agent that has joined here")
        if host.standing is Standing.BANNED:
            raise NotAuthorised(f"the agent {host.agent_id} is banned: {host.cause}")
        if self._is_revoked(certificate):
            raise NotAuthorised(f"the certificate {certificate.serial} of the agent {host.agent_id} is revoked")
        return host


def check_version(request: Request) -> None:
    """Refuse an agent that speaks another version of the link."""
    version = request.headers.get(VERSION_HEADER)
    if version != VERSION:
        raise ProtocolError(f"this server speaks version {VERSION} of the link, not {version}")
