"""How a certificate is named when its renewal is spoken of (RFC 9773, section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

from handsel.acme import jws
from handsel.acme.problems import malformed

_LONGEST = 128


@dataclass(frozen=True)
class CertificateId:
    """A certificate by the key identifier of its issuer and its serial number."""

    key_id: bytes
    serial: int

    @classmethod
    def parse(cls, text: str) -> CertificateId:
        """The certificate that is meant. Each part is base64url of its own. Raises `Problem` (`malformed`)."""
        key_id, dot, serial = text.partition(".")
        if len(text) > _LONGEST or not dot or "." in serial:
            raise malformed("a certificate is named as its issuer's key identifier, a dot, and its serial number")
        octets = jws.decode(serial, "the serial number")
        found = cls(jws.decode(key_id, "the key identifier"), int.from_bytes(octets, "big", signed=True))
        if not found.key_id or found.serial <= 0 or octets != found.serial_octets:
            raise malformed("the serial number is not the octets of a positive DER integer, or the key has no name")
        return found

    @property
    def serial_octets(self) -> bytes:
        """The content of the serial number's DER: big-endian, with a zero before a first bit that is set."""
        return self.serial.to_bytes(self.serial.bit_length() // 8 + 1, "big")

    @property
    def serial_hex(self) -> str:
        """The serial number as the directory has it."""
        return f"{self.serial:x}"

    def __str__(self) -> str:
        return f"{jws.encode(self.key_id)}.{jws.encode(self.serial_octets)}"
