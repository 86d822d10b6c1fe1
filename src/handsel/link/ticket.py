"""Join tickets: the first secret, used once.

A ticket is one line of text, `hs2.<base64url>`, with the server's address, the trust domain, an id, a secret, and the
pins of the authority's current and next root key; with two pins and a usual address it has less than 200 characters.
The secret never travels: host and server prove to each other that they know it, by HMACs over the transcript, which
has the certificate that the host saw. So a relay in between gains nothing, and the host knows the authority by the
ticket alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from handsel.errors import TicketRefused
from handsel.link.joining import JoinResponse
from handsel.link.transcript import Transcript, digest
from handsel.pki.names import TrustDomain
from handsel.pki.secret import Secret

_PREFIX, _FIRST_PREFIX = "hs2.", "hs1."
_HTTPS = "https://"
_MAXIMUM_LENGTH = 2048
_PIN_BYTES = 32
_FIXED_PARTS = 4
SECRET_BYTES = 16
"""128 bits: it is guessed online only, and once."""


@dataclass(frozen=True)
class TicketText:
    """What a ticket says to the host that redeems it. `ticket_id` and `pins` are hex."""

    url: str
    trust_domain: str
    ticket_id: str
    secret: Secret
    pins: tuple[str, ...]

    def encode(self) -> str:
        """The line that a person copies."""
        parts = [
            self.url.removeprefix(_HTTPS).encode(),
            self.trust_domain.encode(),
            bytes.fromhex(self.ticket_id),
            self.secret.reveal(),
            *(bytes.fromhex(pin) for pin in self.pins),
        ]
        packed = b"".join(bytes([len(part)]) + part for part in parts)
        return _PREFIX + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> TicketText:
        """Read a ticket. Raises `TicketRefused` when the text is none."""
        try:
            if len(text) > _MAXIMUM_LENGTH or not text.startswith((_PREFIX, _FIRST_PREFIX)):
                raise ValueError("it does not look like a ticket")
            return cls._unpack(text) if text.startswith(_PREFIX) else cls._read_first(text)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise TicketRefused(
                "this is not a join ticket", next_step="copy the whole line that `handsel agent ticket` printed"
            ) from error

    @classmethod
    def _unpack(cls, text: str) -> TicketText:
        body = text.removeprefix(_PREFIX).encode("ascii")
        packed = base64.b64decode(body + b"=" * (-len(body) % 4), altchars=b"-_", validate=True)
        parts: list[bytes] = []
        while packed:
            length = packed[0]
            if len(packed) <= length:
                raise ValueError("it ends early")
            parts.append(packed[1 : 1 + length])
            packed = packed[1 + length :]
        url, domain, ticket_id, secret = parts[:_FIXED_PARTS]
        pins = parts[_FIXED_PARTS:]
        if len(secret) < SECRET_BYTES or any(len(pin) != _PIN_BYTES for pin in pins):
            raise ValueError("it is damaged")
        address = url.decode()
        return cls(
            address if "://" in address else _HTTPS + address, str(TrustDomain(domain.decode())), ticket_id.hex(),
            Secret(secret), tuple(pin.hex() for pin in pins),
        )  # fmt: skip

    @classmethod
    def _read_first(cls, text: str) -> TicketText:
        """The first form, base64url of JSON: tickets that were made before this version."""
        content = json.loads(base64.urlsafe_b64decode(text.removeprefix(_FIRST_PREFIX)))
        return cls(
            url=str(content["url"]),
            trust_domain=str(TrustDomain(str(content["td"]))),
            ticket_id=bytes.fromhex(content["id"]).hex(),
            secret=Secret(base64.b64decode(content["secret"], validate=True)),
            pins=tuple(bytes.fromhex(pin).hex() for pin in content["pins"]),
        )


def derive(secret: Secret) -> bytes:
    """The key that the server keeps: it can check a proof, and does not give the secret away."""
    return hashlib.sha256(b"handsel join ticket v1\n" + secret.reveal()).digest()


def prove(derived_key: bytes, transcript: Transcript) -> bytes:
    """The host's proof that it knows the secret."""
    return hmac.digest(derived_key, b"host\n" + transcript.digest(), "sha256")


def proof_holds(derived_key: bytes, transcript: Transcript, proof: bytes) -> bool:
    return hmac.compare_digest(prove(derived_key, transcript), proof)


def prove_answer(derived_key: bytes, transcript: Transcript, answer: JoinResponse) -> bytes:
    """The server's proof: it knows the ticket, took part in this very join, and answered just that."""
    return hmac.digest(derived_key, b"server\n" + digest(transcript.digest(), *answer.proven), "sha256")


def answer_holds(derived_key: bytes, transcript: Transcript, answer: JoinResponse) -> bool:
    return hmac.compare_digest(prove_answer(derived_key, transcript, answer), answer.proof)
