"""The policy: may this requester have these names? Plain decisions over rules; every refusal names the rule.

Denials come first, then any rule that allows. Without a policy what was proven is allowed; with one, what no rule
allows is denied. Beside the rules stand the reserved names, the patterns of the profile, those of the requester's own
external account key, and the name constraints of the issuer's chain: `refused` asks all of them, and nobody else
decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from handsel.authority.model import Issuer, Requester
from handsel.model.authority import Profile
from handsel.model.name_patterns import Kind, Pattern, cover, parse
from handsel.model.policy import Policy, Rule
from handsel.pki.constraints import constraints_of, name_violation
from handsel.pki.names import Names, TrustDomain

_NOT_NORMAL = re.compile(r"/\.{1,2}(/|$)|%2[ef]|[\s\\]", re.IGNORECASE)


@dataclass(frozen=True)
class Decision:
    """Whether names may be had. `rule` is the one that said so, if it was a rule; `why` is for people."""

    allowed: bool
    rule: Rule | None
    why: str


@dataclass(frozen=True)
class Refusal:
    """A name that may not be had, and why."""

    kind: str
    name: str
    why: str
    rule: Rule | None = None


def decide(names: Names, requester: Requester, rules: Policy) -> Decision:
    """What the rules say of all names together: the first refusal, or the last permission."""
    decision = Decision(False, None, "there is no name to decide about")
    mine = rules_for(requester, rules)
    for kind, name in names:
        decision = decide_name(kind, name, mine, rules)
        if not decision.allowed:
            break
    return decision


def rules_for(requester: Requester, rules: Policy) -> tuple[Rule, ...]:
    """The rules that are for a requester, denials first."""
    mine = [rule for rule in rules or () if is_for(rule, requester)]
    return tuple(sorted(mine, key=lambda rule: rule.allows))


def decide_name(kind: str, name: str, mine: tuple[Rule, ...], rules: Policy) -> Decision:
    """What the rules say of one name. `mine` are those for the requester, see `rules_for`."""
    if kind == "uri" and _NOT_NORMAL.search(name.partition("://")[2]):
        return Decision(False, None, f"{name} is not in normal form (RFC 3986, section 6.2.2), so no rule can tell")
    if rules is None:
        return Decision(True, None, "no policy is written, so what was proven is allowed")
    for rule in mine:
        if not rule.allows and (pattern := touching(rule, kind, name)):
            return Decision(False, rule, f"{name} is denied by {rule} ({pattern})")
        if rule.allows and (pattern := covering(rule, kind, name)):
            return Decision(True, rule, f"{name} is allowed by {rule} ({pattern})")
    return Decision(False, None, f"{name} is allowed by no rule of the policy{_near(kind, name, rules)}")


def is_for(rule: Rule, requester: Requester) -> bool:
    """Whether all that a rule says of its requesters holds.

    Who says nothing of itself (no `kind`) might be anybody: that allows nothing, and denies.
    """
    holds = all(requester.said(word) in values for word, values in rule.conditions.items())
    return holds or not (rule.allows or requester.kind)


def covering(rule: Rule, kind: str, name: str) -> Pattern | None:
    """The pattern of a rule that covers a name."""
    return next((each for each in rule.names if each.kind == kind and each.covers(name)), None)


def touching(rule: Rule, kind: str, name: str) -> Pattern | None:
    """The pattern of a rule that matches a name, or one of those that a wildcard stands for."""
    return next((each for each in rule.names if each.kind == kind and each.touches(name)), None)


def _near(kind: str, name: str, rules: Iterable[Rule]) -> str:
    """A rule that would allow the name, were it for this requester."""
    for rule in rules:
        if rule.allows and covering(rule, kind, name):
            return f"; {rule} is for others ({for_whom(rule)})"
    return ""


def for_whom(rule: Rule) -> str:
    """For whom a rule is, in words."""
    return ", ".join(f"{word} {' or '.join(values)}" for word, values in rule.conditions.items()) or "everybody"


def refused(
    names: Names, requester: Requester, profile: Profile, trust_domain: TrustDomain, rules: Policy, issuer: Issuer
) -> tuple[Refusal, ...]:
    """Every name that may not be had, with the reason. Cheap enough to ask when an order is made, and again at its end.

    For a certificate that is not the mesh's own: those are decided by the mesh file, see `check`.
    """
    who = Requester(requester.kind, requester.account, requester.eab, requester.attestor, profile.name)
    limits = tuple(parse(each) for each in requester.limits)
    mine = rules_for(who, rules)
    found: list[Refusal] = []
    for kind, name in names:
        why = (
            _reserved(kind, name, trust_domain)
            or _outside(kind, name, profile.patterns, f"the profile {profile.name!r}")
            or _outside(kind, name, limits, "the external account key")
            or _constrained(kind, name, issuer)
        )
        if why is not None:
            found.append(Refusal(kind, name, why))
            continue
        decision = decide_name(kind, name, mine, rules)
        if not decision.allowed:
            found.append(Refusal(kind, name, decision.why, decision.rule))
    return tuple(found)


def _reserved(kind: str, name: str, trust_domain: TrustDomain) -> str | None:
    server = trust_domain.server_dns
    if kind == "dns" and (name == server or name == f"*.{server.partition('.')[2]}"):
        return f"{server} is the name of handsel's own servers" + (f", and {name} stands for it" * (name != server))
    if kind == "uri" and name.lower().startswith("spiffe:"):
        return f"{name} is a SPIFFE ID, which the mesh alone gives"
    return None


def _outside(kind: str, name: str, patterns: tuple[Pattern, ...], owner: str) -> str | None:
    if not patterns or cover(patterns, kind, name):
        return None
    return f"{name} is outside what {owner} takes: {', '.join(str(each) for each in patterns[:5])}"


def _constrained(kind: str, name: str, issuer: Issuer) -> str | None:
    for certificate in (*issuer.chain, issuer.root):
        constraints = constraints_of(certificate)
        why = name_violation(kind, name, constraints) if constraints is not None else None
        if why is not None:
            return why
    return None


# Explaining, where not everything about the requester is said

Effect = Literal["denies", "allows", "may deny", "may allow"]


@dataclass(frozen=True)
class Heard:
    """A rule that has something to say of a name: `may` when it depends on what was not said of the requester."""

    rule: Rule
    pattern: Pattern
    effect: Effect
    open_conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """Whether a name may be had: `yes`, `no`, or `depends` on who asks. `rules` are those that speak."""

    name: str
    kind: Kind
    verdict: Literal["yes", "no", "depends"]
    why: str
    rules: tuple[Heard, ...] = ()


def explain(
    kind: Kind,
    name: str,
    requester: Requester,
    profile: Profile | None,
    trust_domain: TrustDomain,
    rules: Policy,
    issuer: Issuer | None = None,
) -> Explanation:
    """May this name be had, by whom, and which line says so. What is None of the requester was not said."""
    why = (
        _reserved(kind, name, trust_domain)
        or (_outside(kind, name, profile.patterns, f"the profile {profile.name!r}") if profile else None)
        or (_constrained(kind, name, issuer) if issuer else None)
    )
    if why is not None:
        return Explanation(name, kind, "no", why)
    if rules is None or (kind == "uri" and _NOT_NORMAL.search(name.partition("://")[2])):
        decision = decide_name(kind, name, (), rules)
        return Explanation(name, kind, "yes" if decision.allowed else "no", decision.why)
    heard = [found for rule in rules if (found := _hear(rule, kind, name, requester)) is not None]
    of = {
        effect: [each for each in heard if each.effect == effect]
        for effect in ("denies", "allows", "may deny", "may allow")
    }
    others = of["may deny"] + of["allows"] + of["may allow"]
    if of["denies"]:
        first = of["denies"][0]
        return Explanation(name, kind, "no", f"{name} is denied by {first.rule} ({first.pattern})", tuple(of["denies"]))
    if of["allows"] and not of["may deny"]:
        first = of["allows"][0]
        return Explanation(name, kind, "yes", f"{name} is allowed by {first.rule} ({first.pattern})", tuple(others))
    if of["allows"] or of["may allow"]:
        return Explanation(name, kind, "depends", f"it depends on who asks for {name}", tuple(others))
    return Explanation(name, kind, "no", decide_name(kind, name, (), rules).why, tuple(others))


def _hear(rule: Rule, kind: str, name: str, requester: Requester) -> Heard | None:
    pattern = covering(rule, kind, name) if rule.allows else touching(rule, kind, name)
    said = {word: requester.said(word) for word in rule.conditions}
    if pattern is None or any(value is not None and value not in rule.conditions[word] for word, value in said.items()):
        return None
    unsaid = tuple(word for word, value in said.items() if value is None)
    effect: Effect = ("may allow" if unsaid else "allows") if rule.allows else ("may deny" if unsaid else "denies")
    return Heard(rule, pattern, effect, unsaid)
