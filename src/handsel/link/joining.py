"""The messages of hosts that join or come back, as values. See `handsel.link.messages` for the others."""

from __future__ import annotations

from dataclasses import dataclass, field

from handsel.link import wire_pb2 as wire
from handsel.link.codec import certificates, decode, ders
from handsel.pki.certificate import Certificate
from handsel.pki.names import TrustDomain


@dataclass(frozen=True)
class Challenge:
    """What makes a join fresh; the server takes it once."""

    challenge: str

    def encode(self) -> bytes:
        return wire.Challenge(challenge=self.challenge).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> Challenge:
        return decode(wire.Challenge, body, lambda m: cls(m.challenge))


@dataclass(frozen=True)
class Evidence:
    """What an attestor looks at; each takes what it needs. `signature` and `quote` are over the transcript."""

    chain: tuple[bytes, ...] = ()
    signature: bytes = b""
    quote: bytes = b""
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class JoinRequest:
    """`attestor` is empty for a ticket. `signature` is by the key of the CSR, over the transcript."""

    ticket_id: str
    csr: bytes
    proof: bytes
    host_name: str
    attestor: str = ""
    evidence: Evidence = Evidence()
    challenge: str = ""
    signature: bytes = b""
    recovery_csr: bytes = b""

    def encode(self) -> bytes:
        evidence = self.evidence
        return wire.JoinRequest(
            ticket_id=self.ticket_id,
            csr=self.csr,
            proof=self.proof,
            host_name=self.host_name,
            attestor=self.attestor,
            evidence=wire.Evidence(
                chain=evidence.chain, signature=evidence.signature, quote=evidence.quote, token=evidence.token
            ),
            challenge=self.challenge,
            signature=self.signature,
            recovery_csr=self.recovery_csr,
        ).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> JoinRequest:
        return decode(wire.JoinRequest, body, _decode_join)


@dataclass(frozen=True)
class RecoverRequest:
    """An agent whose certificate has ended proves by its recovery key who it is. Both signatures: the transcript."""

    agent_id: str
    csr: bytes
    challenge: str
    signature: bytes
    recovery_signature: bytes

    def encode(self) -> bytes:
        return wire.RecoverRequest(
            agent_id=self.agent_id,
            csr=self.csr,
            challenge=self.challenge,
            signature=self.signature,
            recovery_signature=self.recovery_signature,
        ).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> RecoverRequest:
        return decode(
            wire.RecoverRequest,
            body,
            lambda m: cls(m.agent_id, m.csr, m.challenge, m.signature, m.recovery_signature),
        )


@dataclass(frozen=True)
class JoinResponse:
    agent_id: str
    trust_domain: TrustDomain
    chain: tuple[Certificate, ...]
    roots: tuple[Certificate, ...]
    proof: bytes = b""

    @property
    def proven(self) -> tuple[bytes, ...]:
        """What the server's proof is over, besides the transcript."""
        return (self.agent_id.encode(), str(self.trust_domain).encode(), *ders(self.chain), b"", *ders(self.roots))

    def encode(self) -> bytes:
        return wire.JoinResponse(
            agent_id=self.agent_id,
            trust_domain=str(self.trust_domain),
            chain=ders(self.chain),
            roots=ders(self.roots),
            proof=self.proof,
        ).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> JoinResponse:
        return decode(
            wire.JoinResponse,
            body,
            lambda m: cls(
                m.agent_id, TrustDomain(m.trust_domain), certificates(m.chain), certificates(m.roots), m.proof
            ),
        )


def _decode_join(message: wire.JoinRequest) -> JoinRequest:
    shown = message.evidence
    return JoinRequest(
        message.ticket_id,
        message.csr,
        message.proof,
        message.host_name,
        message.attestor,
        Evidence(tuple(shown.chain), shown.signature, shown.quote, shown.token),
        message.challenge,
        message.signature,
        message.recovery_csr,
    )
