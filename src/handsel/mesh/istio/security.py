"""Modes, policies and tokens from Istio's security kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from handsel.documents.yaml import Path
from handsel.mesh.istio import findings
from handsel.mesh.istio.reading import Found, Reading
from handsel.mesh.istio.resources import security as kinds
from handsel.model.access import (
    Action,
    Condition,
    Labels,
    Operation,
    PeerMode,
    Policy,
    Rule,
    Source,
    TokenIssuer,
    Tokens,
)

_DRY_RUN = "istio.io/dry-run"
# A key whose other half nobody has: Envoy wants one.
_NO_KEYS = (
    '{"keys": [{"kty": "EC", "crv": "P-256", "x": "m920cfgfSPARp6W37YlY23GFfvLwSuq0jeBj0_IIEfg",'
    ' "y": "hu46gu5wON6qrk8CV-WL9QDSHvFpSlMPwwfylX-jEhE"}]}'
)


@dataclass(frozen=True)
class Security:
    """What the security kinds say together."""

    modes: tuple[PeerMode, ...] = ()
    policies: tuple[Policy, ...] = ()
    tokens: tuple[Tokens, ...] = ()


def read_security(reading: Reading) -> Security:
    """Everything about who may reach what."""
    resources = reading.resources
    return Security(
        tuple(_modes(reading, resources.of(kinds.PeerAuthentication))),
        tuple(_policies(reading, resources.of(kinds.AuthorizationPolicy))),
        tuple(_tokens(reading, resources.of(kinds.RequestAuthentication))),
    )


# PeerAuthentication


def _modes(reading: Reading, found: Iterable[Found[kinds.PeerAuthentication]]) -> Iterator[PeerMode]:
    for each in found:
        spec = each.resource.spec
        everywhere = each.namespace == reading.root_namespace
        selector = _labels(spec.selector)
        if everywhere and selector:
            message = "a selector in the root namespace: Istio ignores this PeerAuthentication, and so is it here"
            reading.findings.add(each, ("spec", "selector"), findings.IGNORED_SELECTOR, message)
            continue
        yield PeerMode(
            each.name,
            "" if everywhere else each.namespace,
            selector,
            spec.mtls.mode if spec.mtls else None,
            tuple((int(port), mtls.mode) for port, mtls in spec.port_level_mtls.items()),
            each.metadata.creation_timestamp or "",
            origin=each.origin,
        )


# AuthorizationPolicy


def _policies(reading: Reading, found: Iterable[Found[kinds.AuthorizationPolicy]]) -> Iterator[Policy]:
    for each in found:
        spec = each.resource.spec
        if _has_targets(reading, each, spec):
            continue
        action = spec.action
        if action is None:
            # Whoever would be asked is not, so that nobody can say yes.
            message = "action CUSTOM asks an outside authorizer, which is not carried out: what it fits is refused"
            reading.findings.add(each, ("spec", "action"), findings.CUSTOM, message)
            action = Action.DENY
        elif each.metadata.annotation(_DRY_RUN) == "true":
            action = Action.AUDIT
        rules = tuple(_rule(rule, each, ("spec", "rules", index)) for index, rule in enumerate(spec.rules))
        yield Policy(each.name, each.namespace, _labels(spec.selector), action, rules, origin=each.origin)


def _has_targets(
    reading: Reading,
    found: Found[kinds.AuthorizationPolicy] | Found[kinds.RequestAuthentication],
    spec: kinds.AuthorizationPolicySpec | kinds.RequestAuthenticationSpec,
) -> bool:
    for key, said in (("targetRef", spec.target_ref), ("targetRefs", spec.target_refs)):
        if said:
            message = f"{key} names a gateway or a waypoint that there is not here: this resource is set aside"
            reading.findings.add(found, ("spec", key), findings.TARGETS, message)
            return True
    return False


def _rule(said: kinds.Rule, found: Found[kinds.AuthorizationPolicy], path: Path) -> Rule:
    return Rule(
        tuple(_source(each.source, found.namespace) for each in said.from_ or ()),
        tuple(_operation(each.operation) for each in said.to or ()),
        tuple(_condition(each, found.namespace) for each in said.when),
        found.at(path),
    )


def _source(said: kinds.Source, namespace: str) -> Source:
    return Source(
        principals=tuple(said.principals),
        not_principals=tuple(said.not_principals),
        namespaces=tuple(said.namespaces),
        not_namespaces=tuple(said.not_namespaces),
        service_accounts=_accounts(said.service_accounts, namespace),
        not_service_accounts=_accounts(said.not_service_accounts, namespace),
        trust_domains=tuple(said.trust_domains),
        not_trust_domains=tuple(said.not_trust_domains),
        request_principals=tuple(said.request_principals),
        not_request_principals=tuple(said.not_request_principals),
        ip_blocks=tuple(said.ip_blocks),
        not_ip_blocks=tuple(said.not_ip_blocks),
        remote_ip_blocks=tuple(said.remote_ip_blocks),
        not_remote_ip_blocks=tuple(said.not_remote_ip_blocks),
    )


def _accounts(names: list[str], namespace: str) -> tuple[str, ...]:
    """Service accounts with their namespace, which is that of the policy where none is written."""
    return tuple(name if "/" in name else f"{namespace}/{name}" for name in names)


def _operation(said: kinds.Operation) -> Operation:
    return Operation(
        tuple(said.hosts),
        tuple(said.not_hosts),
        tuple(int(each) for each in said.ports),
        tuple(int(each) for each in said.not_ports),
        tuple(said.methods),
        tuple(said.not_methods),
        tuple(said.paths),
        tuple(said.not_paths),
    )


def _condition(said: kinds.Condition, namespace: str) -> Condition:
    if said.key == "source.serviceAccount":
        return Condition(said.key, _accounts(said.values, namespace), _accounts(said.not_values, namespace))
    return Condition(said.key, tuple(said.values), tuple(said.not_values))


# RequestAuthentication


def _tokens(reading: Reading, found: Iterable[Found[kinds.RequestAuthentication]]) -> Iterator[Tokens]:
    for each in found:
        spec = each.resource.spec
        if _has_targets(reading, each, spec):
            continue
        issuers = tuple(_issuer(reading, each, index, rule) for index, rule in enumerate(spec.jwt_rules))
        yield Tokens(each.name, each.namespace, _labels(spec.selector), issuers, origin=each.origin)


def _issuer(
    reading: Reading, found: Found[kinds.RequestAuthentication], index: int, said: kinds.JwtRule
) -> TokenIssuer:
    if not said.jwks and not said.jwks_uri:
        message = f"neither jwks nor jwksUri: keys are not looked for at {said.issuer}, and all its tokens are refused"
        reading.findings.add(found, ("spec", "jwtRules", index), findings.NO_KEYS, message)
    return TokenIssuer(
        said.issuer,
        tuple(said.audiences),
        said.jwks or ("" if said.jwks_uri else _NO_KEYS),
        said.jwks_uri or "",
        tuple((each.name, each.prefix) for each in said.from_headers),
        tuple(said.from_params),
        tuple(said.from_cookies),
        said.output_payload_to_header or "",
        tuple((each.header, each.claim) for each in said.output_claim_to_headers),
        said.forward_original_token,
        said.timeout,
        tuple(said.space_delimited_claims),
    )


def _labels(selector: kinds.Selector | None) -> Labels:
    return tuple(sorted(selector.match_labels.items())) if selector else ()
