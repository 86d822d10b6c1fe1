"""Acts about administrators, and how one is known on the HTTPS door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handsel.authority import administration
from handsel.authority.adapters.administration_tables import Administrators
from handsel.authority.adapters.issuing import Issuing, now
from handsel.authority.administration import Administrator, Role
from handsel.authority.model import Domain
from handsel.door.asgi import Request
from handsel.errors import Conflict, NotAuthorised, UsageError
from handsel.pki.certificate import Certificate, to_pem
from handsel.store.outcome import Store
from handsel.wiring.admin.acts import Act, Acts, Asked, WhoAsks

IsRevoked = Callable[[Certificate], bool]


def acts(store: Store, administrators: Administrators, issuing: Issuing, domain: Callable[[], Domain]) -> Acts:
    """Who administers this authority."""

    async def everybody(_asked: Asked) -> Any:
        return [_shown(each) for each in await administrators.all()]

    async def add(asked: Asked) -> Any:
        wish = asked.wish
        role = Role.read(wish.get("role"))
        intent = administration.add(
            str(wish.get("name", "")),
            role,
            asked.csr_der,
            by=asked.by,
            domain=domain(),
            issuers=issuing.issuers(),
            now=now(),
        )
        (leaf,) = await issuing.issue(intent)
        return {
            "chain": to_pem(leaf.chain).decode(),
            "roots": to_pem(issuing.issuers().roots).decode(),
            "not_after": leaf.certificate.not_after.isoformat(),
        }

    async def remove(asked: Asked) -> Any:
        name = str(asked.wish.get("name", ""))
        try:
            await store.commit(administration.remove(name, by=asked.by, now=now()).writes)
        except Conflict as error:
            raise UsageError(str(error)) from error
        return {}

    return {
        ("GET", "/v1/administrators"): Act(Role.VIEWER, everybody),
        ("POST", "/v1/administrators"): Act(Role.ADMINISTRATOR, add),
        ("POST", "/v1/administrators/remove"): Act(Role.ADMINISTRATOR, remove),
    }


def by_certificate(administrators: Administrators, domain: Callable[[], Domain], is_revoked: IsRevoked) -> WhoAsks:
    """On the HTTPS door: whoever shows a certificate of an administrator that still has a role."""

    async def who_asks(request: Request) -> tuple[str, Role]:
        if request.peer is None:
            raise NotAuthorised("this needs an administrator's client certificate")
        certificate = Certificate.of_peer(request.peer)
        identity = certificate.spiffe_id
        name = identity.administrator_name if identity and identity.trust_domain == domain().trust_domain else None
        found = await administrators.named(name) if name else None
        if found is None or is_revoked(certificate):
            raise NotAuthorised(f"{identity} administers nothing here")
        return f"administrator/{found.name}", found.role

    return who_asks


def _shown(who: Administrator) -> dict[str, str]:
    return {"name": who.name, "role": str(who.role), "added": who.added.isoformat(), "added_by": who.added_by}
