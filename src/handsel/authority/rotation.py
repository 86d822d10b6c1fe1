"""How a CA is replaced by one with a new key, so that no request fails: a state machine, moved one step at a time.

    next → published → active → retiring → removed

`next`: the key and the certificate are there. `published`: every holder is told of it. `active`: it signs; whoever did
before is `retiring`: it signs nothing, and is believed until nothing that it signed lives. A `tainted` one is not
trusted any more by the people here, and leaves as soon as its successor signs and every holder knows that one.

A root is rotated in the same way. Once a new one signs, every issuing CA below the old one is rotated too
(`must_follow`), and the old root leaves when nothing that hangs from it lives.

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
    `leaves`: how many certificates of the one that leaves still live. `below`: the issuing CAs that hang from it.
    `showing`: holders that still show a certificate which leads to it.
    `dwell`: how long a newcomer is shown before it signs, and one that leaves is believed at least, for holders that
    can say nothing (ACME clients, files).
    """

    waiting: tuple[str, ...] = ()
    leaves: int = 0
    below: tuple[str, ...] = ()
    showing: tuple[str, ...] = ()
    dwell: timedelta = timedelta()


@dataclass(frozen=True)
class Control:
    """What people decided about the rotation of one CA. `override`: why it goes on without those who do not answer."""

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
    return _take_out(leaving, facts, control, now) if leaving is not None else Step()


def _bring_in(cas: Sequence[Known], newcomer: Known, facts: Facts, control: Control, now: datetime) -> Step:
    if newcomer.state is State.NEXT:
        return Step((replace(newcomer, state=State.PUBLISHED, since=now),))
    held_up = [f"{each} does not use it yet" for each in facts.waiting]
    until = newcomer.since + facts.dwell
    if now < until:
        held_up.append(f"shown until {until:%Y-%m-%d %H:%M:%S} for holders that cannot acknowledge")
    if held_up and not control.override:
        return Step((), tuple(held_up))
    before = _active(cas)
    leaves = () if before is None else (replace(before, state=State.RETIRING, since=now),)
    return Step((replace(newcomer, state=State.ACTIVE, since=now), *leaves))


def _take_out(leaving: Known, facts: Facts, control: Control, now: datetime) -> Step:
    held_up: list[str] = []
    if leaving.state is State.TAINTED:
        held_up += [f"{each} does not use its successor yet" for each in facts.waiting]
        held_up += [f"{each} still shows a certificate that leads to it" for each in facts.showing]
        held_up = [] if control.override else held_up
    elif now < leaving.certificate.not_after:
        until = leaving.since + facts.dwell
        held_up += [f"{facts.leaves} certificates that it signed still live"] if facts.leaves else []
        held_up += [f"{each} hangs from it" for each in facts.below]
        held_up += (
            [f"believed until {until:%Y-%m-%d %H:%M:%S} for holders that show older chains"] if now < until else []
        )
    return Step((), tuple(held_up)) if held_up else Step((replace(leaving, state=State.REMOVED, since=now),))


def must_follow(roots: Sequence[Known], cas: Sequence[Known]) -> bool:
    """Whether an issuing CA hangs from another root than the one that signs, and is not on its way already."""
    root, active = _active(roots), _active(cas)
    if root is None or active is None or any(each.state in _NEWCOMERS for each in cas):
        return False
    return active.parent != root.key_id


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


def undo_root(roots: Sequence[Known], issuing: Sequence[Sequence[Known]], now: datetime) -> Step:
    """Back to the root before, with every issuing CA that went along. `issuing`: the CAs of each name."""
    changes = list(undo(roots, now).changes)
    leaving = {each.key_id for each in changes if each.state is not State.ACTIVE}
    for cas in issuing:
        gone_along = [each for each in cas if each.state in (*_NEWCOMERS, State.ACTIVE) and each.parent in leaving]
        way_back = any(each.state in (*_NEWCOMERS, State.RETIRING) for each in cas)
        if gone_along and way_back:
            changes += undo(cas, now).changes
    return Step(tuple(changes))


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
