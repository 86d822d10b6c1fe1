"""Who may do what, in the words of Envoy's RBAC filters."""

from __future__ import annotations

from typing import Any

from handsel.pki.names import SpiffeId


def http(callers: tuple[SpiffeId, ...]) -> dict[str, Any]:
    """The second line behind the check of names in the handshake."""
    return {
        "name": "envoy.filters.http.rbac",
        "typedConfig": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": of_callers(callers),
        },
    }


def of_callers(callers: tuple[SpiffeId, ...]) -> dict[str, Any]:
    """One policy a caller, so that its statistics count the edge."""
    return {
        "action": "ALLOW",
        "policies": {
            str(caller): {
                "permissions": [{"any": True}],
                "principals": [{"authenticated": {"principalName": {"exact": str(caller)}}}],
            }
            for caller in callers
        },
    }
