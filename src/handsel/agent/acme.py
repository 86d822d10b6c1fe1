"""A certificate of an ACME CA: when it is ordered, what is asked, whether what came is what was wanted. Plain."""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from handsel.agent.model import KeyPair, Workload
from handsel.errors import ProtocolError
from handsel.model.acme_client import SECRET_NAME, AcmeClient, Challenge
from handsel.pki.certificate import Certificate, parse_pem
from handsel.pki.keys import KeyType, PrivateKey

_USUAL, _LAST = 2 / 3, 9 / 10
"""Of a certificate's life: where it is renewed when the CA says nothing, and where at the latest."""
_SOONEST_LOOK, _LATEST_LOOK, _USUAL_LOOK = timedelta(minutes=1), timedelta(days=1), timedelta(hours=6)
"""RFC 9773, section 4.3.3: limits to how often it is asked when to renew; the last where the CA does not say."""
_YOUNGEST = timedelta(hours=1)
_LARGEST_SKEW = timedelta(hours=1)
_LARGEST_CHAIN, _MOST_IN_CHAIN, _LONGEST_TEXT = 1 << 16, 10, 300
_AWAY, _REFUSED = (timedelta(seconds=2), timedelta(minutes=10)), (timedelta(minutes=1), timedelta(hours=6))
"""The first wait after a failure and the longest: a CA that is away, and one that has refused (it counts refusals)."""


class Step(Enum):
    """What is to be done for a workload."""

    ORDER = auto()
    ASK_WHEN = auto()
    NOTHING = auto()


@dataclass(frozen=True)
class RenewalInfo:
    """When a CA wants a certificate to be renewed, and how long that holds (RFC 9773, section 4.2)."""

    start: datetime
    end: datetime
    again: timedelta
    explanation: str = ""


@dataclass(frozen=True)
class Held:
    """A certificate, how it was ordered, and when it is renewed.

    `mark`: of what was wanted when it was ordered; `account`: the address of the account that did. `spread`: from 0 to
    1, drawn once: at which part of the CA's window it is renewed. `since`: when it came. `ask_at`: when the CA is asked
    anew. `said_by_ca`: whether `renew_at` comes from the CA.
    """

    pair: KeyPair
    mark: str
    account: str
    spread: float
    since: datetime
    renew_at: datetime
    ask_at: datetime
    said_by_ca: bool = False
    explanation: str = ""


def secret_names(workload: Workload, *, covered: Certificate | None = None) -> tuple[str, ...]:
    """Under which names its socket serves the certificate; with `covered`, those that this one is good for."""
    wish = workload.assigned.acme
    if wish is None:
        return ()
    good = None if covered is None else {*covered.dns_names, *covered.ip_names}
    return (SECRET_NAME, *(each for each in wish.names if good is None or each in good))


def lacks(wish: AcmeClient) -> str:
    """What of a wish this agent does not know; empty when it knows all."""
    if wish.challenge not in set(Challenge):
        return f"this agent does not know the challenge {wish.challenge!r}: it is older than the server"
    if wish.key not in set(KeyType):
        return f"this agent does not know the key {wish.key!r}: it is older than the server"
    return ""


def mark_of(wish: AcmeClient) -> str:
    """By what it is seen that another certificate is wanted; how challenges are answered makes no other one."""
    said = asdict(replace(wish, challenge="", listen_address="", listen_port=0, contact=(), roots=""))
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def next_step(held: Held | None, wish: AcmeClient, now: datetime) -> Step:
    """What is due."""
    if held is None or held.mark != mark_of(wish) or now >= held.renew_at:
        return Step.ORDER
    # Section 4.3: nobody asks after the end.
    return Step.ASK_WHEN if held.ask_at <= now < held.pair.leaf.not_after else Step.NOTHING


def next_moment(held: Held) -> datetime:
    """When something is due again, if nothing changes."""
    return min(held.renew_at, held.ask_at)


def first(pair: KeyPair, wish: AcmeClient, account: str, *, spread: float, now: datetime) -> Held:
    """What is held right after an order: the CA is asked at once when to renew (RFC 9773, section 4.3.2)."""
    return Held(pair, mark_of(wish), account, spread, now, _at(pair.leaf, _USUAL), now)


def planned(held: Held, info: RenewalInfo | None, now: datetime) -> Held:
    """The same with what the CA said; None: it says nothing about renewal at all, and is not asked again."""
    leaf = held.pair.leaf
    if info is None:
        return replace(held, renew_at=_at(leaf, _USUAL), ask_at=leaf.not_after, said_by_ca=False, explanation="")
    moment = info.start + (info.end - info.start) * held.spread
    again = min(max(info.again, _SOONEST_LOOK), _LATEST_LOOK)
    # Too late would leave no time for a second try; a CA that always wants a new one is not asked again and again.
    earliest = held.since + min(_YOUNGEST, (leaf.not_after - held.since) / 20)
    return replace(
        held,
        renew_at=max(earliest, min(moment, _at(leaf, _LAST))),
        ask_at=now + again,
        said_by_ca=True,
        explanation=info.explanation,
    )


def read_renewal_info(body: bytes, again: timedelta | None) -> RenewalInfo:
    """An answer of the CA (RFC 9773, section 4.2). `again`: what Retry-After said. Raises `ProtocolError`."""
    try:
        content = json.loads(body)
        start, end = (_moment(content["suggestedWindow"][each]) for each in ("start", "end"))
        explanation = content.get("explanationURL", "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProtocolError("the ACME CA's renewal information cannot be read") from error
    if end <= start:
        raise ProtocolError("the ACME CA suggests a time of renewal that ends before it begins")
    return RenewalInfo(start, end, again or _USUAL_LOOK, shown(explanation))


def received(
    chains: Sequence[bytes],
    key: PrivateKey,
    wish: AcmeClient,
    now: datetime,
    roots: Sequence[Certificate] = (),
) -> KeyPair:
    """The pair that an order ends with: the chain that is preferred, else the first.

    `roots`, where there are some: to one of them it leads. Raises `ProtocolError` for a certificate that is not what
    was ordered; nothing of it is to be used then.
    """
    found = [_read(chain) for chain in chains]
    if not found:
        raise ProtocolError("the ACME CA gave no certificate")
    preferred = [each for each in found if wish.preferred_chain and _top(each) == wish.preferred_chain]
    pair = KeyPair(key, (preferred or found)[0])
    problem = _fault(pair, wish, now, roots)
    if problem:
        raise ProtocolError(f"the ACME CA's certificate is not used: {problem}")
    return pair


def wait_after(failures: int, *, refused: bool, asked: timedelta | None) -> timedelta:
    """How long to wait after so many failures in a row, doubling; not shorter than the CA has `asked` for."""
    shortest, longest = _REFUSED if refused else _AWAY
    wait = timedelta(seconds=min(longest.total_seconds(), shortest.total_seconds() * 2.0 ** min(failures - 1, 20)))
    return max(wait, min(asked, _LATEST_LOOK)) if asked else wait


def server_name(name: str) -> str:
    """What a CA sends as SNI for a name: of an address its reverse name (RFC 8738, section 6)."""
    try:
        return ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        return name


def shown(text: object) -> str:
    """Words of somebody else's as they may stand in a message."""
    said = "".join(each if each.isprintable() else " " for each in str(text))
    return said if len(said) <= _LONGEST_TEXT else f"{said[:_LONGEST_TEXT]}…"


def _fault(pair: KeyPair, wish: AcmeClient, now: datetime, roots: Sequence[Certificate]) -> str:
    leaf = pair.leaf
    names = {*leaf.dns_names, *(str(ipaddress.ip_address(each)) for each in leaf.ip_names)}
    if leaf.public_key_der != pair.key.public_der():
        return "it is not for the key that was made"
    if names != set(wish.names):
        return f"it is for {shown(', '.join(sorted(names))) or 'nothing'}, not for {', '.join(wish.names)}"
    if leaf.is_ca:
        return "it is that of a CA"
    if not leaf.not_before <= now + _LARGEST_SKEW or not now < leaf.not_after:
        return f"it is valid from {leaf.not_before} to {leaf.not_after}, not now"
    return _chain_fault(pair.chain, now, roots)


def _chain_fault(chain: tuple[Certificate, ...], now: datetime, roots: Sequence[Certificate]) -> str:
    for below, above in itertools.pairwise(chain):
        if not above.is_ca or not _is_signed_by(below, above):
            return f"{shown(above.subject)} in its chain has not signed {shown(below.subject)}"
        if not now < above.not_after:
            return f"{shown(above.subject)} in its chain has ended"
    if roots and not any(chain[-1] == root or _is_signed_by(chain[-1], root) for root in roots):
        return "it leads to none of the roots of the mesh"
    return ""


def _is_signed_by(below: Certificate, above: Certificate) -> bool:
    try:
        below.parsed.verify_directly_issued_by(above.parsed)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _read(chain: bytes) -> tuple[Certificate, ...]:
    if len(chain) > _LARGEST_CHAIN:
        raise ProtocolError(f"the ACME CA's chain has more than {_LARGEST_CHAIN} bytes")
    try:
        found = parse_pem(chain)
    except (ValueError, TypeError) as error:
        raise ProtocolError("the ACME CA's chain cannot be read") from error
    if len(found) > _MOST_IN_CHAIN:
        raise ProtocolError(f"the ACME CA's chain has more than {_MOST_IN_CHAIN} certificates")
    return found


def _top(chain: tuple[Certificate, ...]) -> str:
    """The common name of whom the chain leads to."""
    found = chain[-1].parsed.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _at(leaf: Certificate, part: float) -> datetime:
    return leaf.not_before + (leaf.not_after - leaf.not_before) * part


def _moment(text: object) -> datetime:
    """RFC 3339. Raises `ValueError`."""
    if not isinstance(text, str) or len(text) > 64:
        raise ValueError("no time")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)
