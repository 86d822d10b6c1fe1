"""What the handshake decides about a port, and what remains for single requests.

Whoever is let in by the handshake is let in before the program sees anything. A network filter would be too late for a
server that speaks first, so a port that is not looked into stands on exact names and addresses alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from handsel.mesh.access.decide import Facts, Truth, decide
from handsel.mesh.intent import PeerAnyone, PeerIds
from handsel.mesh.ir import Access, Layer, Near
from handsel.model.access import Mode, Rule
from handsel.pki.names import SpiffeId, TrustDomain

NOTHING_ASKED = Access()
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Admitted:
    """Whom a port lets in, and what is asked of single requests then.

    `plaintext` None: no plaintext from anywhere. `near`: where it is otherwise for some addresses. `closed`: what was
    asked cannot be decided for a whole connection, so that nobody is let in.
    """

    layer: Layer
    peer: PeerIds | PeerAnyone
    access: Access
    plaintext: Access | None = None
    near: tuple[Near, ...] = ()
    closed: bool = False

    @property
    def callers(self) -> tuple[SpiffeId, ...]:
        """Exactly who may call, from anywhere; none where that is not decided by names."""
        allowed: set[SpiffeId] = set()
        for peer in (self.peer, *(each.peer for each in self.near)):
            if isinstance(peer, PeerAnyone):
                return ()
            allowed.update(peer.allowed)
        nobody = {each.trust_domain.nobody for each in allowed}
        return tuple(sorted(allowed - nobody or allowed))


@dataclass(frozen=True)
class Question:
    """What is asked at a port by mutual TLS and in plaintext, of whom the mesh knows."""

    secured: Access
    plain: Access
    known: tuple[SpiffeId, ...]
    trust_domain: TrustDomain
    http: bool
    mode: Mode


def admit(question: Question) -> Admitted:
    """Exact names and addresses where they say everything; else single requests are looked into, where there are."""
    areas, anywhere = _areas(question)
    default = areas[0]
    secured, plain = question.secured, question.plain
    by_request = question.http and bool(secured.tokens or secured.audit)
    if all(each.decided for each in areas) and not by_request:
        near = tuple(Near(each.block, each.peer, each.plaintext is True) for each in areas[1:])
        same = all((each.peer, each.plaintext) == (default.peer, default.plaintext is True) for each in near)
        return Admitted(
            Layer.TCP,
            default.peer,
            Access(audit=secured.audit),
            Access(audit=plain.audit) if default.plaintext else None,
            () if same else near,
        )
    if not question.http:
        return Admitted(Layer.TCP, PeerIds((question.trust_domain.nobody,)), NOTHING_ASKED, closed=True)
    return Admitted(Layer.HTTP, anywhere.peer, secured, None if anywhere.plaintext is False else plain)


@dataclass(frozen=True)
class _Area:
    """What holds for calls from some addresses. `decided`: nothing hangs on the request."""

    block: str
    peer: PeerIds | PeerAnyone
    plaintext: Truth
    decided: bool


@lru_cache(maxsize=1024)  # what holds for the whole mesh is asked again at every port
def _areas(question: Question) -> tuple[tuple[_Area, ...], _Area]:
    """What holds for addresses of which no block says anything, and for those of each block; and for any address."""
    blocks = _blocks(question)
    found = [_area(question, "", frozenset())]
    found += [_area(question, block, frozenset(_above(block, blocks))) for block in blocks]
    return tuple(found), _area(question, "", None)


def _area(question: Question, block: str, blocks: frozenset[str] | None) -> _Area:
    """`blocks`: those that have the addresses of this area; None: any address."""
    within = None if blocks is None else blocks.__contains__
    stranger = question.trust_domain.workload("_", "_")
    truths: dict[SpiffeId, Truth] = {}
    if question.mode is not Mode.DISABLE:
        for each in _candidates(question):
            truths[each] = decide(question.secured, Facts(each, question.http, within)).allowed
        truths[stranger] = decide(question.secured, Facts(stranger, question.http, within)).allowed
    plaintext: Truth = False
    if question.mode is not Mode.STRICT:
        plaintext = decide(question.plain, Facts(None, question.http, within)).allowed
    peer: PeerIds | PeerAnyone = PeerAnyone(question.trust_domain)
    if not truths or not all(each is not False for each in truths.values()):
        admitted = [name for name, truth in truths.items() if truth is not False and name != stranger]
        peer = PeerIds(tuple(sorted(admitted)) or (question.trust_domain.nobody,))
    return _Area(block, peer, plaintext, plaintext is not None and None not in truths.values())


def _candidates(question: Question) -> set[SpiffeId]:
    """Everybody of whom it can be said whether he may: whom the mesh knows, and whom the rules name."""
    access = question.secured
    named = {each for _, rule in (*access.deny, *(access.allow or ())) for each in _named(rule)}
    return {*question.known, *(access.calls or ()), *named} - {question.trust_domain.nobody}


def _named(rule: Rule) -> Iterator[SpiffeId]:
    names = [name for source in rule.sources for name in source.principals]
    names += [name for each in rule.conditions if each.key == "source.principal" for name in each.values]
    for name in names:
        domain, slash, path = name.removeprefix("spiffe://").partition("/")
        try:
            yield SpiffeId(TrustDomain(domain), slash + path)
        except ValueError:
            continue  # a pattern


def _blocks(question: Question) -> tuple[str, ...]:
    """Every block of addresses that a rule names, the larger ones first."""
    found: set[str] = set()
    for access in (question.secured, question.plain):
        for _, rule in (*access.deny, *(access.allow or ())):
            for source in rule.sources:
                found.update((*source.ip_blocks, *source.not_ip_blocks))
                if not question.http:
                    found.update((*source.remote_ip_blocks, *source.not_remote_ip_blocks))
            for each in rule.conditions:
                if each.key == "source.ip" or (each.key == "remote.ip" and not question.http):
                    found.update((*each.values, *each.not_values))
    return tuple(sorted(found, key=lambda block: (_network(block).version, _network(block).prefixlen, block)))


def _above(block: str, blocks: tuple[str, ...]) -> Iterator[str]:
    """The blocks that have all addresses of a block."""
    inner = _network(block)
    for each in blocks:
        outer = _network(each)
        if outer.version == inner.version and outer.supernet_of(inner):  # type: ignore[arg-type]  # of one version
            yield each


def _network(block: str) -> _Network:
    return ipaddress.ip_network(block, strict=False)
