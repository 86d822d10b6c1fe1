"""How BCFKS keeps things shut: keys derived from a password and a purpose, what is encrypted with them, the check."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap_with_padding

from handsel.errors import StoreRefused
from handsel.pki import der
from handsel.pki.keystore.model import MOST_ROUNDS, text_of
from handsel.pki.secret import Secret

PBES2, _PBKDF2, _SCRYPT = "1.2.840.113549.1.5.13", "1.2.840.113549.1.5.12", "1.3.6.1.4.1.11591.4.11"
_HMACS = {
    "1.2.840.113549.2.9": "sha256",
    "1.2.840.113549.2.10": "sha384",
    "1.2.840.113549.2.11": "sha512",
    "2.16.840.1.101.3.4.2.14": "sha3_256",
    "2.16.840.1.101.3.4.2.15": "sha3_384",
    "2.16.840.1.101.3.4.2.16": "sha3_512",
}
_AES = "2.16.840.1.101.3.4.1."
_CCM = {_AES + "7": 16, _AES + "27": 24, _AES + "47": 32}
_KWP = {_AES + "8": 16, _AES + "28": 24, _AES + "48": 32}
_CCM_USUAL_TAG = 12  # RFC 5084, section 3.1
_MOST_MEMORY = 256 << 20
"""Bytes for one derivation by scrypt."""
_FEW_ROUNDS, _SCRYPT_USUAL = 10_000, 1 << 14


class Purpose(StrEnum):
    """What a key is derived for; it is derived from the word as from a second password."""

    CHECK = "INTEGRITY_CHECK"
    STORE = "STORE_ENCRYPTION"
    PRIVATE_KEY = "PRIVATE_KEY_ENCRYPTION"
    SECRET_KEY = "SECRET_KEY_ENCRYPTION"  # noqa: S105  # a word of the format


@dataclass(frozen=True)
class Derivation:
    """How a key comes from a password. `cost` in rounds of PBKDF2, `memory` in bytes."""

    salt: bytes
    length: int | None
    digest: str
    rounds: int
    block: int = 0

    @classmethod
    def read(cls, reader: der.Reader) -> Derivation:
        """RFC 8018, appendix A.2; RFC 7914, section 7."""
        name, given = reader.read_oid(), reader.inside(der.SEQUENCE)
        salt, rounds = given.read(der.OCTET_STRING), given.read_integer()
        if name == _SCRYPT:
            block = given.read_integer()
            given.read_integer()  # how many at once: the provider takes the block size for that too
            length = given.read_integer() if given.next_tag == der.INTEGER else None
            found = cls(salt, length, "scrypt", rounds, block)
        elif name == _PBKDF2:
            length = given.read_integer() if given.next_tag == der.INTEGER else None
            found = cls(salt, length, _hmac(given.inside(der.SEQUENCE)), rounds)
        else:
            raise ValueError(f"keys are derived by {name}, which is not known here")
        if rounds < 1 or (name == _SCRYPT and (block < 1 or rounds < 2 or rounds & (rounds - 1))):
            raise ValueError("the numbers of a derivation make no sense")
        return found

    @property
    def cost(self) -> int:
        return self.rounds * max(1, self.block * self.block // 4)

    @property
    def memory(self) -> int:
        return 128 * self.rounds * self.block

    @property
    def is_weak(self) -> bool:
        return self.rounds < (_SCRYPT_USUAL if self.digest == "scrypt" else _FEW_ROUNDS)

    def key(self, password: Secret, purpose: Purpose, length: int) -> bytes:
        """Raises `ValueError` when the file wants a key of another length."""
        if self.length not in (None, length):
            raise ValueError("a key is derived with a length that its cipher does not have")
        text = _with_zeros(text_of(password)) + _with_zeros(purpose)
        if self.digest == "scrypt":
            size = {"n": self.rounds, "r": self.block, "p": self.block, "dklen": length}
            return hashlib.scrypt(text, salt=self.salt, maxmem=2 * self.memory + (1 << 20), **size)
        return hashlib.pbkdf2_hmac(self.digest, text, self.salt, self.rounds, length)


@dataclass(frozen=True)
class Sealed:
    """What is encrypted, and how (PBES2: RFC 8018, section 6.2, with AES-CCM or AES-KWP)."""

    derivation: Derivation
    cipher: str
    nonce: bytes
    tag: int
    content: bytes

    @classmethod
    def read(cls, reader: der.Reader) -> Sealed:
        scheme = reader.inside(der.SEQUENCE)
        if scheme.read_oid() != PBES2:
            raise ValueError("something is encrypted in a way that is not known here")
        both = scheme.inside(der.SEQUENCE)
        derivation, encryption = Derivation.read(both.inside(der.SEQUENCE)), both.inside(der.SEQUENCE)
        cipher, nonce, tag = encryption.read_oid(), b"", 0
        if cipher in _CCM:
            parameters = encryption.inside(der.SEQUENCE)
            nonce = parameters.read(der.OCTET_STRING)
            tag = parameters.read_integer() if parameters.next_tag == der.INTEGER else _CCM_USUAL_TAG
        elif cipher not in _KWP:
            raise ValueError(f"something is encrypted with {cipher}, which is not known here")
        return cls(derivation, cipher, nonce, tag, reader.read(der.OCTET_STRING))

    @property
    def words(self) -> str:
        """The algorithms, for people."""
        known = _CCM if self.cipher in _CCM else _KWP
        by = (
            "scrypt"
            if self.derivation.digest == "scrypt"
            else f"PBKDF2-HMAC-{self.derivation.digest.upper().replace('_', '-')}"
        )
        return (
            f"AES-{known[self.cipher] * 8}-{'CCM' if known is _CCM else 'KWP'}, {by}, {self.derivation.rounds} rounds"
        )

    def open(self, password: Secret, purpose: Purpose) -> bytes | None:
        """The content; None when the password is another one. Raises `ValueError`."""
        if self.cipher in _CCM:
            key = self.derivation.key(password, purpose, _CCM[self.cipher])
            try:
                return AESCCM(key, self.tag).decrypt(self.nonce, self.content, None)
            except InvalidTag:
                return None
        try:
            return aes_key_unwrap_with_padding(self.derivation.key(password, purpose, _KWP[self.cipher]), self.content)
        except InvalidUnwrap:
            return None


@dataclass(frozen=True)
class Check:
    """The MAC behind the data: HMAC with a key that the store's password gives."""

    digest: str
    derivation: Derivation
    mac: bytes

    @classmethod
    def read(cls, reader: der.Reader) -> Check:
        digest, derivation = _hmac(reader.inside(der.SEQUENCE)), Derivation.read(reader.inside(der.SEQUENCE))
        return cls(digest, derivation, reader.read(der.OCTET_STRING))

    def fits(self, data: bytes, password: Secret) -> bool:
        length = self.derivation.length or hashlib.new(self.digest).digest_size
        if not 16 <= length <= 256:
            raise ValueError("the key of the check has no sensible length")
        key = self.derivation.key(password, Purpose.CHECK, length)
        return hmac.compare_digest(hmac.digest(key, data, self.digest), self.mac)


class Budget:
    """Refuses before any work is done: `take` what is to be derived now, together with what was taken before."""

    def __init__(self) -> None:
        self._left = MOST_ROUNDS

    def take(self, derivations: Iterable[Derivation]) -> None:
        derivations = list(derivations)
        self._left -= sum(each.cost for each in derivations)
        if self._left < 0:
            raise StoreRefused(f"its passwords want more than {MOST_ROUNDS} rounds of derivation")
        if any(each.memory > _MOST_MEMORY for each in derivations):
            raise StoreRefused(f"a password of it wants more than {_MOST_MEMORY >> 20} MiB of memory")


def _hmac(algorithm: der.Reader) -> str:
    """The hash of an HMAC by its name."""
    name = algorithm.read_oid()
    if name not in _HMACS:
        raise ValueError(f"a check is made with {name}, which is not known here")
    return _HMACS[name]


def _with_zeros(text: str) -> bytes:
    """As PKCS #12 writes a password (RFC 7292, appendix B.1), an empty one without the zeros."""
    return f"{text}\0".encode("utf-16-be") if text else b""
