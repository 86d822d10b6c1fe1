"""Acts about the policy and the profiles; and both as documents, for whoever has only the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from handsel.authority import policy
from handsel.authority.adapters.lint import read_verdicts
from handsel.authority.administration import Role
from handsel.authority.lint import Verdict
from handsel.authority.model import Domain, Issuer, Issuers, Requester
from handsel.authority.policy import Explanation
from handsel.authority.profile import Lifetimes, Profiles, fingerprint, profiles
from handsel.errors import UsageError
from handsel.model.authority import OWN_PROFILES, Profile
from handsel.model.durations import show_duration
from handsel.model.graph import Mesh
from handsel.model.name_patterns import kind_of
from handsel.model.policy import Policy, Rule
from handsel.pki.names import TrustDomain, dns_name
from handsel.wiring.admin.acts import Act, Acts, Asked

_NOT_LOOKED_AT = "not looked at yet"


def acts(domain: Callable[[], Domain], issuers: Callable[[], Issuers], verdicts: Mapping[str, Verdict]) -> Acts:
    """What may be asked about who may have which name."""

    async def rules(_asked: Asked) -> Any:
        written = domain().policy
        return _document("Policy", written=written is not None, rules=[_rule(each) for each in written or ()])

    async def explain(asked: Asked) -> Any:
        now = domain()
        who = {word: asked.query.get(word) for word in ("account", "eab", "attestor", "profile")}
        return explain_name(
            asked.query.get("name", ""), who, now.profiles, now.trust_domain, now.policy, issuers().by_name
        )

    async def list_profiles(_asked: Asked) -> Any:
        return describe_profiles(domain().profiles.by_name.values(), verdicts.get)

    return {
        ("GET", "/v1/policy"): Act(Role.VIEWER, rules),
        ("GET", "/v1/policy/explain"): Act(Role.VIEWER, explain),
        ("GET", "/v1/profiles"): Act(Role.VIEWER, list_profiles),
    }


def explain_by_file(mesh: Mesh, name: str, who: Mapping[str, str | None]) -> dict[str, Any]:
    """May this name be had, as a mesh file says, whether a server runs or not. Raises `UsageError`."""
    return explain_name(name, who, _profiles_of(mesh), mesh.trust_domain, mesh.authority.policy, {})


def profiles_by_file(mesh: Mesh, state: Path) -> dict[str, Any]:
    """The profiles of a mesh file, with what was found about them when a server of this state folder loaded them."""
    found = {verdict.fingerprint: verdict for verdict in read_verdicts(state / "server" / "lint.json").values()}
    known = _profiles_of(mesh).by_name
    return describe_profiles(known.values(), lambda name: found.get(fingerprint(known[name])))


def explain_name(
    text: str,
    who: Mapping[str, str | None],
    known: Profiles,
    trust_domain: TrustDomain,
    rules: Policy,
    issuers: Mapping[str, Issuer],
) -> dict[str, Any]:
    """The explanation as a document. `who` may have `account`, `eab`, `attestor` and `profile`. Raises `UsageError`."""
    try:
        kind = kind_of(text)
        name = dns_name(text) if kind == "dns" else text
    except ValueError as error:
        raise UsageError(str(error), next_step="a name is a DNS name, an address, a URI or a mailbox") from error
    wanted = who.get("profile")
    if wanted is not None and (wanted in OWN_PROFILES or wanted not in known.by_name):
        others = ", ".join(each for each in known.by_name if each not in OWN_PROFILES)
        raise UsageError(f"the policy decides about no profile {wanted!r}", next_step=f"profiles are {others}")
    requester = Requester("acme" if who.get("account") else "any", **who)  # type: ignore[arg-type]  # see above
    profile = known[wanted] if wanted is not None else None
    issuer = issuers.get(profile.issuer) if profile is not None else next(iter(issuers.values()), None)
    return _explanation(policy.explain(kind, name, requester, profile, trust_domain, rules, issuer), who)


def describe_profiles(known: Iterable[Profile], verdict: Callable[[str], Verdict | None]) -> dict[str, Any]:
    """Profiles as a document."""
    return _document("Profiles", profiles=[_profile(each, verdict(each.name)) for each in known])


def _profiles_of(mesh: Mesh) -> Profiles:
    return profiles(Lifetimes(leaf=mesh.leaf_lifetime), mesh.authority.profiles)


def _profile(profile: Profile, verdict: Verdict | None) -> dict[str, Any]:
    return {
        "name": profile.name,
        "hash": fingerprint(profile),
        "issuer": profile.issuer,
        "lifetime": show_duration(profile.lifetime),
        "keys": sorted(profile.keys),
        "names": list(profile.names),
        "acme": profile.acme,
        "lint_each_leaf": profile.lint_leaves,
        "reuse_keys": profile.reuse_keys,
        "verdict": str(verdict) if verdict else _NOT_LOOKED_AT,
        "findings": [asdict(each) for each in verdict.findings] if verdict else [],
    }


def _explanation(found: Explanation, who: Mapping[str, str | None]) -> dict[str, Any]:
    return _document(
        "PolicyExplanation",
        name=found.name,
        type=found.kind,
        requester={word: value for word, value in who.items() if value is not None},
        verdict=found.verdict,
        why=found.why,
        rules=[
            {
                **_rule(each.rule),
                "effect": each.effect,
                "pattern": str(each.pattern),
                "open": list(each.open_conditions),
            }
            for each in found.rules
        ],
    )


def _rule(rule: Rule) -> dict[str, Any]:
    names: dict[str, list[str]] = {}
    for each in rule.names:
        names.setdefault(each.kind, []).append(str(each))
    return {
        "rule": "allow" if rule.allows else "deny",
        "where": rule.where,
        "names": names,
        "for": {word: list(values) for word, values in rule.conditions.items()},
    }


def _document(kind: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": "handsel/v1", "kind": kind, **content}
