"""The messages of the link as values. `wire.proto` is the format; only this module and `joining` know it.

Every `decode` raises `ProtocolError` for bytes that are no such message. A receiver ignores fields that it does not
know, so that server N works with agents N and N-1.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from handsel.link import wire_pb2 as wire
from handsel.link.acme import decode_acme, encode_acme
from handsel.link.codec import certificates, decode, ders
from handsel.link.deliveries import decode_delivery, encode_delivery
from handsel.model.acme_client import AcmeClient
from handsel.model.delivery import Delivery
from handsel.pki.certificate import Certificate
from handsel.pki.names import SpiffeId, TrustDomain
from handsel.pki.revocation import signer_key_id

VERSION = "1"
VERSION_HEADER = "handsel-link-version"
PREFIX = "/agent/v1"
MAXIMUM_BODY = 1 << 20
"""Bytes of one unary body. A thousand certificate requests fit; more come in several batches."""

_SERVICE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class RenewRequest:
    csr: bytes

    def encode(self) -> bytes:
        return wire.RenewRequest(csr=self.csr).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> RenewRequest:
        return decode(wire.RenewRequest, body, lambda m: cls(m.csr))


@dataclass(frozen=True)
class SignBatchRequest:
    """(service, CSR in DER) pairs."""

    wanted: tuple[tuple[str, bytes], ...]

    def encode(self) -> bytes:
        wanted = [wire.SignBatchRequest.Wanted(service=service, csr=csr) for service, csr in self.wanted]
        return wire.SignBatchRequest(wanted=wanted).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> SignBatchRequest:
        return decode(wire.SignBatchRequest, body, lambda m: cls(tuple((w.service, w.csr) for w in m.wanted)))


@dataclass(frozen=True)
class SignBatchResponse:
    """One chain, leaf first, for each request, in its order."""

    chains: tuple[tuple[Certificate, ...], ...]

    def encode(self) -> bytes:
        return wire.SignBatchResponse(chains=[wire.Chain(chain=ders(c)) for c in self.chains]).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> SignBatchResponse:
        return decode(wire.SignBatchResponse, body, lambda m: cls(tuple(certificates(c.chain) for c in m.chains)))


@dataclass(frozen=True)
class Chain:
    chain: tuple[Certificate, ...]

    def encode(self) -> bytes:
        return wire.Chain(chain=ders(self.chain)).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> Chain:
        return decode(wire.Chain, body, lambda m: cls(certificates(m.chain)))


@dataclass(frozen=True)
class Frame:
    """One frame of the watch: the newest body for (kind, key). Sequence 0 is a ping."""

    sequence: int
    kind: str
    key: str = ""
    body: bytes = b""

    def encode(self) -> bytes:
        """The frame as it travels: its length in four bytes, big-endian, then itself."""
        frame = wire.Frame(sequence=self.sequence, kind=self.kind, key=self.key, body=self.body).SerializeToString()
        return len(frame).to_bytes(4, "big") + frame

    @classmethod
    def decode(cls, body: bytes) -> Frame:
        """A frame without its length."""
        return decode(wire.Frame, body, lambda m: cls(m.sequence, m.kind, m.key, m.body))


PING = "ping"


def ping(now: datetime) -> Frame:
    """The frame that says only that the server is there, and what time it has."""
    return Frame(0, PING, body=int(now.timestamp() * 1000).to_bytes(8, "big"))


def time_of(frame: Frame) -> datetime | None:
    """The server's time in a ping; None for another frame, and for a ping of an older server."""
    if frame.kind != PING or len(frame.body) != 8:
        return None
    try:
        return datetime.fromtimestamp(int.from_bytes(frame.body, "big") / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


@dataclass(frozen=True)
class Index:
    """The body of a frame of kind `index`: the digest of each body that a host should have by now, by kind and key.

    It opens a watch that goes on. A server that was set back to an older state is found out by it.
    """

    KIND = "index"
    digests: Mapping[tuple[str, str], bytes]

    @classmethod
    def of(cls, frames: Iterable[Frame]) -> Index:
        return cls({(frame.kind, frame.key): digest_of(frame.body) for frame in frames})

    def encode(self) -> bytes:
        entries = [wire.Index.Entry(kind=k, key=key, digest=digest) for (k, key), digest in self.digests.items()]
        return wire.Index(entries=entries).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> Index:
        return decode(wire.Index, body, lambda m: cls({(each.kind, each.key): each.digest for each in m.entries}))


def digest_of(body: bytes) -> bytes:
    """By what a body of a frame is known again: 12 bytes of its SHA-256."""
    return hashlib.sha256(body).digest()[:12]


@dataclass(frozen=True)
class AssignedWorkload:
    """A service that this host runs.

    `port` 0 lets the agent choose; `renew_before_end` None renews between half and two thirds of life. `stores`: the
    formats of key stores that are kept beside key and chain; one that an agent does not know it leaves out. `user`:
    whom its program runs as where root starts it (a name, or `auto`). `hosts`: how programs call each callee.
    `staple`: an OCSP answer goes along with its certificate. `more_ports`: where the program listens beside `port`.
    `role`: what its proxy is for.
    """

    service: str
    identity: SpiffeId
    port: int
    callees: tuple[str, ...]
    renew_before_end: timedelta | None = None
    stores: tuple[str, ...] = ()
    user: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)
    deliveries: tuple[Delivery, ...] = ()
    acme: AcmeClient | None = None
    staple: bool = False
    more_ports: tuple[int, ...] = ()
    role: str = "sidecar"


@dataclass(frozen=True)
class Assignment:
    """The body of a frame of kind `assignment`."""

    KIND = "assignment"
    workloads: tuple[AssignedWorkload, ...]

    def encode(self) -> bytes:
        return wire.Assignment(
            workloads=[
                wire.Assignment.Workload(
                    service=w.service,
                    identity=str(w.identity),
                    port=w.port,
                    callees=w.callees,
                    renew_before_end_ms=round(w.renew_before_end.total_seconds() * 1000) if w.renew_before_end else 0,
                    stores=w.stores,
                    staple=w.staple,
                    more_ports=w.more_ports,
                    role=w.role,
                    user=w.user,
                    hosts=dict(w.hosts),
                    deliveries=[encode_delivery(each) for each in w.deliveries],
                    acme=encode_acme(w.acme) if w.acme else None,
                )
                for w in self.workloads
            ]
        ).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> Assignment:
        return decode(wire.Assignment, body, lambda m: cls(tuple(_decode_assigned(w) for w in m.workloads)))


@dataclass(frozen=True)
class Signing:
    """The CA that signs identities, by its key id, and since when: what another one signed is renewed soon."""

    key_id: bytes
    since: datetime


@dataclass(frozen=True)
class FederatedBundle:
    """Whom some services believe in another trust domain: its CAs, and as a JWKS its keys for JWT-SVIDs.

    `services` are those that federate with it.
    """

    trust_domain: TrustDomain
    x509_authorities: tuple[Certificate, ...]
    jwks: bytes
    services: tuple[str, ...]


@dataclass(frozen=True)
class Bundle:
    """The body of a frame of kind `bundle`: the roots of the trust domain, and which identities are revoked.

    `crls`: DER, one for each CA that signs identities. `signing`: which of them does so now; None: not said. `jwks`:
    the keys that sign JWT-SVIDs, as JSON (RFC 7517). `federated`: other trust domains, each with a bundle of its own.
    """

    KIND = "bundle"
    roots: tuple[Certificate, ...]
    crls: tuple[bytes, ...] = ()
    signing: Signing | None = None
    jwks: bytes = b""
    federated: tuple[FederatedBundle, ...] = ()

    @property
    def list_issuers(self) -> tuple[str, ...]:
        """The key ids of the CAs that signed the lists, hex."""
        return tuple(sorted((signer_key_id(each) or b"").hex() for each in self.crls))

    def encode(self) -> bytes:
        message = wire.Bundle(roots=ders(self.roots), crls=self.crls, jwks=self.jwks)
        message.federated.extend(_encode_federated(each) for each in self.federated)
        if self.signing is not None:
            message.signing, message.signing_since = self.signing.key_id, int(self.signing.since.timestamp())
        return message.SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> Bundle:
        return decode(
            wire.Bundle,
            body,
            lambda m: cls(
                certificates(m.roots), tuple(m.crls), _decode_signing(m), m.jwks,
                tuple(_decode_federated(each) for each in m.federated),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class PublishedResource:
    """One xDS resource: its version is the hash of its bytes; `needs` are secrets without which it is held back."""

    type_url: str
    name: str
    version: str
    body: bytes = field(repr=False)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resources:
    """The body of a frame of kind `resources`: what a workload's proxy gets, its secrets by name only."""

    KIND = "resources"
    resources: tuple[PublishedResource, ...]
    secrets: tuple[str, ...]

    def encode(self) -> bytes:
        return wire.Resources(
            resources=[
                wire.Resources.Resource(type_url=r.type_url, name=r.name, version=r.version, body=r.body, needs=r.needs)
                for r in self.resources
            ],
            secrets=self.secrets,
        ).SerializeToString(deterministic=True)

    @classmethod
    def decode(cls, body: bytes) -> Resources:
        return decode(
            wire.Resources,
            body,
            lambda m: cls(
                tuple(PublishedResource(r.type_url, r.name, r.version, r.body, tuple(r.needs)) for r in m.resources),
                tuple(m.secrets),
            ),
        )


def fingerprint_of(roots: Iterable[Certificate]) -> str:
    """By what a set of roots is called in a report: a SHA-256 in hex, whatever their order."""
    return hashlib.sha256(b"".join(sorted(bytes.fromhex(each.fingerprint) for each in roots))).hexdigest()


def _encode_federated(bundle: FederatedBundle) -> wire.FederatedBundle:
    return wire.FederatedBundle(
        trust_domain=str(bundle.trust_domain), x509_authorities=ders(bundle.x509_authorities), jwks=bundle.jwks,
        services=bundle.services,
    )  # fmt: skip


def _decode_federated(message: wire.FederatedBundle) -> FederatedBundle:
    authorities = certificates(message.x509_authorities)
    return FederatedBundle(TrustDomain(message.trust_domain), authorities, message.jwks, tuple(message.services))


def _decode_signing(message: wire.Bundle) -> Signing | None:
    return Signing(message.signing, datetime.fromtimestamp(message.signing_since, UTC)) if message.signing else None


def _decode_assigned(message: wire.Assignment.Workload) -> AssignedWorkload:
    # It becomes the name of a folder.
    if not _SERVICE.fullmatch(message.service):
        raise ValueError(f"{message.service!r} is no service's name")
    return AssignedWorkload(
        service=message.service,
        identity=SpiffeId.parse(message.identity),
        port=message.port,
        callees=tuple(message.callees),
        renew_before_end=timedelta(milliseconds=message.renew_before_end_ms) if message.renew_before_end_ms else None,
        stores=tuple(message.stores),
        staple=message.staple,
        more_ports=tuple(message.more_ports),
        role=message.role or "sidecar",
        user=message.user,
        hosts=dict(message.hosts),
        deliveries=tuple(decode_delivery(each) for each in message.deliveries),
        acme=decode_acme(message.acme) if message.HasField("acme") else None,
    )
