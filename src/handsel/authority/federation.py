"""Bundles that are kept: our own, which others read, and those of other trust domains. They are never merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from handsel.authority import spiffe_bundle
from handsel.authority.jwt import JwtKey
from handsel.authority.spiffe_bundle import SpiffeBundle
from handsel.errors import Refused
from handsel.model.federation import Federated
from handsel.pki.certificate import Certificate, parse_pem
from handsel.pki.names import SpiffeId, TrustDomain
from handsel.store.journal import entry
from handsel.store.outcome import Outcome

USUAL_HINT = timedelta(minutes=5)
"""How often a bundle is looked for that does not say it (SPIFFE Trust Domain and Bundle, section 4.1.2)."""
_LONGEST_HINT = timedelta(days=1)
_AGAIN = timedelta(minutes=1)
_LONGEST_PROBLEM = 500


@dataclass(frozen=True)
class BundleKept:
    """This is the bundle of its trust domain from now on. It is a write, and what is read back."""

    bundle: SpiffeBundle
    since: datetime

    @property
    def body(self) -> bytes:
        """What is shown of it, as JSON."""
        return spiffe_bundle.write(self.bundle)


@dataclass(frozen=True)
class BundleLooked:
    """Somebody looked for the bundle of another trust domain: when, when it was found last, and what went wrong."""

    trust_domain: TrustDomain
    tried: datetime
    found: datetime | None
    problem: str = ""


def keep_own(
    kept: BundleKept | None, trust_domain: TrustDomain, roots: Sequence[Certificate], keys: Sequence[JwtKey],
    hint: timedelta, now: datetime,
) -> Outcome[BundleKept]:  # fmt: skip
    """Our own bundle as it should be now; its sequence rises when that is another one (section 4.1.1)."""
    before = kept.bundle.sequence or 0 if kept else 0
    authorities = sorted(roots, key=lambda each: each.fingerprint)
    jwt = sorted((each.authority for each in keys), key=lambda each: each.kid)
    wanted = SpiffeBundle(trust_domain, tuple(authorities), tuple(jwt), before, hint)
    if kept is not None and kept.bundle == wanted:
        return Outcome((), kept)
    made = BundleKept(replace(wanted, sequence=before + 1), now)
    line = entry(
        "bundle", now, trust_domain=str(trust_domain), sequence=str(before + 1),
        x509=",".join(each.fingerprint for each in authorities), jwt=",".join(each.kid for each in jwt),
    )  # fmt: skip
    return Outcome((made, line), made)


def take(content: bytes, federated: Federated, kept: BundleKept | None, now: datetime) -> Outcome[BundleKept]:
    """The bundle of another trust domain that was just fetched. Raises `Refused`; then the last good one stays."""
    domain = federated.trust_domain
    try:
        found = spiffe_bundle.read(content, domain)
    except ValueError as error:
        raise Refused(f"what {federated.url} shows is no bundle: {error}") from error
    looked = BundleLooked(domain, now, now)
    if kept is not None and kept.bundle == found:
        return Outcome((looked,), kept)
    if kept is not None and _is_older(found, kept.bundle):
        raise Refused(
            f"{federated.url} shows an older bundle ({found.sequence}) than the last one ({kept.bundle.sequence})",
            next_step=f"if {domain} began anew: handsel ca federation refresh {domain} --anew",
        )
    made = BundleKept(found, now)
    line = entry(
        "federated bundle", now, trust_domain=str(domain), sequence=str(found.sequence),
        x509=",".join(each.fingerprint for each in found.x509), jwt=",".join(each.kid for each in found.jwt),
    )  # fmt: skip
    return Outcome((made, looked, line), made)


def failed(domain: TrustDomain, looked: BundleLooked | None, problem: str, now: datetime) -> BundleLooked:
    """A look that brought nothing."""
    return BundleLooked(domain, now, looked.found if looked else None, problem[:_LONGEST_PROBLEM])


def due(kept: BundleKept | None, looked: BundleLooked | None) -> datetime | None:
    """When to look again; None: now."""
    if looked is None:
        return None
    hint = kept.bundle.refresh_hint if kept else None
    usual = min(hint or USUAL_HINT, _LONGEST_HINT)  # whole seconds; none stands for nothing said
    return looked.tried + (min(usual, _AGAIN) if looked.problem else usual)


def first_contact(content: bytes, domain: TrustDomain) -> tuple[Certificate, ...]:
    """The CAs in the file for the first contact: a SPIFFE bundle, or PEM. Raises `ValueError`."""
    if content.lstrip().startswith(b"{"):
        return spiffe_bundle.read(content, domain).x509
    return parse_pem(content)


def check_server(leaf: Certificate, endpoint_id: SpiffeId | None) -> None:
    """Whether this leaf, whose chain was verified, is who should serve the bundle (SPIFFE Federation, 5.2.2).

    Raises `Refused`.
    """
    if leaf.is_ca or leaf.spiffe_id is None or leaf.spiffe_id != endpoint_id:
        raise Refused(f"the server is {leaf.spiffe_id or leaf.subject}, not {endpoint_id}")


def _is_older(found: SpiffeBundle, kept: SpiffeBundle) -> bool:
    return found.sequence is not None and kept.sequence is not None and found.sequence < kept.sequence
