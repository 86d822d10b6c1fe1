"""A SPIFFE bundle: whom to believe in one trust domain, as JSON (SPIFFE Trust Domain and Bundle, section 4).

A JWKS (RFC 7517) with CAs for X.509-SVIDs (X509-SVID, section 6.1) and keys for JWT-SVIDs (JWT-SVID, section 6.1).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from handsel.pki.certificate import Certificate
from handsel.pki.names import TrustDomain

LARGEST = 1 << 20
"""Bytes of a bundle that is read."""
MEDIA_TYPE = "application/json"
_MOST_KEYS = 256
_LARGEST_SEQUENCE = (1 << 63) - 1
_LONGEST_HINT = 366 * 86400
_SHORTEST_MODULUS = 342
"""Characters of base64url for 2048 bits."""
_LONGEST_KID = 255
_KINDS: Mapping[str, type[RSAKey | ECKey]] = {"RSA": RSAKey, "EC": ECKey}
_PUBLIC: Mapping[str, tuple[str, ...]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y")}
_CURVES = ("P-256", "P-384", "P-521")
_KNOWN_OF_CAS = ("RSA", "EC", "OKP", "AKP")


@dataclass(frozen=True)
class JwtAuthority:
    """A public key that signs JWT-SVIDs: its `kid`, and the members of the JWK that are its key, as they are sorted."""

    kid: str
    members: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, kid: str, members: Mapping[str, Any]) -> JwtAuthority:
        """The public half of a JWK. Raises `ValueError` when it is none, or weak."""
        if not isinstance(kid, str) or not 1 <= len(kid) <= _LONGEST_KID:
            raise ValueError("a key for JWT-SVIDs has a kid")
        kind = members["kty"]
        try:
            public = {name: members[name] for name in _PUBLIC[kind]}
            if kind == "RSA" and len(public["n"]) < _SHORTEST_MODULUS:
                raise ValueError("it has fewer than 2048 bits")
            told = _KINDS[kind].import_key({"kty": kind, **public}).as_dict(private=False)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"the key {kid[:80]!r} cannot be read: {error}") from error
        return cls(kid, tuple(sorted((name, str(told[name])) for name in ("kty", *_PUBLIC[kind]))))

    @property
    def jwk(self) -> dict[str, str]:
        return {**dict(self.members), "kid": self.kid}


@dataclass(frozen=True)
class SpiffeBundle:
    """Whom to believe in a trust domain. No keys at all: everything that was there is revoked (section 4.1.3).

    `sequence` rises at each change; `refresh_hint` says how often to look. None: not said.
    """

    trust_domain: TrustDomain
    x509: tuple[Certificate, ...]
    jwt: tuple[JwtAuthority, ...]
    sequence: int | None = None
    refresh_hint: timedelta | None = None

    @property
    def jwks(self) -> bytes:
        """The keys for JWT-SVIDs alone, as the Workload API hands them over (section 6.2)."""
        return _json({"keys": [each.jwk for each in self.jwt]})


def write(bundle: SpiffeBundle) -> bytes:
    """The bundle as JSON, always the same bytes for the same bundle."""
    keys: list[dict[str, Any]] = [_x509_entry(each) for each in bundle.x509]
    keys += [{**each.jwk, "use": "jwt-svid"} for each in bundle.jwt]
    document: dict[str, Any] = {"keys": keys}
    if bundle.sequence is not None:
        document["spiffe_sequence"] = bundle.sequence
    if bundle.refresh_hint is not None:
        document["spiffe_refresh_hint"] = int(bundle.refresh_hint.total_seconds())
    return _json(document)


def read(content: bytes, trust_domain: TrustDomain) -> SpiffeBundle:
    """The bundle of a trust domain. Keys of kinds and uses that are not known are left out. Raises `ValueError`."""
    if len(content) > LARGEST:
        raise ValueError(f"a bundle has at most {LARGEST} bytes")
    try:
        document = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the bundle is no JSON: {str(error)[:200]}") from error
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or not all(isinstance(each, dict) for each in keys):
        raise ValueError("a bundle is a JSON object with a list of keys")
    if len(keys) > _MOST_KEYS:
        raise ValueError(f"a bundle has at most {_MOST_KEYS} keys")
    hint = _whole(document, "spiffe_refresh_hint", _LONGEST_HINT)
    return SpiffeBundle(
        trust_domain,
        _unlike(_authority(each) for each in keys if each.get("use") == "x509-svid" and _is_of_ca(each)),
        _by_kid([JwtAuthority.of(each.get("kid", ""), each) for each in keys if _is_for_jwt(each)]),
        _whole(document, "spiffe_sequence", _LARGEST_SEQUENCE),
        None if hint is None else timedelta(seconds=hint),
    )


def _unlike(found: Any) -> tuple[Certificate, ...]:
    return tuple(dict.fromkeys(found))


def _is_of_ca(members: Mapping[str, Any]) -> bool:
    kind = members.get("kty")
    return isinstance(kind, str) and kind in _KNOWN_OF_CAS


def _is_for_jwt(members: Mapping[str, Any]) -> bool:
    if members.get("use") != "jwt-svid":
        return False
    kind = members.get("kty")
    if not isinstance(kind, str) or kind not in _KINDS:
        return False
    curve = members.get("crv")
    return kind != "EC" or not isinstance(curve, str) or curve in _CURVES


def _by_kid(found: Sequence[JwtAuthority]) -> tuple[JwtAuthority, ...]:
    if len({each.kid for each in found}) != len(found):
        raise ValueError("two keys for JWT-SVIDs have the same kid")
    return tuple(found)


def _authority(members: Mapping[str, Any]) -> Certificate:
    """The CA of an entry: exactly one certificate (X509-SVID, section 6.1)."""
    chain = members.get("x5c")
    if not isinstance(chain, list) or len(chain) != 1 or not isinstance(chain[0], str):
        raise ValueError("a key for X.509-SVIDs has exactly one certificate in x5c")
    try:
        certificate = Certificate(base64.b64decode(chain[0], validate=True))
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"a certificate in x5c cannot be read: {str(error)[:200]}") from error
    if not certificate.is_ca:
        raise ValueError(f"the certificate {certificate.subject[:80]!r} is no CA")
    return certificate


def _x509_entry(certificate: Certificate) -> dict[str, Any]:
    x5c = [base64.b64encode(certificate.der).decode()]
    return {**_public_members(certificate), "use": "x509-svid", "x5c": x5c}


def _public_members(certificate: Certificate) -> dict[str, str]:
    key = certificate.parsed.public_key()
    match key:
        case rsa.RSAPublicKey():
            found = RSAKey.import_key(key).as_dict(private=False)
        case ec.EllipticCurvePublicKey():
            found = ECKey.import_key(key).as_dict(private=False)
        case ed25519.Ed25519PublicKey():
            found = OKPKey.import_key(key).as_dict(private=False)
        case _:  # ML-DSA has no key type in the registry yet: what counts is the certificate
            return {"kty": "AKP"}
    return {name: str(value) for name, value in found.items()}


def _whole(document: Mapping[str, Any], name: str, largest: int) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise ValueError(f"{name} is a whole number from 0 to {largest}")
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
