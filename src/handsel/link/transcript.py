"""What both sides of a join have seen. Each proof of a join is over it, so none is good for another join."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

_JOIN = b"handsel join v2"
_RECOVER = b"handsel recover v1"


@dataclass(frozen=True)
class Transcript:
    """One join or recovery.

    `subject`: the id of a ticket, or of the agent that recovers. `server_certificate_sha256`: of the certificate that
    the host saw, which makes what is relayed through another endpoint worthless.
    """

    attestor: str
    subject: str
    challenge: str
    server_certificate_sha256: bytes
    csr: bytes
    recovery_csr: bytes = b""
    host_name: str = ""
    label: bytes = _JOIN

    @classmethod
    def of_recovery(cls, agent_id: str, challenge: str, server_certificate_sha256: bytes, csr: bytes) -> Transcript:
        return cls("recovery", agent_id, challenge, server_certificate_sha256, csr, label=_RECOVER)

    def digest(self) -> bytes:
        """SHA-256 of all of it: what a quote of a TPM is over."""
        return digest(
            self.label, self.attestor.encode(), self.subject.encode(), self.challenge.encode(),
            self.server_certificate_sha256, self.csr, self.recovery_csr, self.host_name.encode(),
        )  # fmt: skip

    def signed(self) -> bytes:
        """What keys sign. The words before the digest keep the signature from meaning anything in another protocol."""
        return self.label + b", signed by a host\n" + self.digest()


def digest(*parts: bytes) -> bytes:
    """SHA-256 of parts, each after its length: no other parts have it."""
    return hashlib.sha256(b"".join(_framed(parts))).digest()


def _framed(parts: Iterable[bytes]) -> Iterable[bytes]:
    for part in parts:
        yield len(part).to_bytes(4, "big")
        yield part
