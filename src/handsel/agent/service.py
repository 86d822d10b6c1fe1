"""The stories of the agent: what is due, what to ask for, what came back. Plain and synchronous."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from handsel.agent import renewal
from handsel.agent.model import Holdings, KeyPair, Workload
from handsel.errors import ProtocolError
from handsel.link.messages import SignBatchRequest
from handsel.pki import csr
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey

# A thousand requests fit into one body of the link.
_LARGEST_BATCH = 500


@dataclass(frozen=True)
class Asked:
    """Certificates that were asked for: the keys stay here until the chains come back."""

    keys: tuple[tuple[str, PrivateKey], ...]

    def request(self, holdings: Holdings) -> SignBatchRequest:
        return SignBatchRequest(
            tuple(
                (service, csr.build(key, holdings.workloads[service].assigned.identity)) for service, key in self.keys
            )
        )


def due(holdings: Holdings, now: datetime) -> list[str]:
    """The services whose certificate is missing, revoked or due, at most one batch of them.

    Whether a service may have another after a revocation is the server's to say: it refuses a host that is banned.
    """
    found = [name for name, workload in holdings.workloads.items() if _is_due(workload, holdings, now)]
    return found[:_LARGEST_BATCH]


def next_due(holdings: Holdings, own: KeyPair) -> datetime:
    """The next moment at which something is due."""
    moments = [
        renewal.due(workload.key_pair.leaf, workload.assigned.renew_before_end, holdings.signing)
        for workload in holdings.workloads.values()
        if workload.key_pair is not None
    ]
    return min([renewal.due(own.leaf, None, holdings.signing), *moments])


def ask(services: Sequence[str]) -> Asked:
    """A fresh key for each service: a key is never used for two certificates."""
    return Asked(tuple((service, PrivateKey.generate()) for service in services))


def receive(holdings: Holdings, asked: Asked, chains: Sequence[tuple[Certificate, ...]]) -> Holdings:
    """The holdings with the new pairs. Raises `ProtocolError` when an answer does not fit what was asked."""
    if len(chains) != len(asked.keys):
        raise ProtocolError(f"{len(asked.keys)} certificates were asked for, {len(chains)} came")
    for (service, key), chain in zip(asked.keys, chains, strict=True):
        workload = holdings.workloads.get(service)
        if workload is None:
            continue  # taken away in the meantime
        pair = check_pair(key, chain)
        if pair.leaf.spiffe_id != workload.assigned.identity:
            raise ProtocolError(f"the certificate for {service} is for {pair.leaf.spiffe_id}")
        holdings = holdings.with_workload(replace(workload, key_pair=pair))
    return holdings


def check_pair(key: PrivateKey, chain: tuple[Certificate, ...]) -> KeyPair:
    """A pair that belongs together. Raises `ProtocolError`."""
    if not chain or chain[0].public_key_der != key.public_der():
        raise ProtocolError("the certificate that came is not for the key that was made")
    return KeyPair(key, chain)


def leads_to(pair: KeyPair, roots: Sequence[Certificate]) -> bool:
    """Whether one of these roots signed the last certificate of a chain."""
    return pair.chain[-1].authority_key_id in {root.key_id for root in roots}


def _is_due(workload: Workload, holdings: Holdings, now: datetime) -> bool:
    pair = workload.key_pair
    if pair is None or holdings.is_revoked(pair.leaf):
        return True
    return now >= renewal.due(pair.leaf, workload.assigned.renew_before_end, holdings.signing)
