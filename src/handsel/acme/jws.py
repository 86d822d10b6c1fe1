"""JSON Web Signatures as ACME wants them (RFC 7515; RFC 8555, section 6.2), and nothing else.

Flattened serialization only; exactly one of `jwk` and `kid`; no unprotected header; no MAC outside an external account
binding. What is not listed here is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from handsel.acme.problems import Problem, malformed
from handsel.pki.keys import kind_of

AccountKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

_LONGEST_RSA_EXPONENT = 4  # bytes; larger ones only cost time
_ALLOWED_MEMBERS = {"protected", "payload", "signature"}


@dataclass(frozen=True)
class Jws:
    """A request as it came: the protected header, and the signature that nobody has checked yet."""

    protected: Mapping[str, Any]
    payload: bytes
    signature: bytes = field(repr=False)
    signed: bytes = field(repr=False)

    @property
    def algorithm(self) -> str:
        return str(self.protected.get("alg", ""))

    def json(self) -> dict[str, Any]:
        """The payload as an object. Raises `Problem`."""
        return _object(self.payload, "the payload")


@dataclass(frozen=True)
class Jwk:
    """A public key (RFC 7517), with its thumbprint (RFC 7638). `members` are the required ones, canonical."""

    members: Mapping[str, str]
    key: AccountKey = field(compare=False)

    @property
    def thumbprint(self) -> str:
        canonical = json.dumps(self.members, sort_keys=True, separators=(",", ":"))
        return encode(hashlib.sha256(canonical.encode()).digest())


def parse(body: bytes | Mapping[str, Any]) -> Jws:
    """A flattened JWS. Raises `Problem` (`malformed`)."""
    message = body if isinstance(body, Mapping) else _object(body, "the body")
    if set(message) - _ALLOWED_MEMBERS or len(message) != len(_ALLOWED_MEMBERS):
        raise malformed("a request is a flattened JWS with exactly protected, payload and signature")
    if not all(isinstance(value, str) for value in message.values()):
        raise malformed("protected, payload and signature are strings")
    protected = _object(decode(message["protected"], "protected"), "the protected header")
    if "crit" in protected or "b64" in protected:
        raise malformed("critical header parameters are not understood here")
    signed = f"{message['protected']}.{message['payload']}".encode("ascii", errors="replace")
    return Jws(protected, decode(message["payload"], "payload"), decode(message["signature"], "signature"), signed)


def read_key(members: Any) -> Jwk:
    """The key in a `jwk`. Raises `Problem`: `malformed` for what is none, `badPublicKey` for a weak or strange one."""
    if not isinstance(members, Mapping):
        raise malformed("jwk is an object")
    if "d" in members or "k" in members:
        raise Problem("badPublicKey", "this is a secret key: never send it, and do not use it any more")
    try:
        match members.get("kty"):
            case "EC":
                jwk = _read_ec(members)
            case "OKP":
                jwk = _read_okp(members)
            case "RSA":
                jwk = _read_rsa(members)
            case other:
                raise Problem("badPublicKey", f"keys of type {other!r} are not used here")
        kind_of(jwk.key)
    except ValueError as error:
        raise Problem("badPublicKey", str(error)) from error
    return jwk


def verify(jws: Jws, key: AccountKey) -> None:
    """Check the signature. Raises `Problem`: `badSignatureAlgorithm`, or `malformed` when it does not hold."""
    try:
        _VERIFIERS[jws.algorithm](key, jws)
    except KeyError:
        raise Problem(
            "badSignatureAlgorithm", f"signatures by {jws.algorithm!r} are not accepted", algorithms=list(_VERIFIERS)
        ) from None
    except (InvalidSignature, ValueError):
        raise malformed("the signature does not hold") from None


def check_mac(jws: Jws, secret: bytes) -> bool:
    """Whether the HMAC of an external account binding holds (section 7.3.4). Raises `Problem` for other algorithms."""
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(jws.algorithm)
    if digest is None:
        raise Problem("badSignatureAlgorithm", "an external account binding is a MAC", algorithms=["HS256"])
    return hmac.compare_digest(hmac.new(secret, jws.signed, digest).digest(), jws.signature)


def key_authorization(token: str, thumbprint: str) -> str:
    """What a client shows for a challenge (section 8.1)."""
    return f"{token}.{thumbprint}"


def encode(content: bytes) -> str:
    """base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(text: str, what: str) -> bytes:
    """The bytes of strict base64url without padding. Raises `Problem`."""
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:  # binascii's, too
        raise malformed(f"{what} is not base64url without padding") from None
    if encode(decoded) != text:
        raise malformed(f"{what} is not canonical base64url without padding")
    return decoded


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        content = _JSON.decode(text.decode())
    except (ValueError, RecursionError):
        raise malformed(f"{what} is no JSON") from None
    if not isinstance(content, dict):
        raise malformed(f"{what} is no JSON object")
    return content


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key occurs twice")
    return content


_JSON = json.JSONDecoder(object_pairs_hook=_no_duplicates)


def _read_ec(members: Mapping[str, Any]) -> Jwk:
    curve = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}.get(str(members.get("crv")))
    if curve is None:
        raise Problem("badPublicKey", "elliptic curves are P-256 and P-384 here")
    x, y = _integer(members, "x"), _integer(members, "y")
    kept = {name: str(members[name]) for name in ("crv", "kty", "x", "y")}
    return Jwk(kept, ec.EllipticCurvePublicNumbers(x, y, curve).public_key())


def _read_okp(members: Mapping[str, Any]) -> Jwk:
    if members.get("crv") != "Ed25519":
        raise Problem("badPublicKey", "Edwards curves are Ed25519 here")
    kept = {name: str(members.get(name)) for name in ("crv", "kty", "x")}
    return Jwk(kept, ed25519.Ed25519PublicKey.from_public_bytes(decode(kept["x"], "x")))


def _read_rsa(members: Mapping[str, Any]) -> Jwk:
    exponent, modulus = _integer(members, "e"), _integer(members, "n")
    if exponent < 65537 or exponent.bit_length() > 8 * _LONGEST_RSA_EXPONENT:
        raise Problem("badPublicKey", "the exponent of an RSA key is at least 65537, and has at most 32 bits")
    kept = {name: str(members[name]) for name in ("e", "kty", "n")}
    return Jwk(kept, rsa.RSAPublicNumbers(exponent, modulus).public_key())


def _integer(members: Mapping[str, Any], name: str) -> int:
    value = members.get(name)
    if not isinstance(value, str):
        raise malformed(f"jwk has no {name}")
    return int.from_bytes(decode(value, name), "big")


def _verify_ecdsa(curve: type[ec.EllipticCurve], digest: hashes.HashAlgorithm) -> Callable[[AccountKey, Jws], None]:
    size, algorithm = (curve().key_size + 7) // 8, ec.ECDSA(digest)

    def verify_one(key: AccountKey, jws: Jws) -> None:
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, curve):
            raise malformed("the algorithm does not fit the key")
        if len(jws.signature) != 2 * size:
            raise InvalidSignature
        r, s = (int.from_bytes(part, "big") for part in (jws.signature[:size], jws.signature[size:]))
        key.verify(encode_dss_signature(r, s), jws.signed, algorithm)

    return verify_one


def _verify_rsa(key: AccountKey, jws: Jws) -> None:
    if not isinstance(key, rsa.RSAPublicKey):
        raise malformed("the algorithm does not fit the key")
    key.verify(jws.signature, jws.signed, padding.PKCS1v15(), hashes.SHA256())


def _verify_ed25519(key: AccountKey, jws: Jws) -> None:
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise malformed("the algorithm does not fit the key")
    key.verify(jws.signature, jws.signed)


_VERIFIERS: Mapping[str, Callable[[AccountKey, Jws], None]] = {
    "ES256": _verify_ecdsa(ec.SECP256R1, hashes.SHA256()),
    "ES384": _verify_ecdsa(ec.SECP384R1, hashes.SHA384()),
    "EdDSA": _verify_ed25519,
    "RS256": _verify_rsa,
}
