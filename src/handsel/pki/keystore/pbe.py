"""Encryption with a password: PBES2 (RFC 8018, section 6.2), PKCS12's schemes (RFC 7292, appendix C), PBES1 with DES.

Only to read: what is weak is read too, and said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, RC2, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from handsel.pki import der
from handsel.pki.keystore import ber, rc2
from handsel.pki.keystore.derivation import KEY, VECTOR, Derivation, Derivations, Spelling

PBES2, PBKDF2, SCRYPT = "1.2.840.113549.1.5.13", "1.2.840.113549.1.5.12", "1.3.6.1.4.1.11591.4.11"
HMACS: Mapping[str, str] = {
    "1.2.840.113549.2.7": "sha1",
    "1.2.840.113549.2.8": "sha224",
    "1.2.840.113549.2.9": "sha256",
    "1.2.840.113549.2.10": "sha384",
    "1.2.840.113549.2.11": "sha512",
}


class UnknownScheme(ValueError):
    """An algorithm that is not known here; the text names it."""


def _triple(key: bytes) -> CipherAlgorithm:
    """3DES with one, two or three keys of DES; with one it is DES."""
    return TripleDES((key * 3)[:24])


@dataclass(frozen=True)
class _Kind:
    """A cipher: its name, the bytes of its key and of a block (0: a stream), what `cryptography` calls it."""

    name: str
    key: int
    block: int
    algorithm: Callable[[bytes], CipherAlgorithm] | None
    weak: str = ""


_OLD = "is an old cipher, no longer safe for much data"
_SHORT = "has a key of 40 bits, which is found by trying"
_3DES = _Kind("3DES-CBC", 24, 8, _triple, _OLD)
_DES = _Kind("DES-CBC", 8, 8, _triple, "has a key of 56 bits, which is found by trying")
_RC2_40 = _Kind("RC2-40-CBC", 5, 8, None, _SHORT)
_RC2_128 = _Kind("RC2-128-CBC", 16, 8, RC2, _OLD)

_CIPHERS: Mapping[str, _Kind] = {
    "2.16.840.1.101.3.4.1.2": _Kind("AES-128-CBC", 16, 16, AES),
    "2.16.840.1.101.3.4.1.22": _Kind("AES-192-CBC", 24, 16, AES),
    "2.16.840.1.101.3.4.1.42": _Kind("AES-256-CBC", 32, 16, AES),
    "1.2.840.113549.3.7": _3DES,
    "1.3.14.3.2.7": _DES,
}
_PKCS12: Mapping[str, _Kind] = {
    "1.2.840.113549.1.12.1.1": _Kind("RC4-128", 16, 0, ARC4, "is a broken cipher"),
    "1.2.840.113549.1.12.1.2": _Kind("RC4-40", 5, 0, ARC4, _SHORT),
    "1.2.840.113549.1.12.1.3": _3DES,
    "1.2.840.113549.1.12.1.4": _Kind("3DES-CBC with two keys", 16, 8, _triple, _OLD),
    "1.2.840.113549.1.12.1.5": _RC2_128,
    "1.2.840.113549.1.12.1.6": _RC2_40,
}
_DEK: Mapping[str, _Kind] = {
    "DES-CBC": _DES,
    "DES-EDE3-CBC": _3DES,
    **{kind.name: kind for kind in _CIPHERS.values() if kind.algorithm is AES},
}
_OTHERS = {"1.2.840.113549.3.2": "RC2-CBC in PBES2", "1.2.840.113549.3.9": "RC5-CBC"}
_PBES1: Mapping[str, str] = {"1.2.840.113549.1.5.3": "md5", "1.2.840.113549.1.5.10": "sha1"}  # both with DES


@dataclass(frozen=True)
class Scheme:
    """How something is encrypted with a password."""

    kind: _Kind
    derivation: Derivation
    vector: Derivation | bytes
    """CBC's first block: derived too, or told by the file; PBES1's is the second half of the one derived key."""

    @property
    def name(self) -> str:
        """In words: cipher, derivation, rounds."""
        return f"{self.kind.name}, {self.derivation}"

    @property
    def faults(self) -> tuple[str, ...]:
        """What is weak about it."""
        weak = (f"{self.kind.name} {self.kind.weak}",) if self.kind.weak else ()
        return weak + self.derivation.faults

    @property
    def derivations(self) -> tuple[Derivation, ...]:
        """What must be derived to open it."""
        return (self.derivation, self.vector) if isinstance(self.vector, Derivation) else (self.derivation,)

    def decrypt(self, hidden: bytes, derivations: Derivations, spelling: Spelling) -> bytes:
        """The content. Raises `ValueError` when the password is wrong; one in 256 gives bytes without sense."""
        derived = derivations.key(self.derivation, spelling)
        key, vector = derived[: self.kind.key], self.vector
        if isinstance(vector, Derivation):
            vector = derivations.key(vector, spelling)
        elif self.derivation.kind == "pbkdf1":
            vector = derived[self.kind.key :]
        if not self.kind.block:
            return Cipher(ARC4(key), None).decryptor().update(hidden)
        if not hidden or len(hidden) % self.kind.block:
            raise ValueError("what is encrypted does not end with a block")
        if self.kind.algorithm is None:
            return _without_padding(rc2.decrypt_cbc(key, vector, hidden), self.kind.block)
        decryptor = Cipher(self.kind.algorithm(key), CBC(vector)).decryptor()
        return _without_padding(decryptor.update(hidden) + decryptor.finalize(), self.kind.block)


def read_encrypted(data: bytes) -> tuple[Scheme, bytes]:
    """EncryptedPrivateKeyInfo (RFC 5958, section 3): how it is encrypted, and what. Raises as `read_scheme` does."""
    return ber.either(_encrypted, data)


def _encrypted(data: bytes) -> tuple[Scheme, bytes]:
    outer = der.Reader(data)
    whole = outer.inside(der.SEQUENCE)
    outer.end()
    scheme = read_scheme(whole.inside(der.SEQUENCE))
    hidden = whole.read(der.OCTET_STRING)
    whole.end()
    return scheme, hidden


def read_scheme(algorithm: der.Reader) -> Scheme:
    """The content of an AlgorithmIdentifier. Raises `UnknownScheme`, `ValueError` for what is malformed."""
    name = algorithm.read_oid()
    if name == PBES2:
        return _pbes2(algorithm.inside(der.SEQUENCE))
    if name not in _PKCS12 and name not in _PBES1:
        raise UnknownScheme(f"the encryption {name}")
    parameters = algorithm.inside(der.SEQUENCE)
    salt, rounds = parameters.read(der.OCTET_STRING), parameters.read_integer()
    if name in _PBES1:
        # RFC 8018, section 6.1.1: eight bytes of key, then eight of the vector
        return Scheme(_DES, Derivation("pbkdf1", _PBES1[name], salt, rounds, 16), b"")
    kind = _PKCS12[name]
    key = Derivation("pkcs12", "sha1", salt, rounds, kind.key, KEY)
    vector = Derivation("pkcs12", "sha1", salt, rounds, kind.block, VECTOR)
    return Scheme(kind, key, vector if kind.block else b"")


def read_dek(header: str) -> Scheme:
    """A DEK-Info header: a cipher and the first block of CBC, in hex (RFC 1421, section 4.6.1.3; OpenSSL's names)."""
    name, _, vector = header.partition(",")
    kind = _DEK.get(name.strip())
    if kind is None:
        raise UnknownScheme(f"the cipher {name.strip()[:32]!r}")
    first = bytes.fromhex(vector)
    if len(first) != kind.block:
        raise ValueError("the first block of CBC has another size than the others")
    return Scheme(kind, Derivation("openssl", "md5", first[:8], 1, kind.key), first)


def _pbes2(parameters: der.Reader) -> Scheme:
    """RFC 8018, appendix A.4: a derivation and a cipher."""
    deriving, cipher = parameters.inside(der.SEQUENCE), parameters.inside(der.SEQUENCE)
    parameters.end()
    name = cipher.read_oid()
    kind = _CIPHERS.get(name)
    if kind is None:
        raise UnknownScheme(f"the cipher {_OTHERS.get(name, name)}")
    first = cipher.read(der.OCTET_STRING)
    if len(first) != kind.block:
        raise ValueError("the first block of CBC has another size than the others")
    return Scheme(kind, read_derivation(deriving, kind.key), first)


def read_derivation(algorithm: der.Reader, size: int | None) -> Derivation:
    """The content of an AlgorithmIdentifier of PBKDF2 (RFC 8018, appendix A.2) or scrypt (RFC 7914, section 7.1).

    `size`: bytes of the key, None when the derivation must say it.
    """
    name, parameters = algorithm.read_oid(), algorithm.inside(der.SEQUENCE)
    if name not in (PBKDF2, SCRYPT):
        raise UnknownScheme(f"the key derivation {name}")
    salt, rounds = parameters.read(der.OCTET_STRING), parameters.read_integer()
    parallel = (parameters.read_integer(), parameters.read_integer()) if name == SCRYPT else (8, 1)
    told = parameters.read_integer() if parameters.next_tag == der.INTEGER else size
    if told is None or size not in (None, told):
        raise ValueError("it derives a key of another size than is needed, or of none")
    if name == SCRYPT:
        return Derivation("scrypt", "", salt, rounds, told, parallel=parallel)
    hmac = parameters.optional(der.SEQUENCE)
    digest = hmac.read_oid() if hmac else "1.2.840.113549.2.7"
    if digest not in HMACS:
        raise UnknownScheme(f"PBKDF2 with {digest}")
    return Derivation("pbkdf2", HMACS[digest], salt, rounds, told)


def _without_padding(plain: bytes, block: int) -> bytes:
    """RFC 8018, section 6.1.1: so many bytes as their value says."""
    many = plain[-1]
    if not 1 <= many <= block or plain[-many:] != bytes([many]) * many:
        raise ValueError("it does not open with this password")
    return plain[:-many]
