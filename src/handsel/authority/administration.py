"""Who may do what to the authority: administrators, each with a client certificate and a role."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from handsel.authority import ra, service
from handsel.authority.model import Approval, Domain, Issuers
from handsel.authority.profile import ADMINISTRATOR
from handsel.authority.service import Intent, Serial, random_serial
from handsel.errors import UsageError
from handsel.pki.names import Names
from handsel.store.journal import entry
from handsel.store.outcome import Outcome

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Role(IntEnum):
    """What somebody may do; each role may do what those before it may.

    `VIEWER` reads what is no secret. `OPERATOR` makes tickets, applies, revokes and bans. `ADMINISTRATOR` also rotates
    CAs, reads secrets and says who has which role.
    """

    VIEWER = 1
    OPERATOR = 2
    ADMINISTRATOR = 3

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def read(cls, text: object) -> Role:
        """The role of this name. Raises `UsageError`."""
        for role in cls:
            if str(role) == text:
                return role
        raise UsageError(f"there is no role {text!r}", next_step=f"roles are {', '.join(str(role) for role in cls)}")


@dataclass(frozen=True)
class Administrator:
    """Somebody with a role. The name is the last part of the SPIFFE ID in the certificate."""

    name: str
    role: Role
    added: datetime
    added_by: str


@dataclass(frozen=True)
class AdministratorAdded:
    """Somebody has a role from now on, or another one than before."""

    administrator: Administrator


@dataclass(frozen=True)
class AdministratorRemoved:
    """Somebody has no role any more. Conflicts when they had none."""

    name: str


def add(
    name: str, role: Role, csr_der: bytes, *, by: str, domain: Domain, issuers: Issuers, now: datetime,
    serial: Serial = random_serial,
) -> Intent:  # fmt: skip
    """A certificate for an administrator; the role begins in the commit that intends it. Raises `UsageError`."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name: use lower-case letters, digits, dots and dashes, at most 63")
    request = ra.read_request(csr_der)
    profile = domain.profiles[ADMINISTRATOR]
    ra.require_kind(request, profile)
    identity = domain.trust_domain.administrator(name)
    names = Names(uri=(str(identity),))
    approval = Approval(names, identity, request.public_key, profile, profile.lifetime, f"administrator/{by}")
    intent = service.intend([approval], domain, issuers, now, serial)
    line = entry("administrator", now, name=name, role=str(role), by=by)
    return Intent((AdministratorAdded(Administrator(name, role, now, by)), line, *intent.writes), intent.drafts)


def remove(name: str, *, by: str, now: datetime) -> Outcome[None]:
    """Take a role away. The certificate is of no use from then on."""
    return Outcome((AdministratorRemoved(name), entry("administrator removed", now, name=name, by=by)), None)
