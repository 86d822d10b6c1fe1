"""Keys in a PKCS #11 token, such as a hardware module: they are made there and never leave it.

Calls take milliseconds and block: whoever signs does it in a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from handsel.authority.adapters.signers.token_keys import SignRaw, TokenEcKey, TokenEd25519Key, TokenRsaKey
from handsel.errors import StateError
from handsel.model.token_uri import TokenUri
from handsel.pki import der
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.secret import Secret

_T = TypeVar("_T")
_CURVE_OIDS = {KeyType.P256: "1.2.840.10045.3.1.7", KeyType.P384: "1.3.132.0.34"}
_ED25519_OID = "1.3.101.112"
_PRINTABLE_STRING = 0x13
_RSA_BITS = {KeyType.RSA2048: 2048, KeyType.RSA3072: 3072, KeyType.RSA4096: 4096}


class TokenKeys:
    """The keys of one token. One session, used by one thread at a time, opened again when the token lost it."""

    def __init__(self, uri: TokenUri) -> None:
        self._uri = uri
        self._session: Any = None
        self._using = threading.RLock()

    @property
    def custody(self) -> str:
        """In whose keeping the keys are."""
        return f"the PKCS #11 token {self._uri.token!r} ({Path(self._uri.module).name})"

    def load(self, name: str) -> PrivateKey:
        """The key of this name, which only signs. Raises `StateError`."""
        spki = self._use(lambda session: self._public(session, name))
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
        self._use(lambda session: self._generate(session, name, kind))
        return self.load(name)

    def exists(self, name: str) -> bool:
        return bool(self._use(lambda session: self._objects(session, name, "PRIVATE_KEY")))

    def remove(self, name: str) -> None:
        """Destroy both halves."""

        def destroy(session: Any) -> None:
            for half in ("PRIVATE_KEY", "PUBLIC_KEY"):
                for each in self._objects(session, name, half):
                    each.destroy()

        self._use(destroy)

    def close(self) -> None:
        """Log out. The next use logs in again."""
        with self._using:
            session, self._session = self._session, None
            if session is not None:
                try:
                    session.close()
                except Exception:  # noqa: BLE001  # it was lost already
                    return

    def _signer(self, name: str, mechanism: str) -> SignRaw:
        wanted = _library().Mechanism[mechanism]

        def sign(data: bytes) -> bytes:
            def act(session: Any) -> bytes:
                return bytes(self._one(session, name, "PRIVATE_KEY").sign(data, mechanism=wanted))

            return self._use(act)

        return sign

    def _use(self, act: Callable[[Any], _T]) -> _T:
        """Do something in the session; once more in a new one, when the old one is gone. Raises `StateError`."""
        pkcs11 = _library()
        with self._using:
            for attempt in (1, 2):
                try:
                    if self._session is None:
                        self._session = self._open()
                    return act(self._session)
                except pkcs11.PKCS11Error as error:
                    self.close()
                    if attempt == 2:
                        said = str(error) or type(error).__name__
                        raise StateError(
                            f"{self.custody} does not do it: {said}",
                            next_step="check the module, the token's name and the PIN",
                        ) from error
        raise AssertionError("one of the two attempts ended")

    def _open(self) -> Any:
        pkcs11 = _library()
        try:
            pin = Secret(Path(self._uri.pin_source).read_bytes().strip())
            library = pkcs11.lib(self._uri.module)
        except OSError as error:
            raise StateError(f"the PIN of {self.custody} cannot be read: {error}") from error
        except RuntimeError as error:
            raise StateError(f"the module {self._uri.module} cannot be loaded: {error}") from error
        token = library.get_token(token_label=self._uri.token)
        try:
            return token.open(rw=True, user_pin=pin.reveal().decode())
        except pkcs11.UserAlreadyLoggedIn:  # by another session of this process
            return token.open(rw=True)

    def _label(self, name: str) -> str:
        return f"{self._uri.prefix}{name}"

    def _objects(self, session: Any, name: str, half: str) -> list[Any]:
        pkcs11 = _library()
        wanted = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass[half], pkcs11.Attribute.LABEL: self._label(name)
        }  # fmt: skip
        return list(session.get_objects(wanted))

    def _one(self, session: Any, name: str, half: str) -> Any:
        found = self._objects(session, name, half)
        if len(found) != 1:
            raise StateError(f"{self.custody} has {len(found) or 'no'} keys called {self._label(name)!r}")
        return found[0]

    def _public(self, session: Any, name: str) -> bytes:
        """The SubjectPublicKeyInfo of a key pair, DER."""
        pkcs11 = _library()
        key = self._one(session, name, "PUBLIC_KEY")
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
        pkcs11 = _library()
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


def _library() -> Any:
    """The optional library. Raises `StateError` when it is not installed."""
    try:
        import pkcs11  # noqa: PLC0415  # only who has a token needs it
        import pkcs11.util.rsa  # noqa: PLC0415
    except ImportError as error:
        raise StateError("keys in a token need python-pkcs11", next_step="pip install 'handsel[pkcs11]'") from error
    return pkcs11
