"""A key-encryption key in a PKCS #11 token: AES, made there, which it does not give out; it wraps by CKM_AES_GCM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from handsel.errors import SealKeyMissing
from handsel.pki.secret import Secret
from handsel.secrets import envelope
from handsel.secrets.envelope import NONCE_BYTES, Random

_TAG_BITS = 128


class Session(Protocol):
    """The session with a token that this process has: whoever logs out of a token does so for everybody in it."""

    @property
    def custody(self) -> str: ...
    def use(self, act: Callable[[Any], Any]) -> Any:
        """Raises `StateError`."""
        ...


class TokenKey:
    """One key of a token, found by its label."""

    place = "token"
    is_quick = False

    def __init__(self, session: Session, label: str, key_id: str, random: Random) -> None:
        self._session = session
        self._label = label
        self._random = random
        self.key_id = key_id

    def wrap(self, key: Secret, bound_to: bytes) -> bytes:
        nonce = self._random(NONCE_BYTES)

        def act(session: Any) -> bytes:
            found = _one(self._session, session, self._label)
            return bytes(found.encrypt(key.reveal(), mechanism=_gcm(), mechanism_param=_parameters(nonce, bound_to)))

        sealed: bytes = self._session.use(act)
        return nonce + sealed

    def unwrap(self, wrapped: bytes, bound_to: bytes) -> Secret:
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]

        def act(session: Any) -> bytes | None:
            import pkcs11  # noqa: PLC0415  # only who has a token needs it

            found = _one(self._session, session, self._label)
            parameters = _parameters(nonce, bound_to)
            try:
                return bytes(found.decrypt(sealed, mechanism=_gcm(), mechanism_param=parameters))
            # SoftHSM says CKR_GENERAL_ERROR for a tag that does not fit.
            except (pkcs11.EncryptedDataInvalid, pkcs11.EncryptedDataLenRange, pkcs11.GeneralError):
                return None

        opened = self._session.use(act)
        if opened is None:
            raise envelope.broken(self.key_id)
        return Secret(opened)


class TokenKeys:
    """The keys for secrets of one token; their labels begin with `prefix`."""

    def __init__(self, session: Session, prefix: str, random: Random) -> None:
        self._session = session
        self._prefix = prefix
        self._random = random

    def make(self) -> TokenKey:
        """A new key. Raises `StateError`."""
        key_id = self._random(8).hex()
        label = self._label(key_id)

        def act(session: Any) -> None:
            import pkcs11  # noqa: PLC0415

            marks = {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False}
            session.generate_key(pkcs11.KeyType.AES, 256, id=label.encode(), label=label, store=True, template=marks)

        self._session.use(act)
        return self.open(key_id)

    def open(self, key_id: str) -> TokenKey:
        """Raises `SealKeyMissing`, `StateError`."""
        self._session.use(lambda session: _one(self._session, session, self._label(key_id)))
        return TokenKey(self._session, self._label(key_id), key_id, self._random)

    def destroy(self, key_id: str) -> None:
        """Raises `StateError`."""

        def act(session: Any) -> None:
            for each in _found(session, self._label(key_id)):
                each.destroy()

        self._session.use(act)

    def _label(self, key_id: str) -> str:
        return f"{self._prefix}secrets-{key_id}"


def _found(session: Any, label: str) -> list[Any]:
    import pkcs11  # noqa: PLC0415

    wanted = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY, pkcs11.Attribute.LABEL: label}
    return list(session.get_objects(wanted))


def _one(of: Session, session: Any, label: str) -> Any:
    found = _found(session, label)
    if len(found) != 1:
        raise SealKeyMissing(
            f"secrets are sealed with the key {label}, and {of.custody} has {len(found) or 'no'} of that name",
            next_step="is it the right token? without the key no secret can be opened",
        )
    return found[0]


def _gcm() -> Any:
    import pkcs11  # noqa: PLC0415

    return pkcs11.Mechanism.AES_GCM


def _parameters(nonce: bytes, bound_to: bytes) -> Any:
    from pkcs11.mechanisms import GCMParams  # noqa: PLC0415

    return GCMParams(nonce, bound_to, _TAG_BITS)
