"""Join tickets: the first secret, used once.

A ticket is one line of text, `hs1.<base64url of JSON>`, with the server's address, the pins of the authority's current
and next root key, an id and a secret. The secret never travels: joining proves knowledge of it by an HMAC over the
request and over the server certificate that the joining side saw, so a relay in between gains nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from handsel.errors import TicketRefused
from handsel.pki.names import TrustDomain
from handsel.pki.secret import Secret

_PREFIX = "hs1."
_MAXIMUM_LENGTH = 2048
SECRET_BYTES = 32


@dataclass(frozen=True)
class TicketText:
    """What a ticket says to the host that redeems it."""

    url: str
    trust_domain: str
    ticket_id: str
    secret: Secret
    pins: tuple[str, ...]

    def encode(self) -> str:
        """The line that a person copies."""
        content = {
            "url": self.url,
            "td": self.trust_domain,
            "id": self.ticket_id,
            "secret": base64.b64encode(self.secret.reveal()).decode(),
            "pins": list(self.pins),
        }
        return _PREFIX + base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode()

    @classmethod
    def decode(cls, text: str) -> TicketText:
        """Read a ticket. Raises `TicketRefused` when the text is none."""
        try:
            if not text.startswith(_PREFIX) or len(text) > _MAXIMUM_LENGTH:
                raise ValueError("it does not look like a ticket")
            content = json.loads(base64.urlsafe_b64decode(text.removeprefix(_PREFIX)))
            ticket = cls(
                url=str(content["url"]),
                trust_domain=str(TrustDomain(str(content["td"]))),
                ticket_id=str(content["id"]),
                secret=Secret(base64.b64decode(content["secret"], validate=True)),
                pins=tuple(str(pin) for pin in content["pins"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise TicketRefused(
                "this is not a join ticket", next_step="copy the whole line that `handsel agent ticket` printed"
            ) from error
        return ticket


def derive(secret: Secret) -> bytes:
    """The key that the server keeps: it can check a proof, and does not give the secret away."""
    return hashlib.sha256(b"handsel join ticket v1\n" + secret.reveal()).digest()


def prove(derived_key: bytes, request_der: bytes, server_certificate_sha256: bytes) -> bytes:
    """The proof that goes with a join request: an HMAC-SHA256 over it and the server certificate that was seen."""
    return hmac.new(derived_key, server_certificate_sha256 + request_der, hashlib.sha256).digest()


def proof_holds(derived_key: bytes, request_der: bytes, certificates_sha256: tuple[bytes, ...], proof: bytes) -> bool:
    """Whether `proof` fits the request and one of the server's certificates (the current and the one before it)."""
    return any(hmac.compare_digest(prove(derived_key, request_der, digest), proof) for digest in certificates_sha256)
