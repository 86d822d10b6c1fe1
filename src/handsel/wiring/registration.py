"""Which hosts may join by evidence, from the mesh file alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from handsel.authority.attest import registration, x509pop
from handsel.authority.attest.model import Selectors
from handsel.authority.model import ALL_SERVICES, Domain
from handsel.authority.profile import Lifetimes, profiles
from handsel.errors import UsageError
from handsel.model.graph import Mesh
from handsel.pki.certificate import parse_pem


def preview(mesh: Mesh, attestor: str, selectors: Selectors) -> dict[str, Any]:
    """Who would get what, and which rule says so, for a host of which so much is known."""
    identities = {name: service.identity for name, service in mesh.members.items()}
    domain = Domain(mesh.trust_domain, identities, profiles(Lifetimes(leaf=mesh.leaf_lifetime)))
    verdicts = registration.preview(mesh.authority.registration, attestor, selectors, domain)
    services = next((each.services for each in verdicts if each.decides), ())
    known = list(identities) if services == ALL_SERVICES else services
    return {
        "attestor": attestor,
        "services": list(services),
        "identities": [str(identities[name]) for name in known],
        "rules": [
            {"rule": each.rule, "decides": each.decides, "services": list(each.services), "reason": each.reason}
            for each in verdicts
        ],
        "selectors": {name: list(values) for name, values in sorted(selectors.items())},
    }


def read_selectors(attestor: str, claims: bytes | None, certificate: bytes | None, written: Sequence[str]) -> Selectors:
    """What is known of a host: from claims in JSON, a certificate, or written as name=value. Raises `UsageError`."""
    found: dict[str, tuple[str, ...]] = {}
    try:
        if claims is not None:
            content = json.loads(claims)
            if not isinstance(content, dict):
                raise ValueError("it is no JSON object")
            found.update(registration.selectors_of(attestor, content))
        if certificate is not None:
            found.update(x509pop.selectors(parse_pem(certificate)[0]))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"this cannot be read: {error}") from error
    for each in written:
        name, separator, value = each.partition("=")
        if not separator:
            raise UsageError(f"{each!r} is no selector", next_step="write it as name=value")
        found[name] = (*found.get(name, ()), value)
    return found
