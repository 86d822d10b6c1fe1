"""JWT-SVIDs at the host: which are kept for a while, and whether one that somebody shows can be believed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from handsel.errors import Refused, UsageError
from handsel.link.jwt import JwtResponse
from handsel.pki.names import SpiffeId

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
"""JWT-SVID, section 2.1: these and no other; neither `none` nor a MAC that a public key could be taken for."""
LONGEST_TOKEN = 16 << 10
MOST_AUDIENCES, LONGEST_AUDIENCE = 16, 2048
_DEEPEST = 16
_LATEST = 253402300799  # the last second of the year 9999
_MOST_KEPT = 256

_KINDS: Mapping[str, type[RSAKey | ECKey]] = {"RSA": RSAKey, "EC": ECKey}
_LARGEST_NUMBER = 1 << 1023
"""What a number of `google.protobuf.Struct`, a double, can hold."""


@dataclass(frozen=True)
class Kept:
    """The tokens of one workload, by audiences: each is handed out again until half of its life is over."""

    tokens: Mapping[frozenset[str], tuple[JwtResponse, datetime]] = field(default_factory=dict)

    def of(self, audiences: Sequence[str], now: datetime) -> JwtResponse | None:
        """The one for these audiences, if it is young enough."""
        token, fresh_until = self.tokens.get(frozenset(audiences), (None, now))
        return token if now < fresh_until else None

    def having(self, audiences: Sequence[str], token: JwtResponse, now: datetime) -> Kept:
        """These and one more; what is too old goes, and of too many the oldest."""
        fresh = {key: each for key, each in self.tokens.items() if now < each[1]}
        fresh.pop(frozenset(audiences), None)
        fresh[frozenset(audiences)] = token, now + (token.expires - now) / 2
        return Kept(dict(list(fresh.items())[-_MOST_KEPT:]))


def check_audiences(audiences: Sequence[str]) -> tuple[str, ...]:
    """The audiences of a request, each once. Raises `UsageError`."""
    found = tuple(dict.fromkeys(audiences))
    if not 1 <= len(found) <= MOST_AUDIENCES:
        raise UsageError(f"a JWT-SVID is for one to {MOST_AUDIENCES} audiences")
    if not all(1 <= len(each) <= LONGEST_AUDIENCE for each in found):
        raise UsageError(f"an audience has 1 to {LONGEST_AUDIENCE} characters")
    return found


def validate(token: str, audience: str, bundles: Mapping[str, bytes], now: datetime) -> tuple[SpiffeId, dict[str, Any]]:
    """Whose token this is, and its claims (JWT-SVID, section 5). Raises `Refused` with the reason.

    `bundles` has a JWKS by the SPIFFE ID of each trust domain that is believed: a token is checked with the keys of the
    trust domain that its subject is of, and with no other.
    """
    if not audience:
        raise Refused("the audience is missing")
    if not 0 < len(token) <= LONGEST_TOKEN:
        raise Refused(f"a token has 1 to {LONGEST_TOKEN} characters")
    header, subject = _before_it_is_believed(token)
    key = _key(header, subject, bundles)
    try:
        claims = jwt.decode(token, key, algorithms=ALGORITHMS).claims
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise Refused(f"the token is not signed by {subject.trust_domain}: {str(error)[:200]}") from error
    _check_claims(claims, audience, now)
    return subject, dict(claims)


def _before_it_is_believed(token: str) -> tuple[Mapping[str, Any], SpiffeId]:
    """Header and subject: they say only which key to check with."""
    try:
        extracted = jws.extract_compact(token.encode())
        header, claims = extracted.headers(), json.loads(extracted.payload)
        subject = SpiffeId.parse(claims["sub"])
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"this is no JWT-SVID: {str(error)[:200]}") from error
    if not subject.path:
        raise Refused("the subject names a trust domain and nobody in it")
    if header.get("alg") not in ALGORITHMS:
        raise Refused(f"a JWT-SVID is not signed with {str(header.get('alg'))[:20]!r}")
    if header.get("typ", "JWT") not in ("JWT", "JOSE"):
        raise Refused(f"a JWT-SVID is not of the type {str(header.get('typ'))[:20]!r}")
    return header, subject


def _key(header: Mapping[str, Any], subject: SpiffeId, bundles: Mapping[str, bytes]) -> RSAKey | ECKey:
    jwks = bundles.get(f"spiffe://{subject.trust_domain}")
    if jwks is None:
        raise Refused(f"the trust domain {subject.trust_domain} is not believed here")
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise Refused("the token does not say by which key it is signed")
    try:
        listed = [each for each in json.loads(jwks)["keys"] if each.get("kid") == kid and each.get("kty") in _KINDS]
        if len(listed) == 1:
            return _KINDS[listed[0]["kty"]].import_key(listed[0])
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"the keys of {subject.trust_domain} cannot be read: {error}") from error
    raise Refused(f"{subject.trust_domain} has no key {kid[:80]!r}")


def _check_claims(claims: Mapping[str, Any], audience: str, now: datetime) -> None:
    said = claims.get("aud")
    if audience not in (said if isinstance(said, list) else [said]):
        raise Refused(f"the token is not for {audience[:200]!r}")
    if now >= _time(claims, "exp"):
        raise Refused("the token has ended")
    if "nbf" in claims and now < _time(claims, "nbf"):
        raise Refused("the token is not valid yet")
    if not _fits(claims, _DEEPEST):
        raise Refused("the token's claims cannot be handed over")


def _time(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise Refused(f"the token's {name} is no time")
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=value)


def _fits(value: Any, depth: int) -> bool:
    """Whether a claim can be told as `google.protobuf.Struct`."""
    if isinstance(value, dict):
        return depth > 0 and all(_fits(each, depth - 1) for each in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_fits(each, depth - 1) for each in value)
    return not isinstance(value, int | float) or -_LARGEST_NUMBER < value < _LARGEST_NUMBER
