"""What an agent asks for when a workload wants a JWT-SVID: `POST /agent/v1/jwt`. See `handsel.link.messages`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from handsel.link import wire_pb2 as wire
from handsel.link.codec import decode


@dataclass(frozen=True)
class JwtRequest:
    """A token for a service of the host, for these audiences."""

    service: str
    audiences: tuple[str, ...]

    def encode(self) -> bytes:
        return wire.JwtRequest(service=self.service, audiences=self.audiences).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> JwtRequest:
        return decode(wire.JwtRequest, body, lambda m: cls(m.service, tuple(m.audiences)))


@dataclass(frozen=True)
class JwtResponse:
    """A JWT-SVID, and when it ends. Whoever holds it may use it: it is not for logs."""

    token: str = field(repr=False)
    expires: datetime

    def encode(self) -> bytes:
        return wire.JwtResponse(token=self.token, expires=int(self.expires.timestamp())).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> JwtResponse:
        return decode(wire.JwtResponse, body, lambda m: cls(m.token, datetime.fromtimestamp(m.expires, UTC)))
