"""A rotation played through in memory, with keys that are thrown away: what would go wrong is known before it does.

The actors have the names, the kinds of keys and the constraints that the real ones would have. The CA's own key signs
nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature

from handsel.authority import ca
from handsel.authority.hierarchy import CaPlan
from handsel.authority.model import Approval, CheckedDraft, Issuer
from handsel.authority.service import random_serial
from handsel.model.authority import EVERY_NAME, Profile
from handsel.pki.certificate import Certificate
from handsel.pki.constraints import forbidden
from handsel.pki.keys import PrivateKey, kind_of
from handsel.pki.names import Names, TrustDomain

_PROFILE = Profile("rehearsal", timedelta(minutes=1), backdate=timedelta())


@dataclass(frozen=True)
class Scene:
    """One thing that must go well: what it is, and what is wrong with it; nothing when that is empty."""

    what: str
    problem: str = ""


@dataclass(frozen=True)
class Stage:
    """What there is now: the root that signs, certificates that live by the CA that signed them, the plans of CAs."""

    trust_domain: TrustDomain
    root: Certificate
    plans: tuple[CaPlan, ...]
    living: Mapping[str, Sequence[Certificate]]
    now: datetime


def play_root(stage: Stage) -> list[Scene]:
    """The rotation of the root, with every issuing CA after it."""
    before, after = _root(stage), _root(stage)
    link = ca.link(after.certificate, before.certificate, before.key, serial=random_serial())
    scenes: list[Scene] = []
    for plan in stage.plans:
        anyone = replace(plan, permitted=EVERY_NAME, excluded=EVERY_NAME)
        old, new = _issuing(stage, anyone, before), replace(_issuing(stage, anyone, after), links=(link,))
        both = (before.certificate, after.certificate)
        scenes += [
            _reissued(stage, plan, _issuing(stage, plan, after)),
            _believed(f"a certificate of {plan.name} as it is now, by both roots", old, both, stage),
            _believed(f"a new certificate of {plan.name}, by both roots", new, both, stage),
            _believed(f"a new certificate of {plan.name}, by the new root alone", new, both[1:], stage),
            _believed(f"a new certificate of {plan.name}, by the old root and the link", new, both[:1], stage),
        ]
    return scenes


def play_issuing(stage: Stage, plan: CaPlan) -> list[Scene]:
    """The rotation of one issuing CA."""
    root = _root(stage)
    new = _issuing(stage, replace(plan, permitted=EVERY_NAME, excluded=EVERY_NAME), root)
    return [
        _reissued(stage, plan, _issuing(stage, plan, root)),
        _believed(f"a new certificate of {plan.name}, by the root", new, (root.certificate,), stage),
    ]


def _root(stage: Stage) -> Issuer:
    key = PrivateKey.generate(kind_of(stage.root.parsed.public_key()))
    root = ca.make_root(stage.trust_domain, key, serial=random_serial(), now=stage.now)
    return Issuer(key, root, root)


def _issuing(stage: Stage, plan: CaPlan, root: Issuer) -> Issuer:
    key = PrivateKey.generate(plan.kind)
    made = ca.make_issuing(
        stage.trust_domain, key, root.certificate, root.key, serial=random_serial(), now=stage.now, plan=plan
    )
    return Issuer(key, made, root.certificate, name=plan.name)


def _reissued(stage: Stage, plan: CaPlan, issuer: Issuer) -> Scene:
    """Whether the newcomer may sign for the names that the CA of now has signed for."""
    living = stage.living.get(plan.name, ())
    what = f"all {len(living)} certificates of {plan.name} that live now can be issued again"
    refused = [(each, why) for each in living if (why := _forbidden(each, issuer)) is not None]
    if not refused:
        return Scene(what)
    certificate, why = refused[0]
    return Scene(what, f"{len(refused)} cannot; {certificate.serial}: {why}")


def _forbidden(certificate: Certificate, issuer: Issuer) -> str | None:
    names = Names.of(certificate.alternative_names) if certificate.alternative_names is not None else Names()
    return forbidden(names, certificate.parsed.subject, (*issuer.chain, issuer.root))


def _believed(what: str, issuer: Issuer, roots: Iterable[Certificate], stage: Stage) -> Scene:
    key = PrivateKey.generate()
    names = Names(uri=(str(stage.trust_domain.workload("default", "rehearsal")),))
    approval = Approval(names, None, key.handle.public_key(), _PROFILE, _PROFILE.lifetime, "rehearsal")
    draft = ca.prepare(approval, issuer, serial=random_serial(), now=stage.now)
    leaf = ca.sign(CheckedDraft(draft)).certificate
    problem = "" if _leads_to(leaf, issuer.linked_chain, roots, stage.now) else "the chain does not lead there"
    return Scene(f"{what}: believed", problem)


def _leads_to(leaf: Certificate, between: Iterable[Certificate], roots: Iterable[Certificate], now: datetime) -> bool:
    """Whether a chain is complete. (The verifier of `cryptography` takes no Ed25519 keys, which a CA here may have.)"""
    trusted, others, holder = list(roots), list(between), leaf
    while True:
        if not holder.not_before <= now <= holder.not_after:
            return False
        if any(_signed(holder, each) for each in trusted):
            return True
        above = next((each for each in others if _signed(holder, each)), None)
        if above is None:
            return False
        others.remove(above)
        holder = above


def _signed(holder: Certificate, signer: Certificate) -> bool:
    try:
        holder.parsed.verify_directly_issued_by(signer.parsed)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return holder.authority_key_id == signer.key_id
