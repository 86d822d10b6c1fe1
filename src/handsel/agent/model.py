"""What an agent holds: enough to serve its proxies with the server gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from handsel.envoy.options import Options
from handsel.link.messages import AssignedWorkload, Bundle, FederatedBundle, Resources, Signing
from handsel.model.pod import Interception
from handsel.pki.certificate import Certificate
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain
from handsel.pki.revocation import serials, signer_key_id


@dataclass(frozen=True)
class Ports:
    """The ports of one workload, all chosen by the agent except an `application` port that a person wrote.

    `addresses`: where rights allow, a loopback address of its own for each callee, at which it has its usual ports.
    `more`: the mesh port before each further port of the program.
    """

    application: int
    mesh: int
    proxy: int
    callees: Mapping[str, int]
    addresses: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[int, int] = field(default_factory=dict)

    def all(self) -> set[int]:
        return {self.application, self.mesh, self.proxy, *self.callees.values(), *self.more, *self.more.values()}


@dataclass(frozen=True)
class KeyPair:
    """A private key with the chain that was issued for it, leaf first."""

    key: PrivateKey
    chain: tuple[Certificate, ...]

    @property
    def leaf(self) -> Certificate:
        return self.chain[0]


@dataclass(frozen=True)
class Owner:
    """The user that a workload's program runs as, and its group."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Staple:
    """An OCSP answer for the certificate with this serial number: DER, of `since`, good until `until`."""

    serial: str
    answer: bytes = field(repr=False)
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Workload:
    """One service of this host: who it is, its ports, its key and certificate, its proxy's configuration.

    `owner`: whom its program runs as, where that is somebody else than the agent. `acme`: what an ACME CA gave it.
    """

    assigned: AssignedWorkload
    ports: Ports | None = None
    key_pair: KeyPair | None = None
    resources: Resources | None = None
    owner: Owner | None = None
    acme: KeyPair | None = None
    staple: Staple | None = None

    def staple_at(self, now: datetime) -> bytes:
        """The OCSP answer that goes along with the certificate; empty when there is none that is good now."""
        staple, pair = self.staple, self.key_pair
        wanted = self.assigned.staple and staple and pair and staple.serial == pair.leaf.serial and now < staple.until
        return staple.answer if staple and wanted else b""

    @property
    def service(self) -> str:
        return self.assigned.service


@dataclass(frozen=True)
class HostSettings:
    """How an agent runs on its host.

    `address`: where other hosts reach this one. `allow_commands`: those too that the server asks for when files were
    delivered. `has_names`: names of callees can lead to the proxies. `drain`: how long connections go on after what
    they belong to was replaced, or the peer revoked. `strict`: each program lives in a network namespace of its own.
    `proxies` False: no Envoy is run here, and nobody is told that one could be reached. `pod`: how connections
    come to it when this is the sidecar of a pod. `envoy`: how each Envoy runs.
    """

    address: str = "127.0.0.1"
    allow_commands: bool = False
    has_names: bool = False
    drain: timedelta = timedelta(seconds=5)
    strict: bool = False
    proxies: bool = True
    pod: Interception | None = None
    envoy: Options = field(default_factory=Options)

    @property
    def captured(self) -> bool:
        """Whether connections of a pod are led to its sidecar."""
        return self.pod not in (None, Interception.NONE)


@dataclass(frozen=True)
class Start:
    """How a workload's program is started: what it finds in its environment, whom it runs as, and its own names.

    `owner` None: whoever starts it; `hosts`: a file that takes the place of /etc/hosts for it, empty: none;
    `network`: the network namespace that it lives in, empty: the host's.
    """

    environment: Mapping[str, str]
    owner: Owner | None = None
    hosts: str = ""
    network: str = ""


@dataclass(frozen=True)
class Holdings:
    """Everything last received, and the sequence of the watch up to which it was.

    `bundle`: whom to believe. `digests`: what is held of each kind and key, see `Index`.
    """

    bundle: Bundle
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    sequence: int = 0
    digests: Mapping[tuple[str, str], bytes] = field(default_factory=dict)

    @property
    def roots(self) -> tuple[Certificate, ...]:
        return self.bundle.roots

    @property
    def signing(self) -> Signing | None:
        return self.bundle.signing

    @property
    def crls(self) -> tuple[bytes, ...]:
        return self.bundle.crls

    @property
    def jwks(self) -> bytes:
        return self.bundle.jwks

    @property
    def federated(self) -> tuple[FederatedBundle, ...]:
        return self.bundle.federated

    def is_revoked(self, leaf: Certificate) -> bool:
        """Whether a certificate of the mesh stands on one of the lists."""
        return (leaf.authority_key_id, leaf.parsed.serial_number) in self._revoked

    @cached_property
    def _revoked(self) -> frozenset[tuple[bytes | None, int]]:
        return frozenset((signer_key_id(each), serial) for each in self.crls for serial in serials(each))

    def with_workload(self, workload: Workload) -> Holdings:
        return replace(self, workloads={**self.workloads, workload.service: workload})


@dataclass(frozen=True)
class Enrolment:
    """That this host has joined: where, and as whom. `others`: more servers, asked when the one at `url` is away.

    `machine`: a mark of the machine that joined, or "" when that is not known.
    """

    url: str
    trust_domain: TrustDomain
    agent_id: str
    others: tuple[str, ...] = ()
    machine: str = ""
