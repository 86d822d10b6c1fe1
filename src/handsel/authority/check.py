"""The last look before signing: what a leaf must be, whoever asked for it."""

from __future__ import annotations

from datetime import timedelta

from handsel.authority.model import CheckedDraft, Domain, Draft
from handsel.authority.profile import SERVER
from handsel.errors import Refused
from handsel.pki.keys import kind_of
from handsel.pki.names import SpiffeId

_SHORTEST = timedelta(seconds=1)


def check(draft: Draft, domain: Domain) -> CheckedDraft:
    """A draft that may be signed. Raises `Refused` with the rule that it breaks."""
    _check_names(draft, domain)
    _check_life(draft)
    issuer = draft.issuer
    if issuer.name != draft.profile.issuer:
        raise Refused(f"the profile {draft.profile.name!r} is signed by {draft.profile.issuer!r}, not {issuer.name!r}")
    if kind_of(draft.public_key) not in draft.profile.keys:
        raise Refused(f"the profile {draft.profile.name!r} takes no key of this kind")
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


def _check_life(draft: Draft) -> None:
    if draft.not_after > draft.issuer.not_after:
        raise Refused("a leaf must not outlive its issuer")
    if draft.not_after - draft.made < _SHORTEST:
        raise Refused("the issuing CA has ended, or ends within a second: renew it first")
    if draft.not_after - draft.not_before > draft.profile.lifetime + draft.profile.backdate:
        raise Refused(f"a leaf of the profile {draft.profile.name!r} lives at most {draft.profile.lifetime}")
