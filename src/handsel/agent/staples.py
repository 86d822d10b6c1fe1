"""OCSP answers that go along with a certificate (RFC 6066, section 8), so that its readers need not ask anybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cryptography.x509 import ocsp

from handsel.agent.model import Holdings, KeyPair, Staple, Workload
from handsel.errors import ProtocolError
from handsel.tls import revocation
from handsel.tls.revocation import Standing


@dataclass(frozen=True)
class Wanted:
    """A staple to ask for: the OCSP request, DER."""

    service: str
    pair: KeyPair = field(repr=False)

    @property
    def request(self) -> bytes:
        leaf, issuer = self.pair.chain[:2]
        return revocation.request(leaf, issuer)


def due(holdings: Holdings, now: datetime) -> list[Wanted]:
    """What is to be asked for: staples that are wanted, and not there or past half of their life."""
    return [
        Wanted(each.service, each.key_pair)
        for each in holdings.workloads.values()
        if each.key_pair is not None and (moment := _due(each)) is not None and now >= moment
    ]


def next_due(holdings: Holdings) -> datetime | None:
    """When the next one is to be asked for."""
    moments = [moment for each in holdings.workloads.values() if (moment := _due(each)) is not None]
    return min(moments, default=None)


def receive(wanted: Wanted, answer: bytes, now: datetime) -> Staple:
    """The staple that came. Raises `ProtocolError` when it does not say that the certificate is good."""
    leaf, issuer = wanted.pair.chain[:2]
    verdict = revocation.by_responder(answer, leaf, issuer, now)
    if verdict.standing is not Standing.GOOD:
        raise ProtocolError(f"the OCSP answer for {wanted.service} is not used: {verdict.why or verdict.standing}")
    return read(answer, leaf.serial)


def read(answer: bytes, serial: str) -> Staple:
    """A staple from its bytes, DER. Raises `ValueError` when they are none."""
    response = ocsp.load_der_ocsp_response(answer)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL or response.next_update_utc is None:
        raise ValueError("no answer that says until when it is good")
    return Staple(serial, answer, response.this_update_utc, response.next_update_utc)


def _due(workload: Workload) -> datetime | None:
    staple, pair = workload.staple, workload.key_pair
    if pair is None or not workload.assigned.staple:
        return None
    if staple is None or staple.serial != pair.leaf.serial:
        return pair.leaf.not_before
    return staple.since + (staple.until - staple.since) / 2
