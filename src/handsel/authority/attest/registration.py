"""From evidence to services, by the rules of the mesh file: the first rule that fits decides, and is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handsel.authority.attest import kubernetes, ssh_host, templates, tokens, tpm, x509pop
from handsel.authority.attest.model import Attested, Selectors
from handsel.authority.attest.selectors import misfit, of_claims
from handsel.authority.model import ALL_SERVICES, Admission, Domain
from handsel.errors import Refused
from handsel.link.joining import Evidence
from handsel.link.transcript import Transcript
from handsel.model.authority import Registration

_MOST_SERVICES = 64


@dataclass(frozen=True)
class Attestor:
    """One kind of evidence: how the file of those who are believed is read, and how evidence is looked at."""

    read_trust: Callable[[bytes], Any]
    attest: Callable[[Registration, Any, Evidence, Transcript, datetime], Attested]


ATTESTORS: Mapping[str, Attestor] = {
    "x509pop": Attestor(x509pop.read_trust, x509pop.attest),
    "kubernetes": Attestor(kubernetes.read_trust, kubernetes.attest),
    "oidc": Attestor(tokens.read_trust, tokens.attest),
    "ssh_host": Attestor(ssh_host.read_trust, ssh_host.attest),
    "tpm": Attestor(tpm.read_trust, tpm.attest),
}


@dataclass(frozen=True)
class Verdict:
    """What one rule says: the services that it gives, or why it gives none. `decides`: no later rule is asked."""

    rule: str
    services: tuple[str, ...] = ()
    reason: str = ""
    decides: bool = False


def judge(rule: Registration, selectors: Selectors, domain: Domain) -> Verdict:
    """What a rule says to a host of which so much is known."""
    reason = misfit(rule.when, selectors)
    if reason:
        return Verdict(rule.name, reason=reason)
    try:
        return Verdict(rule.name, services_of(rule, selectors, domain), decides=True)
    except Refused as error:
        return Verdict(rule.name, reason=str(error), decides=True)


def services_of(rule: Registration, selectors: Selectors, domain: Domain) -> tuple[str, ...]:
    """The services that a rule's templates give, all of them of the mesh. Raises `Refused`."""
    found: list[str] = []
    for template in rule.services:
        if (template,) == ALL_SERVICES:  # only written out: no value of a host ever means it
            return ALL_SERVICES
        found += templates.services(template, selectors)
    of_identity = {identity: name for name, identity in domain.identities.items()}
    for template in rule.identities:
        for identity in templates.identities(template, selectors, domain.trust_domain):
            if identity not in of_identity:
                raise Refused(f"{identity} is no service of the mesh")
            found.append(of_identity[identity])
    unknown = [name for name in found if name not in domain.identities]
    if unknown:
        raise Refused(f"there is no service {unknown[0]!r} in the mesh")
    if len(found) > _MOST_SERVICES:
        raise Refused(f"a rule gives a host at most {_MOST_SERVICES} services")
    return tuple(dict.fromkeys(found))


def admit(attestor: str, tried: Sequence[tuple[Registration, Attested | Refused]], domain: Domain) -> Admission:
    """Who may join: the first rule that fits decides. Raises `Refused` with what each rule said."""
    said: list[str] = []
    for rule, found in tried:
        if isinstance(found, Refused):
            said.append(f"{rule.name}: {found}")
            continue
        verdict = judge(rule, found.selectors, domain)
        if verdict.services:
            return Admission(verdict.services, f"{attestor}, {rule.name}", subject=found.subject, spent=found.spent)
        said.append(f"{rule.name}: {verdict.reason}")
        if verdict.decides:
            break
    if not said:
        raise Refused(
            f"no rule registers hosts by {attestor}",
            next_step="write one under authority: registration: in handsel.yaml",
        )
    raise Refused(f"no rule registers this host: {'; '.join(said)}"[:1000])


def preview(rules: Sequence[Registration], attestor: str, selectors: Selectors, domain: Domain) -> tuple[Verdict, ...]:
    """What each rule for this attestor would say to a host, up to the one that decides."""
    verdicts: list[Verdict] = []
    for rule in rules:
        if rule.attestor == attestor:
            verdicts.append(judge(rule, selectors, domain))
            if verdicts[-1].decides:
                break
    return tuple(verdicts)


def selectors_of(attestor: str, claims: Mapping[str, Any]) -> Selectors:
    """The selectors of what a person writes down for a preview. Raises `Refused`."""
    return kubernetes.selectors(claims) if attestor == "kubernetes" else of_claims(claims)
