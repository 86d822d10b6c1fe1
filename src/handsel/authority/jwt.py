"""JWT-SVIDs: which key of the trust domain signs them and since when, who may have one, and the token itself.

Each server has keys of its own, which the trust domain's bundle shows side by side. A key lives by time alone: it is
shown well before it signs, for peers that look every now and then, and until its last token has ended.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

from handsel.authority import ra
from handsel.authority.model import Domain, Host
from handsel.authority.spiffe_bundle import JwtAuthority
from handsel.errors import Bug, Refused, StateError
from handsel.model.federation import SpiffeSettings
from handsel.pki.keys import PrivateKey
from handsel.pki.names import SpiffeId
from handsel.store.journal import entry
from handsel.store.outcome import Outcome

SHOWN_HINTS, PREPARED_HINTS = 4, 5
"""A new key is shown so many refresh hints before it signs (SPIFFE Federation, section 4.1: three to five), and made so
many before the one that it follows stops."""
_MOST_AUDIENCES, _LONGEST_AUDIENCE = 16, 2048


@dataclass(frozen=True)
class JwtKey:
    """A key that signs JWT-SVIDs from `active` to before `retires`, and is shown from `published` to `ends`.

    `server`: whose it is, by its log in the journal. `stored`: the name of its file there.
    """

    authority: JwtAuthority
    server: str
    stored: str
    published: datetime
    active: datetime
    retires: datetime
    ends: datetime

    @property
    def kid(self) -> str:
        return self.authority.kid

    @property
    def public(self) -> str:
        """The public key as text, for a table."""
        return json.dumps(self.authority.jwk, sort_keys=True)


@dataclass(frozen=True)
class KeyShown:
    """A key is shown from now on."""

    key: JwtKey


@dataclass(frozen=True)
class KeysEnded:
    """These keys are shown no more."""

    kids: tuple[str, ...]


@dataclass(frozen=True)
class Token:
    """What may be signed: whose token, for whom, until when, and its id in the journal."""

    identity: SpiffeId
    audiences: tuple[str, ...]
    issued: datetime
    expires: datetime
    token_id: str
    key: JwtKey


def public_of(key: PrivateKey) -> JwtAuthority:
    """The public half of a key, called by its thumbprint (RFC 7638)."""
    handle = _jose(key)
    return JwtAuthority.of(handle.thumbprint(), handle.as_dict(private=False))


def signing(keys: Sequence[JwtKey], server: str, now: datetime) -> JwtKey | None:
    """The key that a server signs with now: the newest that may."""
    mine = [each for each in keys if each.server == server and each.active <= now < each.retires]
    return max(mine, key=lambda each: each.active, default=None)


def needs_key(keys: Sequence[JwtKey], server: str, settings: SpiffeSettings, now: datetime) -> bool:
    """Whether a server should make its next key now."""
    last = max((each.retires for each in keys if each.server == server), default=None)
    return last is None or now >= last - PREPARED_HINTS * settings.refresh_hint


def next_moment(keys: Sequence[JwtKey], server: str, settings: SpiffeSettings, now: datetime) -> datetime:
    """When a server's keys are to be looked at again: one is to be made, one retires, or one is shown no more."""
    mine = [each for each in keys if each.server == server]
    lead = PREPARED_HINTS * settings.refresh_hint
    moments = [moment for each in mine for moment in (each.retires - lead, each.retires)]
    moments += [each.ends for each in keys]
    return min((each for each in moments if each > now), default=now)


def show_key(
    key: PrivateKey, keys: Sequence[JwtKey], *, server: str, stored: str, settings: SpiffeSettings, now: datetime
) -> Outcome[JwtKey]:
    """Show a new key. It signs once peers have had time to see it; at once only when no other does."""
    someone_signs = any(each.active <= now < each.retires for each in keys)
    active = now + SHOWN_HINTS * settings.refresh_hint if someone_signs else now
    retires = active + settings.jwt_key_lifetime
    made = JwtKey(public_of(key), server, stored, now, active, retires, retires + settings.jwt_lifetime)
    line = entry("jwt key", now, kid=made.kid, active=active.isoformat(), retires=retires.isoformat(), server=server)
    return Outcome((KeyShown(made), line), made)


def end_keys(keys: Sequence[JwtKey], now: datetime) -> Outcome[tuple[JwtKey, ...]]:
    """Stop showing keys whose last token has ended; the answer has those that stay."""
    ended = tuple(each.kid for each in keys if now >= each.ends)
    stay = tuple(each for each in keys if now < each.ends)
    if not ended:
        return Outcome((), stay)
    return Outcome((KeysEnded(ended), entry("jwt keys ended", now, kids=",".join(ended))), stay)


def approve(
    host: Host, service: str, audiences: Sequence[str], *, keys: Sequence[JwtKey], server: str, domain: Domain,
    settings: SpiffeSettings, token_id: str, now: datetime,
) -> Outcome[Token]:  # fmt: skip
    """A token for a service that is registered to the asking host. Raises `Refused`, `NotAuthorised`, `StateError`.

    The line that records it must be durable before the token is signed.
    """
    ra.check_standing(host)
    identity = domain.identities.get(service)
    if identity is None:
        raise Refused(f"there is no service {service[:63]!r} in the mesh")
    if not host.may_run(service):
        raise Refused(
            f"the service {service!r} is not registered to host {host.agent_id}",
            next_step=f"join the host with a ticket for it: handsel agent ticket --services {service}",
        )
    found = _audiences(audiences)
    key = signing(keys, server, now)
    if key is None:
        raise StateError("this server has no key that signs JWT-SVIDs yet", next_step="ask another server, or wait")
    # Whole seconds, as the token says them; never past the time until which the key is shown.
    issued = now.replace(microsecond=0)
    expires = min(issued + settings.jwt_lifetime, key.ends.replace(microsecond=0))
    token = Token(identity, found, issued, expires, token_id, key)
    line = entry(
        "jwt", now, jti=token_id, identity=str(identity), audience=" ".join(found), kid=key.kid,
        expires=expires.isoformat(), by=f"agent/{host.agent_id}",
    )  # fmt: skip
    return Outcome((line,), token)


def sign(token: Token, key: PrivateKey) -> str:
    """The token as it travels (JWT-SVID, sections 2 to 4). Call it only once its line in the journal is durable."""
    header = {"alg": "ES256", "kid": token.key.kid, "typ": "JWT"}
    claims = {
        "sub": str(token.identity),
        "aud": list(token.audiences),
        "iat": int(token.issued.timestamp()),
        "exp": int(token.expires.timestamp()),
        "jti": token.token_id,
    }
    return jwt.encode(header, claims, _jose(key), algorithms=["ES256"])


def _jose(key: PrivateKey) -> ECKey:
    if not isinstance(key.handle, ec.EllipticCurvePrivateKey):
        raise Bug("JWT-SVIDs are signed by keys on P-256")
    return ECKey.import_key(key.handle)


def _audiences(audiences: Sequence[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(audiences))
    if not 1 <= len(found) <= _MOST_AUDIENCES:
        raise Refused(f"a JWT-SVID is for one to {_MOST_AUDIENCES} audiences")
    if not all(1 <= len(each) <= _LONGEST_AUDIENCE and each.isprintable() for each in found):
        raise Refused(f"an audience has 1 to {_LONGEST_AUDIENCE} printable characters")
    return found
