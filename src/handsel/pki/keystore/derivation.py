"""Keys out of passwords: PBKDF1 and PBKDF2 (RFC 8018, section 5), scrypt (RFC 7914), PKCS12's (RFC 7292, appendix B).

What a file asks for is counted before any of it is done, and each key is made once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from handsel.errors import StoreRefused
from handsel.pki.keystore.model import MOST_ROUNDS
from handsel.pki.secret import Secret

KEY, VECTOR, MAC = 1, 2, 3
"""What PKCS12's derivation is for (RFC 7292, appendix B.3)."""
_FEW_ROUNDS = 10_000
"""Fewer are worth a note: so many is what Java has written since 2020."""
_LONGEST_SALT, _LONGEST_KEY = 1024, 256
_MOST_MEMORY = 64 << 20


@dataclass(frozen=True)
class Spelling:
    """A password in the two ways that PKCS12 needs: UTF-16 with two zero bytes, and UTF-8."""

    wide: bytes
    utf8: bytes


def spellings(password: Secret) -> tuple[Spelling, ...]:
    """The ways in which programs have written a password, the standard's first.

    No password is two zero bytes or none at all; OpenSSL before 1.1 made two bytes of each byte, whatever it meant.
    """
    octets = password.reveal()
    widened = octets.decode("latin-1").encode("utf-16-be") + b"\0\0"
    try:
        standard = octets.decode().encode("utf-16-be") + b"\0\0"
    except UnicodeDecodeError:
        standard = widened
    ways = {standard: None, widened: None} if octets else {b"\0\0": None, b"": None}
    return tuple(Spelling(way, octets) for way in ways)


@dataclass(frozen=True)
class Derivation:
    """How a key of `size` bytes is made. `kind`: openssl, pbkdf1, pbkdf2, pkcs12, scrypt; `purpose` only for PKCS12.

    `parallel`: scrypt's block size and parallelism; its cost is `rounds`.
    """

    kind: str
    digest: str
    salt: bytes
    rounds: int
    size: int
    purpose: int = 0
    parallel: tuple[int, int] = (8, 1)

    @property
    def cost(self) -> int:
        """In rounds of a hash, about."""
        if self.kind == "scrypt":
            return self.rounds * self.parallel[0] * self.parallel[1]
        return self.rounds * -(-self.size // hashlib.new(self.digest).digest_size)

    @property
    def faults(self) -> tuple[str, ...]:
        """What is weak about it."""
        if self.kind == "scrypt" or self.rounds >= _FEW_ROUNDS:
            return ()
        many = f"{self.rounds} rounds are" if self.rounds > 1 else "one round is"
        return (f"{many} few against guessing of the password",)

    def check(self) -> None:
        """Raises `StoreRefused` for what no honest file asks for, `ValueError` for what has no meaning."""
        if self.rounds < 1 or not 0 <= self.size <= _LONGEST_KEY:
            raise ValueError("it asks for no round of key derivation at all, or for a key of no sensible size")
        if len(self.salt) > _LONGEST_SALT:
            raise StoreRefused(f"a salt in it has {len(self.salt)} bytes, more than {_LONGEST_SALT}")
        if self.kind == "scrypt":
            block, lanes = self.parallel
            if block < 1 or lanes < 1 or self.rounds & (self.rounds - 1) or self.rounds < 2:
                raise ValueError("its numbers for scrypt have no meaning")
            if 128 * block * (self.rounds + lanes) > _MOST_MEMORY:
                raise StoreRefused(f"its scrypt asks for more than {_MOST_MEMORY >> 20} MiB of memory")

    def __str__(self) -> str:
        rounds = f"{self.rounds} rounds" if self.rounds != 1 else "one round"
        match self.kind:
            case "scrypt":
                return f"scrypt with N={self.rounds}"
            case "pbkdf2":
                return f"PBKDF2 with HMAC-{self.digest.upper()}, {rounds}"
            case "openssl":
                return f"{self.digest.upper()}, {rounds}"
        return f"{self.kind.upper()} with {self.digest.upper()}, {rounds}"


class Derivations:
    """Those of one file."""

    def __init__(self) -> None:
        self._planned: set[Derivation] = set()
        self._cost = 0
        self._made: dict[tuple[Derivation, Spelling], bytes] = {}

    def plan(self, *wanted: Derivation) -> None:
        """Count what will be asked for. Raises `StoreRefused` when it is too much, `ValueError` when it is nonsense."""
        for each in wanted:
            each.check()
            if each not in self._planned:
                self._planned.add(each)
                self._cost += each.cost
        if self._cost > MOST_ROUNDS:
            raise StoreRefused(
                f"it asks for {self._cost} rounds of key derivation, more than {MOST_ROUNDS}",
                next_step="write it again with fewer rounds, if it comes from somebody you trust",
            )

    def key(self, wanted: Derivation, spelling: Spelling) -> bytes:
        """The key, made at most once a password."""
        self.plan(wanted)
        made = self._made.get((wanted, spelling))
        if made is None:
            made = self._made[wanted, spelling] = derive(wanted, spelling)
        return made


def derive(wanted: Derivation, spelling: Spelling) -> bytes:
    """The key. Call it by `Derivations.key` for what a file asks for."""
    match wanted.kind:
        case "pkcs12":
            return pkcs12(wanted.digest, wanted.purpose, spelling.wide, wanted.salt, wanted.rounds, wanted.size)
        case "scrypt":
            block, lanes = wanted.parallel
            return hashlib.scrypt(
                spelling.utf8, salt=wanted.salt, n=wanted.rounds, r=block, p=lanes,
                maxmem=2 * _MOST_MEMORY, dklen=wanted.size,
            )  # fmt: skip
        case "openssl":
            return _openssl(wanted.digest, spelling.utf8 + wanted.salt, wanted.size)
        case "pbkdf1":
            return _chained(wanted.digest, spelling.utf8 + wanted.salt, wanted.rounds)[: wanted.size]
    return hashlib.pbkdf2_hmac(wanted.digest, spelling.utf8, wanted.salt, wanted.rounds, wanted.size)


def pkcs12(digest: str, purpose: int, password: bytes, salt: bytes, rounds: int, size: int) -> bytes:
    """RFC 7292, appendix B.2: `password` is UTF-16 with its two zero bytes."""
    block = hashlib.new(digest).block_size
    begin = bytes([purpose]) * block
    rest = _filled(salt, block) + _filled(password, block)
    key = b""
    while True:
        made = _chained(digest, begin + rest, rounds)
        key += made
        if len(key) >= size:
            return key[:size]
        step = int.from_bytes((made * block)[:block]) + 1
        rest = b"".join(
            ((int.from_bytes(rest[at : at + block]) + step) % (1 << 8 * block)).to_bytes(block)
            for at in range(0, len(rest), block)
        )


def _openssl(digest: str, text: bytes, size: int) -> bytes:
    """What OpenSSL has always done for keys in PEM: each hash is made over the one before and the text."""
    key = last = b""
    while len(key) < size:
        last = hashlib.new(digest, last + text).digest()
        key += last
    return key[:size]


def _filled(text: bytes, block: int) -> bytes:
    """The text again and again, up to the end of a block."""
    size = -(-len(text) // block) * block
    return (text * (size // len(text) + 1))[:size] if text else b""


def _chained(digest: str, text: bytes, rounds: int) -> bytes:
    """The hash of the hash of the hash of the text."""
    # `getattr`: a constructor of hashlib's own module costs half of what `hashlib.new` does each round.
    make = getattr(hashlib, digest)
    for _ in range(rounds):
        text = make(text).digest()
    return text
