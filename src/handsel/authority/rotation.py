"""How a CA is replaced by one with a new key, so that no request fails: a state machine, moved one step at a time.

    next → published → active → retiring → removed

`next`: the key and the certificate are there. `published`: every holder is told of it. `active`: it signs; whoever did
before is `retiring`: it signs nothing, and is believed until nothing that it signed lives. A `tainted` one is not
trusted any more by the people here, and leaves as soon as its successor signs and every holder knows that one.

Nothing here acts: `advance` says what the next step is and what holds it up; the adapter writes that down and looks
again. So a step that was cut off by a crash is simply taken again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from handsel.authority.hierarchy import CaKnown, Known, State
from handsel.authority.model import Issuer
from handsel.errors import Refused
from handsel.pki.certificate import Certificate

_NEWCOMERS = (State.NEXT, State.PUBLISHED)
_LEAVING = (State.RETIRING, State.TAINTED)


@dataclass(frozen=True)
class Facts:
    """What the world says.

    `waiting`: holders that have not said that they use a bundle with the newcomer for verification.
    `leaves`: how many certificates of the one that leaves still live.
    `dwell`: how long a newcomer is shown before it signs, for holders that can say nothing (ACME clients, files).
    """

    waiting: tuple[str, ...] = ()
    leaves: int = 0
    dwell: timedelta = timedelta()


@dataclass(frozen=True)
class Control:
    """What people decided about the rotation of one CA. `override`: go on without the missing holders, and why."""

    name: str
    paused: bool = False
    override: str = ""
    by: str = ""


@dataclass(frozen=True)
class Step:
    """What comes next. `held_up_by` is empty when something changes, or when there is nothing to do."""

    changes: tuple[Known, ...] = ()
    held_up_by: tuple[str, ...] = ()

    @property
    def writes(self) -> tuple[CaKnown, ...]:
        return tuple(CaKnown(each) for each in self.changes)


def begin(cas: Sequence[Known], certificate: Certificate, key: str, now: datetime) -> Step:
    """A newcomer for the CA that all of `cas` are. Raises `Refused` while another is under way, or for an old key."""
    active = _active(cas)
    if active is None:
        raise Refused("there is no CA of this name that signs")
    if any(each.state in _NEWCOMERS for each in cas):
        raise Refused(f"{active.name} is being rotated already")
    if any(each.certificate.public_key_der == certificate.public_key_der for each in cas):
        raise Refused("a renewed CA has a new key")  # RFC 5280, section 4.2.1.2: hence a new key identifier
    return Step((Known(certificate, active.name, State.NEXT, key, now),))


def advance(cas: Sequence[Known], facts: Facts, control: Control, now: datetime) -> Step:
    """The next step of one CA's rotation."""
    newcomer = next((each for each in cas if each.state in _NEWCOMERS), None)
    leaving = next((each for each in cas if each.state in _LEAVING), None)
    if control.paused and (newcomer or leaving):
        return Step((), (f"paused by {control.by}" if control.by else "paused",))
    if newcomer is not None:
        return _bring_in(cas, newcomer, facts, control, now)
    return _take_out(leaving, facts, now) if leaving is not None else Step()


def _bring_in(cas: Sequence[Known], newcomer: Known, facts: Facts, control: Control, now: datetime) -> Step:
    if newcomer.state is State.NEXT:
        return Step((replace(newcomer, state=State.PUBLISHED, since=now),))
    until = newcomer.since + facts.dwell
    held_up = [] if control.override else [f"{each} does not use it yet" for each in facts.waiting]
    if now < until:
        held_up.append(f"shown until {until:%Y-%m-%d %H:%M:%S} for holders that cannot acknowledge")
    if held_up:
        return Step((), tuple(held_up))
    before = _active(cas)
    leaves = () if before is None else (replace(before, state=State.RETIRING, since=now),)
    return Step((replace(newcomer, state=State.ACTIVE, since=now), *leaves))


def _take_out(leaving: Known, facts: Facts, now: datetime) -> Step:
    if leaving.state is State.TAINTED:
        held_up = tuple(f"{each} does not use its successor yet" for each in facts.waiting)
        return Step((), held_up) if held_up else Step((replace(leaving, state=State.REMOVED, since=now),))
    if facts.leaves and now < leaving.certificate.not_after:
        return Step((), (f"{facts.leaves} certificates that it signed still live",))
    return Step((replace(leaving, state=State.REMOVED, since=now),))


def undo(cas: Sequence[Known], now: datetime) -> Step:
    """Back: a newcomer that does not sign yet goes; else the one before signs again. Raises `Refused` if none can."""
    newcomer = next((each for each in cas if each.state in _NEWCOMERS), None)
    if newcomer is not None:
        return Step((replace(newcomer, state=State.REMOVED, since=now),))
    before = next((each for each in cas if each.state is State.RETIRING), None)
    active = _active(cas)
    if before is None or active is None or now >= before.certificate.not_after:
        raise Refused("there is nothing to go back to: no CA of this name retires")
    return Step((replace(before, state=State.ACTIVE, since=now), replace(active, state=State.RETIRING, since=now)))


def taint(cas: Sequence[Known], now: datetime) -> Step:
    """The one that retires was compromised: it leaves without waiting for its certificates to end.

    Raises `Refused` when no other signs in its place.
    """
    before = next((each for each in cas if each.state is State.RETIRING), None)
    if before is None:
        raise Refused("only a CA that has a successor can be dropped: rotate it first")
    return Step((replace(before, state=State.TAINTED, since=now),))


def taken_over(leaf: Certificate, signing: Sequence[Issuer]) -> bool:
    """Whether a leaf was signed by a CA that signs no more: then it should be renewed now, whatever its age."""
    return all(each.certificate.key_id != leaf.authority_key_id for each in signing)


def _active(cas: Sequence[Known]) -> Known | None:
    return next((each for each in cas if each.state is State.ACTIVE), None)
