"""JCEKS: JKS with stronger locks and secret keys, read only.

The lock is PBEWithMD5AndTripleDES, which is Sun's own (the OID 1.3.6.1.4.1.42.2.19.1): two chains of MD5, over the
password and one half of the salt each, give a key of 24 bytes and a vector of 8 for Triple DES. Keys that came from
JKS may have its lock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from handsel.pki import der
from handsel.pki.keystore import java, jks
from handsel.pki.keystore.java import ANOTHER_PASSWORD, Lock, Locked
from handsel.pki.keystore.java_objects import is_object
from handsel.pki.keystore.model import Passwords, Store, StoreKind

OID = "1.3.6.1.4.1.42.2.19.1"
NAME = "PBEWithMD5AndTripleDES"
_SALT, _HALF, _BLOCK_BYTES, _KEY_BYTES = 8, 4, 8, 24


def read(content: bytes, passwords: Passwords) -> Store:
    """A JCEKS store.

    Raises `StoreUnreadable`, `StorePasswordWrong`, and `StoreRefused` for one with too many entries or rounds.
    """
    return java.read(StoreKind.JCEKS, content, passwords, lock_of)


def lock_of(algorithm: str, parameters: bytes, content: bytes) -> Lock:
    """The locks that JCEKS knows. Raises `Locked` for others, `ValueError` for parameters or content that are none."""
    if algorithm not in (OID, NAME):  # sealed keys have the name
        return jks.lock_of(algorithm, parameters, content)
    outer = der.Reader(parameters)
    given = outer.inside(der.SEQUENCE)
    salt, rounds = given.read(der.OCTET_STRING), given.read_integer()
    given.end()
    outer.end()
    if len(salt) != _SALT or rounds < 1:
        raise ValueError(f"a salt of {len(salt)} bytes and {rounds} rounds are none")
    if not content or len(content) % _BLOCK_BYTES:
        raise ValueError("it is not made of whole blocks")
    return Md5Chains(salt, rounds, content)


@dataclass(frozen=True)
class Md5Chains:
    """PBEWithMD5AndTripleDES; `times` is how often each chain goes round."""

    salt: bytes
    times: int
    content: bytes = field(repr=False)

    @property
    def name(self) -> str:
        return f"{NAME} with {self.times} rounds"

    @property
    def rounds(self) -> int:
        """All that opening may take."""
        return self.times * len(turned(self.salt))

    def open(self, password: str) -> bytes:
        """A PrivateKeyInfo or a serialized object. Raises `Locked` when the password is another one."""
        if not all(" " <= each <= "~" for each in password):
            raise Locked(f"{ANOTHER_PASSWORD}: JCEKS locks keys with printable ASCII only")
        for salt in turned(self.salt):
            plain = self._decrypt(*derive(password.encode(), salt, self.times))
            # Of 256 wrong keys one leaves a padding that is right: there is no other check than what is in it.
            if is_object(plain) or _is_private_key(plain):
                return plain
        raise Locked(ANOTHER_PASSWORD)

    def _decrypt(self, key: bytes, vector: bytes) -> bytes:
        """What is behind it; nothing when its padding is wrong."""
        decryptor = Cipher(TripleDES(key), modes.CBC(vector)).decryptor()
        unpadder = padding.PKCS7(_BLOCK_BYTES * 8).unpadder()
        try:
            return unpadder.update(decryptor.update(self.content) + decryptor.finalize()) + unpadder.finalize()
        except ValueError:
            return b""


def turned(salt: bytes) -> list[bytes]:
    """The salts that Java may have derived with.

    Of a salt with equal halves it turns the first round. For many years it slipped and wrote to the third byte both
    times; Java 17 does it as it was meant. Nothing in a file tells which Java wrote it.
    """
    first, second = salt[:_HALF], salt[_HALF:]
    if first != second:
        return [salt]
    slipped = bytes((first[3], first[0], first[1], first[3]))
    return list(dict.fromkeys((slipped + second, first[::-1] + second)))


def derive(password: bytes, salt: bytes, times: int) -> tuple[bytes, bytes]:
    """Key and vector, by a salt that is turned already."""
    derived = _md5_chain(password, salt[:_HALF], times) + _md5_chain(password, salt[_HALF:], times)
    return derived[:_KEY_BYTES], derived[_KEY_BYTES:]


def _md5_chain(password: bytes, block: bytes, times: int) -> bytes:
    for _ in range(times):
        block = hashlib.md5(block + password, usedforsecurity=False).digest()
    return block


def _is_private_key(content: bytes) -> bool:
    """Whether it looks like a PrivateKeyInfo: one SEQUENCE that begins with a number."""
    reader = der.Reader(content)
    try:
        reader.inside(der.SEQUENCE).read_integer()
        reader.end()
    except ValueError:
        return False
    return True
