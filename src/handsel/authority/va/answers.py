"""What an OCSP request is answered: from which CA, how each certificate stands, and for how long that is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from handsel.authority.model import Issuer
from handsel.authority.va.responder import may_sign
from handsel.authority.va.status import StatusIndex
from handsel.pki.ocsp import CertId, Problem, Query, Responder, Status, issuer_ids, response

LIFETIME = timedelta(hours=1)
"""How long an answer is true at most; a fresh one is given to whoever asks again."""


@dataclass(frozen=True)
class Signer:
    """A CA, and who signs answers for it."""

    issuer: Issuer
    responder: Responder


@dataclass(frozen=True)
class Answer:
    """A response. `serials` are those that it speaks of; one that says `unknown` or has a nonce is `fresh_only`."""

    der: bytes
    serials: tuple[tuple[str, int], ...]
    this_update: datetime
    next_update: datetime
    fresh_only: bool


class Signers:
    """The CAs that are answered for, by whatever hash a request names them with."""

    def __init__(self, signers: Mapping[str, Signer]) -> None:
        self._by_id = {name: signer for signer in signers.values() for name in issuer_ids(signer.issuer.certificate)}

    def of(self, asked: CertId) -> Signer | None:
        name, name_hash, key_hash = asked.issuer
        return self._by_id.get((name, name_hash, key_hash)) if name else None


def signer_of(query: Query, signers: Signers, now: datetime) -> Signer | Problem:
    """Who signs the answer: one signs for one CA only, the first in the request that is known."""
    found = next((signer for each in query.asked if (signer := signers.of(each))), None)
    if found is None:
        return Problem.UNAUTHORIZED
    return found if may_sign(found.responder, found.issuer, now) else Problem.TRY_LATER


def serials_of(query: Query, signer: Signer, signers: Signers) -> tuple[int, ...]:
    """The serial numbers in a request that this signer can speak of."""
    return tuple(each.serial for each in query.asked if signers.of(each) is signer)


def answer(
    query: Query, signer: Signer, signers: Signers, index: StatusIndex, issued: frozenset[int], *, now: datetime
) -> Answer:
    """The signed answer. `issued` are the serial numbers among the asked ones that this CA has issued."""
    now = now.replace(microsecond=0)  # never in the future (RFC 6960, section 2.4)
    until = min(now + LIFETIME, signer.responder.certificate.not_after, signer.issuer.not_after)
    found = [(each, _status(each, signer, signers, index, issued)) for each in query.asked]
    made = response(found, signer.responder, now=now, until=until, nonce=query.nonce)
    serials = tuple((signer.issuer.name, each.serial) for each, status in found if status.known)
    return Answer(made, serials, now, until, query.nonce is not None or len(serials) != len(found))


def _status(asked: CertId, signer: Signer, signers: Signers, index: StatusIndex, issued: frozenset[int]) -> Status:
    if signers.of(asked) is not signer or asked.serial not in issued:
        return Status(known=False)
    revoked = index.find(signer.issuer.name, asked.serial)
    return Status(revoked_at=revoked.at, reason=revoked.reason) if revoked else Status()
