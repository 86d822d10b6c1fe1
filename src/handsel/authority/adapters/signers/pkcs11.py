"""Keys in a PKCS #11 token, such as a hardware module: they are made there and never leave it.

Calls take milliseconds and block: whoever signs does it in a thread.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from handsel.authority.adapters.signers.token_keys import SignRaw, TokenEcKey, TokenEd25519Key, TokenRsaKey
from handsel.authority.adapters.signers.token_session import library, objects, session_with
from handsel.errors import StateError
from handsel.model.token_uri import TokenUri
from handsel.pki import der
from handsel.pki.keys import KeyType, PrivateKey

_CURVE_OIDS = {KeyType.P256: "1.2.840.10045.3.1.7", KeyType.P384: "1.3.132.0.34"}
_ED25519_OID = "1.3.101.112"
_PRINTABLE_STRING = 0x13
_RSA_BITS = {KeyType.RSA2048: 2048, KeyType.RSA3072: 3072, KeyType.RSA4096: 4096}


class TokenKeys:
    """The keys of one token, whose names there begin with the URI's prefix."""

    def __init__(self, uri: TokenUri) -> None:
        self._uri = uri
        self._session = session_with(uri)

    is_shared = True

    @property
    def custody(self) -> str:
        """In whose keeping the keys are."""
        return self._session.custody

    def load(self, name: str) -> PrivateKey:
        """The key of this name, which only signs. Raises `StateError`."""
        spki = self._session.use(lambda session: self._public(session, name))
        public = load_der_public_key(spki)
        if isinstance(public, ec.EllipticCurvePublicKey):
            return PrivateKey(TokenEcKey(public, self._signer(name, "ECDSA")), remote=True)
        if isinstance(public, rsa.RSAPublicKey):
            return PrivateKey(TokenRsaKey(public, self._signer(name, "RSA_PKCS")), remote=True)
        if isinstance(public, ed25519.Ed25519PublicKey):
            return PrivateKey(TokenEd25519Key(public, self._signer(name, "EDDSA")), remote=True)
        raise StateError(f"the key {name!r} in {self.custody} is of a kind that is not used here")

    def make(self, name: str, kind: KeyType) -> PrivateKey:
        """A key pair made in the token, which it does not give out. Raises `StateError`."""
        if self.exists(name):
            found = self.load(name)
            if found.kind is not kind:
                raise StateError(f"the key {name!r} in {self.custody} is {found.kind}, not {kind}")
            return found
        self._session.use(lambda session: self._generate(session, name, kind))
        return self.load(name)

    def exists(self, name: str) -> bool:
        return bool(self._session.use(lambda session: objects(session, self._label(name), "PRIVATE_KEY")))

    def remove(self, name: str) -> None:
        """Destroy both halves."""

        def destroy(session: Any) -> None:
            for half in ("PRIVATE_KEY", "PUBLIC_KEY"):
                for each in objects(session, self._label(name), half):
                    each.destroy()

        self._session.use(destroy)
        self._session.forget(self._label(name))

    def close(self) -> None:
        """Log out. The next use logs in again."""
        self._session.close()

    def _signer(self, name: str, mechanism: str) -> SignRaw:
        return lambda data: self._session.sign(self._label(name), data, mechanism)

    def _label(self, name: str) -> str:
        return f"{self._uri.prefix}{name}"

    def _public(self, session: Any, name: str) -> bytes:
        """The SubjectPublicKeyInfo of a key pair, DER."""
        pkcs11 = library()
        key = self._session.one(session, self._label(name), "PUBLIC_KEY")
        if key.key_type == pkcs11.KeyType.EC:
            return bytes(pkcs11.util.ec.encode_ec_public_key(key))
        if key.key_type == pkcs11.KeyType.RSA:
            bits = der.element(der.BIT_STRING, b"\x00" + bytes(pkcs11.util.rsa.encode_rsa_public_key(key)))
            return der.sequence(der.sequence(der.oid("1.2.840.113549.1.1.1"), der.element(der.NULL)), bits)
        if key.key_type == pkcs11.KeyType.EC_EDWARDS:
            point = bytes(key[pkcs11.Attribute.EC_POINT])[-32:]  # some tokens wrap it into an OCTET STRING
            return der.sequence(der.sequence(der.oid(_ED25519_OID)), der.element(der.BIT_STRING, b"\x00" + point))
        raise StateError(f"the key {name!r} in {self.custody} is of a kind that is not used here")

    def _generate(self, session: Any, name: str, kind: KeyType) -> None:
        pkcs11 = library()
        Attribute = pkcs11.Attribute  # noqa: N806  # as the library calls it
        kept = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
        marks = {"id": self._label(name).encode(), "label": self._label(name), "store": True, "private_template": kept}
        if kind in _CURVE_OIDS:
            curve = {Attribute.EC_PARAMS: der.oid(_CURVE_OIDS[kind])}
            session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True).generate_keypair(**marks)
        elif kind in _RSA_BITS:
            session.generate_keypair(pkcs11.KeyType.RSA, _RSA_BITS[kind], **marks)
        elif kind is KeyType.ED25519:
            curve = {Attribute.EC_PARAMS: der.element(_PRINTABLE_STRING, b"edwards25519")}
            parameters = session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True)
            parameters.generate_keypair(mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, **marks)
        else:
            raise StateError(f"{self.custody} makes no {kind} keys here")
