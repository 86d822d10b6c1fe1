"""What an agent holds: enough to serve its proxies with the server gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from handsel.link.messages import AssignedWorkload, Resources, Signing
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain


@dataclass(frozen=True)
class Ports:
    """The ports of one workload, all chosen by the agent except an `application` port that a person wrote."""

    application: int
    mesh: int
    proxy: int
    callees: Mapping[str, int]

    def all(self) -> set[int]:
        return {self.application, self.mesh, self.proxy, *self.callees.values()}


@dataclass(frozen=True)
class KeyPair:
    """A private key with the chain that was issued for it, leaf first."""

    key: PrivateKey
    chain: tuple[Certificate, ...]

    @property
    def leaf(self) -> Certificate:
        return self.chain[0]


@dataclass(frozen=True)
class Workload:
    """One service of this host: who it is, its ports, its key and certificate, its proxy's configuration."""

    assigned: AssignedWorkload
    ports: Ports | None = None
    key_pair: KeyPair | None = None
    resources: Resources | None = None

    @property
    def service(self) -> str:
        return self.assigned.service


@dataclass(frozen=True)
class Holdings:
    """Everything last received, and the sequence of the watch up to which it was.

    `signing`: the CA that signs identities now, as far as the server said.
    """

    roots: tuple[Certificate, ...]
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    sequence: int = 0
    signing: Signing | None = None

    def with_workload(self, workload: Workload) -> Holdings:
        return replace(self, workloads={**self.workloads, workload.service: workload})


@dataclass(frozen=True)
class Enrolment:
    """That this host has joined: where, and as whom. `others`: more servers, asked when the one at `url` is away."""

    url: str
    trust_domain: TrustDomain
    agent_id: str
    others: tuple[str, ...] = ()
