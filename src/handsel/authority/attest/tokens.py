"""Signed tokens of an issuer (RFC 7519): whose, for whom, until when. Both `kubernetes` and `oidc` begin here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from handsel.authority.attest.model import LEEWAY, Attested
from handsel.authority.attest.selectors import of_claims
from handsel.authority.model import Spent
from handsel.errors import Refused
from handsel.link.joining import Evidence
from handsel.link.transcript import Transcript
from handsel.model.authority import Registration

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "Ed25519", "EdDSA")
"""Only these, whatever a token's header says: no `none`, and no MAC that a public key could be taken for."""

_KINDS: Mapping[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_LONGEST_TOKEN = 16 << 10
_MOST_KEYS = 64
_SHORTEST_MODULUS = 342
"""Characters of base64url for 2048 bits."""
_LATEST = 253402300799  # the last second of the year 9999

Keys = tuple[RSAKey | ECKey | OKPKey, ...]


def read_trust(content: bytes) -> Keys:
    """The public keys for signatures in a JWKS (RFC 7517, section 5). Raises `ValueError`."""
    try:
        listed = json.loads(content)["keys"]
        members = [each for each in listed[:_MOST_KEYS] if _is_used(each)]
        keys = tuple(_KINDS[each["kty"]].import_key(_public(each)) for each in members)
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"this is no JWKS: {error}") from error
    if not keys:
        raise ValueError("the JWKS has no public key for signatures")
    return keys


def names_key(token: str) -> str | None:
    """The key that a token says it is signed by: a hint where to look, no more."""
    try:
        kid = jws.extract_compact(token.encode()).headers().get("kid")
    except (JoseError, ValueError, UnicodeEncodeError):
        return None
    return str(kid) if kid is not None else None


def claims_of(rule: Registration, keys: Keys, token: str, now: datetime) -> dict[str, Any]:
    """The claims of a token that is signed, in time, and of the rule's issuer and audience. Raises `Refused`."""
    if len(token) > _LONGEST_TOKEN:
        raise Refused(f"a token has at most {_LONGEST_TOKEN} characters")
    kid = names_key(token)
    fitting = [key for key in keys if kid is None or key.kid == kid]
    if len(fitting) != 1:
        raise Refused(
            "the token does not say by which key it is signed"
            if fitting
            else "the token is signed by a key that its issuer does not have"
        )
    try:
        claims = jwt.decode(token, fitting[0], algorithms=ALGORITHMS).claims
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise Refused(f"the token is not signed by its issuer: {str(error)[:200]}") from error
    _check(rule, claims, now)
    return claims


def attest(rule: Registration, keys: Keys, evidence: Evidence, _transcript: Transcript, now: datetime) -> Attested:
    """The bearer of an OpenID Connect token (GitHub, GitLab, any issuer). Raises `Refused`."""
    claims = claims_of(rule, keys, evidence.token, now)
    return Attested("oidc", str(claims["sub"]), of_claims(claims), spent(claims, evidence.token))


def spent(claims: Mapping[str, Any], token: str) -> Spent:
    """What keeps a token from being used twice: its id where it has one, else what was signed."""
    own = claims.get("jti")
    # Not the signature: some have several forms that all hold.
    kept = f"jti {claims['iss']} {own}" if isinstance(own, str) and own else f"token {token.rpartition('.')[0]}"
    return Spent(hashlib.sha256(kept.encode()).digest(), _time(claims, "exp") + LEEWAY)


def _check(rule: Registration, claims: Mapping[str, Any], now: datetime) -> None:
    if claims.get("iss") != rule.issuer:
        raise Refused(f"the token is of {str(claims.get('iss'))[:200]!r}, not of {rule.issuer!r}")
    audience = claims.get("aud")
    if rule.audience not in (audience if isinstance(audience, list) else [audience]):
        raise Refused(f"the token is not for {rule.audience!r}")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise Refused("the token has no subject")
    if now >= _time(claims, "exp") + LEEWAY:
        raise Refused("the token has ended")
    for name in ("nbf", "iat"):
        if name in claims and _time(claims, name) - LEEWAY > now:
            raise Refused("the token is not valid yet")


def _time(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise Refused(f"the token's {name} is no time")
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=value)


def _is_used(members: Mapping[str, Any]) -> bool:
    """Whether a key is a public one for signatures, and strong."""
    kind = members.get("kty")
    if kind not in _KINDS or members.get("use", "sig") != "sig":
        return False
    return kind != "RSA" or len(members["n"]) >= _SHORTEST_MODULUS


def _public(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is secret: a JWKS that gives private keys away gives them to nobody here."""
    return {
        name: value
        for name, value in members.items()
        if name not in ("d", "p", "q", "dp", "dq", "qi", "oth", "key_ops")
    }
