"""The last look before signing: what a leaf must be, whoever asked for it."""

from __future__ import annotations

from datetime import timedelta

from handsel.authority import policy, structure
from handsel.authority.model import CheckedDraft, Domain, Draft
from handsel.authority.profile import SERVER
from handsel.authority.structure import Parts
from handsel.errors import KeyRefused, Refused
from handsel.model.authority import OWN_PROFILES
from handsel.pki.constraints import forbidden
from handsel.pki.keys import kind_of
from handsel.pki.names import SpiffeId
from handsel.pki.weak_keys import weakness

_SHORTEST = timedelta(seconds=1)


def check(draft: Draft, domain: Domain) -> CheckedDraft:
    """A draft that may be signed. Raises `Refused` with the rule that it breaks, `KeyRefused` when it is the key's."""
    _check_names(draft, domain)
    _check_policy(draft, domain)
    _check_life(draft)
    _check_key(draft)
    issuer = draft.issuer
    if issuer.name != draft.profile.issuer:
        raise Refused(f"the profile {draft.profile.name!r} is signed by {draft.profile.issuer!r}, not {issuer.name!r}")
    parts = Parts.of_draft(draft)
    fault = structure.fault(parts, draft.names, issuer.certificate.key_id, is_svid=draft.identity is not None)
    if fault is not None:
        raise Refused(fault)
    reason = forbidden(draft.names, parts.subject, (*issuer.chain, issuer.root))
    if reason is not None:
        raise Refused(reason)
    return CheckedDraft(draft)


def _check_names(draft: Draft, domain: Domain) -> None:
    names = draft.names
    if not names or names.other:
        raise Refused("a leaf has at least one name, and only names of DNS, addresses, URIs and mail")
    identities = [uri for uri in names.uri if uri.lower().startswith("spiffe:")]
    if identities != ([str(draft.identity)] if draft.identity else []) or (identities and len(names.uri) > 1):
        raise Refused("a SPIFFE ID is given by the mesh alone, and is the only URI of its certificate")
    if draft.identity is not None:
        _check_identity(draft.identity, domain)
    if domain.trust_domain.server_dns in names.dns and draft.profile.name != SERVER:
        raise Refused(f"{domain.trust_domain.server_dns} is the name of handsel's own servers")


def _check_identity(identity: SpiffeId, domain: Domain) -> None:
    if identity.trust_domain != domain.trust_domain:
        raise Refused(f"{identity} is not of the trust domain {domain.trust_domain}")
    if identity == domain.trust_domain.nobody:
        raise Refused(f"{identity} is never issued")
    if not identity.path:
        raise Refused(f"{identity} is the trust domain's own, and no leaf's (X.509-SVID, section 4.1)")


def _check_policy(draft: Draft, domain: Domain) -> None:
    """Nothing goes round the policy but what handsel gives of itself: there the mesh file says who is who."""
    if draft.identity is not None and draft.profile.name in OWN_PROFILES:
        return
    refusals = policy.refused(
        draft.names, draft.requester, draft.profile, domain.trust_domain, domain.policy, draft.issuer
    )
    if refusals:
        raise Refused(refusals[0].why)


def _check_life(draft: Draft) -> None:
    if draft.not_after > draft.issuer.not_after:
        raise Refused("a leaf must not outlive its issuer")
    if draft.not_after - draft.made < _SHORTEST:
        raise Refused("the issuing CA has ended, or ends within a second: renew it first")
    longest = draft.profile.longest(draft.made)
    if draft.not_after - draft.not_before > longest + draft.profile.backdate:
        raise Refused(f"a leaf of the profile {draft.profile.name!r} lives at most {longest}")


def _check_key(draft: Draft) -> None:
    key, profile = draft.public_key, draft.profile
    if kind_of(key) not in profile.keys:
        raise KeyRefused(f"the profile {profile.name!r} takes no key of this kind")
    found = weakness(key)
    if found is not None:
        raise KeyRefused(f"the key {found}")
    if any(draft.public_key_der == each.public_key_der for each in (*draft.issuer.chain, draft.issuer.root)):
        raise KeyRefused("the key is a CA's own")
