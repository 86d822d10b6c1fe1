"""What a running proxy's configuration lets in, read from its own dump (Envoy admin, `/config_dump`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ANYBODY = "*"
_BY_RULE = "?"


def allowed_callers(dump: Mapping[str, Any]) -> frozenset[str]:
    """The identities that the RBAC filter of the mesh port lets through; `ANYBODY` when it lets everybody through.

    Where its rules ask for more than names, those that the handshake lets in.
    """
    inbound = [listener for listener in _listeners(dump) if listener.get("name") == "inbound"]
    filters = [rules for listener in inbound for rules in _rules(listener) if rules.get("action", "ALLOW") == "ALLOW"]
    gates = [_principals(rules) for rules in filters if "policies" in rules]
    if any(_BY_RULE in each for each in gates):
        gates = [each for each in gates if _BY_RULE not in each]
        gates += [_of_handshake(context) for each in inbound for context in _typed(each, "tls.v3.DownstreamTlsContext")]
    gates = [each for each in gates if ANYBODY not in each]
    return frozenset.intersection(*gates) if gates else frozenset({ANYBODY})


def _of_handshake(context: Mapping[str, Any]) -> frozenset[str]:
    """The names of which a peer's certificate must carry one."""
    validation = context.get("common_tls_context", {}).get("combined_validation_context", {})
    names = validation.get("default_validation_context", {}).get("match_typed_subject_alt_names", [])
    return frozenset(str(each.get("matcher", {}).get("exact") or ANYBODY) for each in names) or frozenset({ANYBODY})


def demands_certificate(dump: Mapping[str, Any]) -> bool:
    """Whether every TLS context of the mesh port demands a client certificate.

    A list of names makes Envoy demand one too; the demand must not hang on that list alone.
    """
    contexts = [
        context
        for listener in _listeners(dump)
        if listener.get("name") == "inbound"
        for context in _typed(listener, "tls.v3.DownstreamTlsContext")
    ]
    return bool(contexts) and all(context.get("require_client_certificate") is True for context in contexts)


def names(dump: Mapping[str, Any]) -> set[str]:
    """The names of the listeners and clusters in a dump."""
    return {str(each["name"]) for each in _resources(dump) if "name" in each}


def _principals(rules: Mapping[str, Any]) -> frozenset[str]:
    """Who is let through by name; `ANYBODY` where nothing is asked at all, `_BY_RULE` where more than a name is."""
    found = set()
    for policy in rules.get("policies", {}).values():
        asks = [each for each in policy.get("permissions", []) if each != {"any": True}]
        for principal in policy.get("principals", []):
            exact = principal.get("authenticated", {}).get("principal_name", {}).get("exact")
            is_open = principal == {"any": True} and not asks
            found.add(ANYBODY if is_open else exact if exact and not asks else _BY_RULE)
    return frozenset(found)


def _rules(listener: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The `rules` of every RBAC filter of a listener, network and HTTP."""
    yield from (each.get("rules", {}) for each in _typed(listener, "rbac.v3.RBAC"))


def _typed(value: Any, type_end: str) -> Iterator[Mapping[str, Any]]:
    """Every message anywhere inside whose type ends so."""
    if isinstance(value, Mapping):
        if str(value.get("@type", "")).endswith(type_end):
            yield value
        for inner in value.values():
            yield from _typed(inner, type_end)
    elif isinstance(value, list):
        for inner in value:
            yield from _typed(inner, type_end)


def _listeners(dump: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (each for each in _resources(dump) if str(each.get("@type", "")).endswith("listener.v3.Listener"))


def _resources(dump: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for config in dump.get("configs", []):
        state = config.get("active_state", config)
        resource = state.get("listener") or state.get("cluster")
        if isinstance(resource, Mapping):
            yield resource
