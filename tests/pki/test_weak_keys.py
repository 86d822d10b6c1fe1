"""Weak keys are found, and ordinary ones are not."""

from __future__ import annotations

import math
import random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.weak_keys import weakness


def _rsa(modulus: int, exponent: int = 65537) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _is_prime(number: int, chance: random.Random) -> bool:
    """Miller and Rabin's test, forty times."""
    if any(number % small == 0 for small in (2, 3, 5, 7, 11, 13, 17, 19, 23)):
        return False
    power = ((number - 1) & -(number - 1)).bit_length() - 1
    for _ in range(40):
        x = pow(chance.randrange(2, number - 1), (number - 1) >> power, number)
        if x in (1, number - 1):
            continue
        if not any((x := x * x % number) == number - 1 for _ in range(power - 1)):
            return False
    return True


def _prime_after(start: int, chance: random.Random) -> int:
    start |= 1
    while not _is_prime(start, chance):
        start += 2
    return start


GOOD = PrivateKey.generate(KeyType.RSA2048).handle.public_key().public_numbers().n


@pytest.mark.parametrize("kind", list(KeyType))
def test_a_key_that_was_made_well_has_no_weakness(kind):
    assert weakness(PrivateKey.generate(kind).handle.public_key()) is None


@pytest.mark.parametrize("exponent", [3, 17, 257, 65535])
def test_a_small_exponent_is_refused(exponent):
    assert weakness(_rsa(GOOD)) is None
    assert "exponent" in weakness(_rsa(GOOD, exponent))
    assert "exponent" in weakness(_rsa(GOOD, (1 << 300) + 1))
    assert weakness(_rsa(GOOD, 65539)) is None


@pytest.mark.parametrize("factor", [3, 743, 751, 1999])
def test_a_small_factor_is_refused(factor):
    modulus = GOOD
    while modulus % factor:
        modulus += 2
    assert "prime factor" in weakness(_rsa(modulus))


def test_primes_that_lie_close_together_are_refused():
    chance = random.Random(7)
    first = _prime_after(chance.getrandbits(1024) | 3 << 1022, chance)
    near = _prime_after(first + (1 << 400), chance)
    far = _prime_after(first ^ (1 << 1020), chance)
    assert "close together" in weakness(_rsa(first * near))
    assert "close together" in weakness(_rsa(first * first))
    assert weakness(_rsa(first * far)) is None


def test_primes_as_the_faulty_library_made_them_are_refused():
    """CVE-2017-15361: each prime is k·M + (65537^a mod M), M the product of the first 126 primes for 2048 bits."""
    chance = random.Random(7)
    primes = [n for n in range(2, 702) if all(n % d for d in range(2, math.isqrt(n) + 1))]
    product = math.prod(primes[:126])

    def faulty_prime() -> int:
        while True:
            found = chance.getrandbits(1024 - product.bit_length() - 1) * product + pow(65537, chance.getrandbits(200), product)  # fmt: skip
            found += (1 << (1023 - product.bit_length())) * product
            if _is_prime(found, chance):
                return found

    modulus = faulty_prime() * faulty_prime()
    assert 2040 <= modulus.bit_length() <= 2048
    assert "ROCA" in weakness(_rsa(modulus))
    assert weakness(_rsa(GOOD)) is None


FIELD = 2**255 - 19
D = -121665 * pow(121666, -1, FIELD) % FIELD


def _add(p: tuple[int, int], q: tuple[int, int]) -> tuple[int, int]:
    """RFC 8032, section 5.1.4, in plain coordinates."""
    (x1, y1), (x2, y2) = p, q
    both = D * x1 * x2 * y1 * y2 % FIELD
    return (
        (x1 * y2 + x2 * y1) * pow(1 + both, -1, FIELD) % FIELD,
        (y1 * y2 + x1 * x2) * pow(1 - both, -1, FIELD) % FIELD,
    )


def _points_of_height(y: int) -> list[tuple[int, int]]:
    square = (y * y - 1) * pow(D * y * y + 1, -1, FIELD) % FIELD
    root = pow(square, (FIELD + 3) // 8, FIELD)
    if root * root % FIELD != square:
        root = root * pow(2, (FIELD - 1) // 4, FIELD) % FIELD
    return [(root, y), (-root % FIELD, y)] if root * root % FIELD == square else []


def test_every_ed25519_point_of_small_order_is_refused():
    """All eight are multiples of one point of order 8, which is found as l times any point that is large enough."""
    order = 2**252 + 27742317777372353535851937790883648493
    small: set[tuple[int, int]] = set()
    for y in range(3, 40):
        for point in _points_of_height(y):
            found, base, left = (0, 1), point, order
            while left:
                found, base, left = _add(found, base) if left & 1 else found, _add(base, base), left >> 1
            small.add(found)
    assert len(small) == 8
    for x, y in small:
        for height in {y, y + FIELD} if y + FIELD < 1 << 255 else {y}:
            raw = (height | (x & 1) << 255).to_bytes(32, "little")
            assert "small order" in weakness(ed25519.Ed25519PublicKey.from_public_bytes(raw)), raw.hex()


def test_a_point_of_small_order_lets_anybody_sign():
    """Why it matters: with the neutral point as key, a signature of the neutral point and zero is valid for anything."""
    neutral = (1).to_bytes(32, "little")
    key = ed25519.Ed25519PublicKey.from_public_bytes(neutral)
    key.verify(neutral + bytes(32), b"anything at all")
    with pytest.raises(InvalidSignature):
        PrivateKey.generate(KeyType.ED25519).handle.public_key().verify(neutral + bytes(32), b"anything at all")
    assert weakness(key) is not None


def test_a_point_off_its_curve_is_refused_when_it_is_read():
    for curve in (ec.SECP256R1(), ec.SECP384R1()):
        numbers = ec.generate_private_key(curve).public_key().public_numbers()
        assert numbers.public_key()
        with pytest.raises(ValueError):
            ec.EllipticCurvePublicNumbers(numbers.x, numbers.y ^ 1, curve).public_key()
        with pytest.raises(ValueError):
            ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\0")


@settings(max_examples=50)
@given(st.integers(1 << 2047, (1 << 2048) - 1).map(lambda n: n | 1))
def test_no_number_makes_it_fail(modulus):
    assert weakness(_rsa(modulus)) is None or isinstance(weakness(_rsa(modulus)), str)
