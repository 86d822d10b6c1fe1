"""A quote of a TPM 2.0 over the transcript, by an attestation key that a CA has certified.

The CA certifies the key after it has seen that it is a restricted signing key of a genuine TPM. Such a key never signs
what begins with TPM_GENERATED unless the TPM made it, so a quote that it signed was made by that TPM, for this very
challenge (TPM 2.0 Library, part 1, section 31; part 2, section 10.12).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509 import ObjectIdentifier

from handsel.authority.attest import x509pop
from handsel.authority.attest.model import Attested
from handsel.errors import Refused
from handsel.link.joining import Evidence
from handsel.link.transcript import Transcript
from handsel.model.authority import Registration

ATTESTATION_KEY = ObjectIdentifier("2.23.133.8.3")
"""tcg-kp-AIKCertificate: the CA has seen that the key is a restricted signing key of a TPM."""

_MAGIC, _QUOTE = b"\xffTCG", 0x8018
_LONGEST = 4096
_CLOCK_AND_FIRMWARE = 17 + 8
_HASHES: dict[int, hashes.HashAlgorithm] = {0x0B: hashes.SHA256(), 0x0C: hashes.SHA384(), 0x0D: hashes.SHA512()}
_BANKS = {0x04: "sha1", 0x0B: "sha256", 0x0C: "sha384", 0x0D: "sha512"}
_RSASSA, _ECDSA = 0x14, 0x18

read_trust = x509pop.read_trust


@dataclass(frozen=True)
class Quote:
    """What a TPM says: the bytes that it was asked to sign with, and the state of its registers.

    `registers`: such as `sha256:0,1,7`. `digest`: over their values, in that order.
    """

    nonce: bytes
    registers: str
    digest: bytes


def attest(
    _rule: Registration, roots: x509pop.Roots, evidence: Evidence, transcript: Transcript, now: datetime
) -> Attested:
    """The machine whose TPM holds a certified attestation key. Raises `Refused`."""
    leaf = x509pop.certified(evidence.chain, roots, now)
    # Else any key below the CA, in whatever software, could say what a TPM says.
    if ATTESTATION_KEY not in (x509pop.leaf_usages(leaf) or ()):
        raise Refused(f"the certificate is not for an attestation key (usage {ATTESTATION_KEY.dotted_string})")
    if not signed(leaf.parsed.public_key(), evidence.signature, evidence.quote):
        raise Refused("the quote is not signed by the attestation key")
    quote = parse_quote(evidence.quote)
    if quote.nonce != transcript.digest():
        raise Refused("the quote is for another challenge")
    found = {**x509pop.selectors(leaf), "registers": (quote.registers,), "register_digest": (quote.digest.hex(),)}
    return Attested("tpm", leaf.subject, found)


def parse_quote(attested: bytes) -> Quote:
    """A TPMS_ATTEST of type TPM_ST_ATTEST_QUOTE. Raises `Refused`."""
    reader = _Reader(attested)
    if reader.take(4) != _MAGIC:
        raise Refused("the quote was not made by a TPM")
    if reader.number(2) != _QUOTE:
        raise Refused("this is not a quote, but another statement of a TPM")
    reader.sized()  # the name of the key, which the signature proves better
    nonce = reader.sized()
    reader.take(_CLOCK_AND_FIRMWARE)
    registers = []
    for _ in range(reader.number(4)):
        bank = reader.number(2)
        chosen = reader.take(reader.number(1))
        numbers = [str(8 * i + bit) for i, byte in enumerate(chosen) for bit in range(8) if byte >> bit & 1]
        registers.append(f"{_BANKS.get(bank, f'{bank:#x}')}:{','.join(numbers)}")
    digest = reader.sized()
    reader.end()
    return Quote(nonce, "+".join(registers), digest)


def signed(key: PublicKeyTypes, signature: bytes, content: bytes) -> bool:
    """Whether a TPMT_SIGNATURE (ECDSA or RSASSA) is by this key over the content. Raises `Refused` when it is none."""
    reader = _Reader(signature)
    algorithm, hash_algorithm = reader.number(2), _HASHES.get(reader.number(2))
    if hash_algorithm is None:
        raise Refused("the quote is signed with a hash that is not used here")
    try:
        if algorithm == _ECDSA and isinstance(key, ec.EllipticCurvePublicKey):
            r, s = int.from_bytes(reader.sized(), "big"), int.from_bytes(reader.sized(), "big")
            reader.end()
            key.verify(encode_dss_signature(r, s), content, ec.ECDSA(hash_algorithm))
            return True
        if algorithm == _RSASSA and isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
            value = reader.sized()
            reader.end()
            key.verify(value, content, padding.PKCS1v15(), hash_algorithm)
            return True
    except InvalidSignature:
        return False
    raise Refused("the quote's signature does not fit the attestation key")


class _Reader:
    """Big-endian fields of a TPM's structures. Raises `Refused` when they end early."""

    def __init__(self, content: bytes) -> None:
        if len(content) > _LONGEST:
            raise Refused(f"a statement of a TPM has at most {_LONGEST} bytes")
        self._rest = content

    def take(self, length: int) -> bytes:
        if length > len(self._rest):
            raise Refused("the statement of the TPM ends early")
        taken, self._rest = self._rest[:length], self._rest[length:]
        return taken

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def sized(self) -> bytes:
        """A TPM2B: a length in two bytes, then so many."""
        return self.take(self.number(2))

    def end(self) -> None:
        if self._rest:
            raise Refused("there is more than a statement of a TPM")
