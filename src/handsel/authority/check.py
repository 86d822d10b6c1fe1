"""The last look before signing: what a leaf must be, whoever asked for it."""

from __future__ import annotations

from datetime import timedelta

from handsel.authority.model import CheckedDraft, Domain, Draft, Issuer
from handsel.errors import Refused

_SHORTEST = timedelta(seconds=1)


def check(draft: Draft, issuer: Issuer, domain: Domain) -> CheckedDraft:
    """A draft that may be signed. Raises `Refused` with the rule that it breaks."""
    if draft.identity.trust_domain != domain.trust_domain:
        raise Refused(f"{draft.identity} is not of the trust domain {domain.trust_domain}")
    if draft.identity == domain.trust_domain.nobody:
        raise Refused(f"{draft.identity} is never issued")
    if draft.not_after > issuer.certificate.not_after:
        raise Refused("a leaf must not outlive its issuer")
    if draft.not_after - draft.made < _SHORTEST:
        raise Refused("the issuing CA has ended, or ends within a second: renew it first")
    if draft.not_after - draft.not_before > domain.lifetimes.agent + domain.lifetimes.backdate:
        raise Refused(f"a leaf lives at most {domain.lifetimes.agent}")
    return CheckedDraft(draft)
