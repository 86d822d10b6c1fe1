"""A service account's token of Kubernetes, checked offline by the cluster's keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from handsel.authority.attest import tokens
from handsel.authority.attest.model import Attested, Selectors
from handsel.errors import Refused
from handsel.link.joining import Evidence
from handsel.link.transcript import Transcript
from handsel.model.authority import Registration

read_trust = tokens.read_trust


def attest(
    rule: Registration, keys: tokens.Keys, evidence: Evidence, _transcript: Transcript, now: datetime
) -> Attested:
    """The pod that bears a token. Raises `Refused`; tokens without a pod (the old, endless ones) are."""
    claims = tokens.claims_of(rule, keys, evidence.token, now)
    found = selectors(claims)
    subject = f"system:serviceaccount:{found['namespace'][0]}:{found['service_account'][0]}"
    if claims["sub"] != subject:
        raise Refused(f"the token's subject is {claims['sub'][:200]!r}, not {subject!r}")
    return Attested("kubernetes", subject, found, tokens.spent(claims, evidence.token))


def selectors(claims: Mapping[str, Any]) -> Selectors:
    """namespace, service_account, pod, node, and the uids of the last three. Raises `Refused`."""
    bound = claims.get("kubernetes.io")
    if not isinstance(bound, Mapping):
        raise Refused("the token is not a bound one of Kubernetes: mount a projected service account token")
    found = {"namespace": (_text(bound, "namespace"),)}
    for name, part, needed in (
        ("service_account", "serviceaccount", True), ("pod", "pod", True), ("node", "node", False),
    ):  # fmt: skip
        reference = bound.get(part)
        if not isinstance(reference, Mapping):
            if needed:
                raise Refused(f"the token is bound to no {part}: mount a projected service account token")
            continue
        found[name] = (_text(reference, "name"),)
        found[f"{name}_uid"] = (_text(reference, "uid"),)
    return found


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 253:
        raise Refused(f"the token's {name} is no name")
    return value
