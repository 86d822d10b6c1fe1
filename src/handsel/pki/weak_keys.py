"""Keys that must not be certified because somebody may find the private half.

Curve points are checked when a key is read: `cryptography` refuses points off P-256 and P-384 and the point at
infinity. It takes any 32 bytes as an Ed25519 key, so those of small order are refused here. Debian's weak keys of 2008
are not looked for: their list has many megabytes, and 1024 and 2048 bits of that time are long gone.
"""

from __future__ import annotations

import math
from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from handsel.pki.keys import PublicKey

_SMALLEST_EXPONENT = 65537
_LARGEST_EXPONENT_BITS = 256
_SMALL_FACTORS_BELOW = 2000
"""NIST SP 800-89, section 5.3.3 asks for 752; twice as many cost nothing."""
_FERMAT_ROUNDS = 100


def weakness(key: PublicKey) -> str | None:
    """Why this key is weak, in words that follow `the key`; None when nothing is known against it."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return _rsa_weakness(numbers.n, numbers.e)
    if isinstance(key, ed25519.Ed25519PublicKey):
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return "is a point of small order: anybody can sign with it" if _has_small_order(raw) else None
    return None


def _rsa_weakness(modulus: int, exponent: int) -> str | None:
    # NIST SP 800-89, section 5.3.3.
    if exponent < _SMALLEST_EXPONENT or exponent % 2 == 0 or exponent.bit_length() > _LARGEST_EXPONENT_BITS:
        return (
            f"has the exponent {exponent if exponent < 1 << 64 else 'of too many bits'}: an odd one from 65537 is taken"
        )
    if math.gcd(modulus, _product_of_small_primes()) != 1:
        return f"has a prime factor below {_SMALL_FACTORS_BELOW}"
    if _is_roca(modulus):
        return "was made by a library with a known fault (CVE-2017-15361, ROCA)"
    if _has_close_primes(modulus):
        return "has two primes that lie close together (Fermat)"
    return None


@cache
def _primes(below: int) -> tuple[int, ...]:
    return tuple(n for n in range(2, below) if all(n % d for d in range(2, math.isqrt(n) + 1)))


@cache
def _product_of_small_primes() -> int:
    return math.prod(_primes(_SMALL_FACTORS_BELOW))


@cache
def _roca_residues() -> tuple[tuple[int, frozenset[int]], ...]:
    """For each prime up to 167 the powers of 65537, of which the faulty library made its primes, where they are few."""
    found = []
    for prime in _primes(168)[1:]:
        powers = frozenset(pow(65537, each, prime) for each in range(prime - 1))
        if len(powers) < prime - 1:
            found.append((prime, powers))
    return tuple(found)


def _is_roca(modulus: int) -> bool:
    """Whether the modulus is a power of 65537 by every small prime; by chance one in more than 2**27 is."""
    return all(modulus % prime in powers for prime, powers in _roca_residues())


def _has_close_primes(modulus: int) -> bool:
    """Fermat's way of factoring: a few rounds find primes of which more than the upper half of the bits agree."""
    root = math.isqrt(modulus)
    if root * root == modulus:
        return True
    root += 1
    rest = root * root - modulus
    for _ in range(_FERMAT_ROUNDS):
        # The last digits tell most numbers that are no squares, much sooner than a root.
        if rest & 15 in _SQUARES_BY_16 and rest % 315 in _SQUARES_BY_315 and math.isqrt(rest) ** 2 == rest:
            return True
        rest += 2 * root + 1
        root += 1
    return False


_SQUARES_BY_16 = frozenset(n * n % 16 for n in range(16))
_SQUARES_BY_315 = frozenset(n * n % 315 for n in range(315))

# Ed25519 (RFC 8032, section 5.1): the heights of the eight points whose order divides 8. The last two are the roots of
# d·y⁴ + 2·y² = 1, where doubling leads to a point of order 4.
_FIELD = 2**255 - 19
_EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER_HEIGHTS = frozenset({0, 1, _FIELD - 1, _EIGHTH, _FIELD - _EIGHTH})


def _has_small_order(raw: bytes) -> bool:
    height = int.from_bytes(raw, "little") & (1 << 255) - 1
    return height % _FIELD in _SMALL_ORDER_HEIGHTS
