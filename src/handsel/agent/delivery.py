"""What the files of a delivery hold, and by what mark a version of them is known. Plain: nothing is written here."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from handsel.agent.model import Holdings, KeyPair, Owner, Workload
from handsel.agent.stores import key_store, trust_store
from handsel.errors import Bug, StateError
from handsel.model.delivery import KINDS, OF_ACME, SECRET_MODES, USUAL_ALIAS, Content, Delivery, Kind
from handsel.pki.certificate import Certificate, to_pem
from handsel.pki.pem_blocks import written
from handsel.pki.secret import Secret

MARK_LENGTH = 32


@dataclass(frozen=True)
class Wanted:
    """A delivery and whose it is. `local`: asked for on this host, and so its command may run."""

    service: str
    delivery: Delivery
    local: bool = False

    @property
    def id(self) -> str:
        return f"{self.service}/{self.delivery.name}"


@dataclass(frozen=True)
class Material:
    """What files are made of.

    `password`: of the stores, when there are some. `owner`: the workload's own user. `acme`: what an ACME CA gave it.
    """

    pair: KeyPair | None
    roots: tuple[Certificate, ...]
    crls: tuple[bytes, ...] = ()
    password: Secret | None = None
    owner: Owner | None = None
    acme: KeyPair | None = None


@dataclass(frozen=True)
class NewFile:
    """One file as it is to be. `owner` as people write it, else the workload's user; neither: the agent's."""

    name: str
    content: bytes = field(repr=False)
    owner: str | Owner
    mode: int


def wanted(holdings: Holdings, local: Mapping[str, Wanted]) -> tuple[Wanted, ...]:
    """Every delivery of this host; what was asked for here stands before what the server says under the same name."""
    said = [Wanted(each.service, one) for each in holdings.workloads.values() for one in each.assigned.deliveries]
    return tuple({**{each.id: each for each in said}, **local}.values())


def clashing(wishes: tuple[Wanted, ...]) -> dict[str, str]:
    """Those whose folder an earlier one has, or one above or below it: the id of each, and whose it is."""
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for each in wishes:
        folder = f"{each.delivery.folder}/"
        other = next(
            (owner for there, owner in taken.items() if folder.startswith(there) or there.startswith(folder)), ""
        )
        if other:
            found[each.id] = other
        else:
            taken[folder] = each.id
    return found


def lacks(delivery: Delivery, workload: Workload | None, holdings: Holdings) -> str:
    """What is not there yet without which it cannot be written; empty when it can."""
    if workload is None:
        return "this host does not run the service (any more)"
    return _cannot_be(delivery) or _waits_for(delivery, workload, holdings)


def _cannot_be(delivery: Delivery) -> str:
    unknown = [each.kind for each in delivery.contents if each.kind not in KINDS]
    if unknown:
        return f"this agent does not know the kind {unknown[0]!r}: it is older than the server"
    sources = {each.source for each in delivery.contents} - {"", OF_ACME}
    if sources:
        return f"this agent does not know the source {sources.pop()!r}: it is older than the server"
    shown = [each.name for each in delivery.contents if Kind(each.kind).is_secret and each.mode not in SECRET_MODES]
    if shown:
        return f"{shown[0]} would be for others to read"
    return ""


def _waits_for(delivery: Delivery, workload: Workload, holdings: Holdings) -> str:
    if delivery.needs_identity and workload.key_pair is None:
        return "there is no certificate yet"
    if delivery.needs_acme and workload.acme is None:
        return "there is no certificate of the ACME CA yet"
    if not holdings.crls and any(each.kind == Kind.CRL for each in delivery.contents):
        return "there is no list of revoked identities yet"
    return ""


def mark(key: bytes, delivery: Delivery, material: Material) -> str:
    """A name for the files of a delivery, as they are made of this material: another mark, other files.

    `key` is random and secret: nobody tries passwords against a mark.
    """
    kinds = {each.kind for each in delivery.contents}
    parts: list[bytes] = [_description(delivery, material)]
    if delivery.needs_identity and material.pair is not None:
        parts += [each.der for each in material.pair.chain]
    if delivery.needs_acme and material.acme is not None:
        parts += [each.der for each in material.acme.chain]
    if kinds & {Kind.ROOTS, Kind.PKCS12_TRUST, Kind.JKS_TRUST}:
        parts += [each.der for each in material.roots]
    if Kind.CRL in kinds:
        parts += material.crls
    if material.password is not None:
        parts.append(material.password.reveal())
    made = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        made.update(len(part).to_bytes(8, "big") + part)
    return made.hexdigest()[:MARK_LENGTH]


def files(delivery: Delivery, material: Material, now: datetime) -> tuple[NewFile, ...]:
    """All its files. Raises `StateError` for a password that a store does not take."""
    return tuple(
        replace(place, content=_content(each, material, now))
        for each, place in zip(delivery.contents, places(delivery, material), strict=True)
    )


def places(delivery: Delivery, material: Material) -> tuple[NewFile, ...]:
    """The same without their contents: who has them, and how."""
    usual: str | Owner = delivery.owner or material.owner or ""
    return tuple(NewFile(each.name, b"", each.owner or usual, each.mode) for each in delivery.contents)


def _description(delivery: Delivery, material: Material) -> bytes:
    usual = asdict(material.owner) if material.owner and not delivery.owner else delivery.owner
    contents = sorted((asdict(each) for each in delivery.contents), key=lambda each: str(each["name"]))
    return json.dumps([contents, usual], sort_keys=True).encode()


def _content(content: Content, material: Material, now: datetime) -> bytes:
    kind = Kind(content.kind)
    if kind.is_store or kind == Kind.PASSWORD:
        return _of_store(kind, content, material, now)
    if kind == Kind.ROOTS:
        return to_pem(material.roots)
    if kind == Kind.CRL:
        return b"".join(written("X509 CRL", each) for each in material.crls)
    pair = _pair(content, material)
    pem: dict[Kind, Callable[[], bytes]] = {
        Kind.KEY: lambda: pair.key.pem().reveal(),
        Kind.CERTIFICATE: lambda: to_pem(pair.chain),
        Kind.LEAF: lambda: to_pem(pair.chain[:1]),
        Kind.CHAIN: lambda: to_pem(pair.chain[1:]),
        Kind.BUNDLE: lambda: pair.key.pem().reveal() + to_pem(pair.chain),
    }
    return pem[kind]()


def _of_store(kind: Kind, content: Content, material: Material, now: datetime) -> bytes:
    if material.password is None:
        raise Bug("a store is not written before there is a password")
    if kind == Kind.PASSWORD:
        return material.password.reveal() + b"\n"
    store = str(kind).removesuffix("-trust")
    try:
        if kind in (Kind.PKCS12_TRUST, Kind.JKS_TRUST):
            return trust_store(store, material.roots, material.password, now)
        return key_store(store, _pair(content, material), content.alias or USUAL_ALIAS, material.password, now)
    except ValueError as error:
        raise StateError(f"the password cannot be used: {error}") from error


def _pair(content: Content, material: Material) -> KeyPair:
    pair = material.acme if content.source == OF_ACME else material.pair
    if pair is None:
        raise Bug("files of a certificate are not written before there is one")
    return pair
