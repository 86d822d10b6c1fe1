"""What a running proxy's configuration lets in, read from its own dump (Envoy admin, `/config_dump`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ANYBODY = "*"


def allowed_callers(dump: Mapping[str, Any]) -> frozenset[str]:
    """The identities that the RBAC filter of the mesh port lets through; `ANYBODY` when it lets everybody through."""
    filters = [
        rules for listener in _listeners(dump) if listener.get("name") == "inbound" for rules in _rules(listener)
    ]
    if not filters:
        return frozenset({ANYBODY})
    return frozenset.intersection(*(_principals(rules) for rules in filters))


def names(dump: Mapping[str, Any]) -> set[str]:
    """The names of the listeners and clusters in a dump."""
    return {str(each["name"]) for each in _resources(dump) if "name" in each}


def _principals(rules: Mapping[str, Any]) -> frozenset[str]:
    if rules.get("action", "ALLOW") != "ALLOW":
        return frozenset({ANYBODY})
    found = set()
    for policy in rules.get("policies", {}).values():
        for principal in policy.get("principals", []):
            exact = principal.get("authenticated", {}).get("principal_name", {}).get("exact")
            found.add(exact or ANYBODY)
    return frozenset(found)


def _rules(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every `rules` of an RBAC filter anywhere inside."""
    if isinstance(value, Mapping):
        if str(value.get("@type", "")).endswith("rbac.v3.RBAC"):
            yield value.get("rules", {})
        for inner in value.values():
            yield from _rules(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _rules(inner)


def _listeners(dump: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (each for each in _resources(dump) if str(each.get("@type", "")).endswith("listener.v3.Listener"))


def _resources(dump: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for config in dump.get("configs", []):
        state = config.get("active_state", config)
        resource = state.get("listener") or state.get("cluster")
        if isinstance(resource, Mapping):
            yield resource
