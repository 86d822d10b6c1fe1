"""PeerAuthentication, AuthorizationPolicy, RequestAuthentication: who may reach what (security.istio.io)."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from handsel.mesh.istio.resources.common import Duration, NotYet, Object, Part, one_of
from handsel.model.access import HEADER, Action, Mode, condition_fault, length_fault
from handsel.model.access_file import jwks_fault, uri_fault
from handsel.model.faults import short


def _block(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"{short(text)} is no IP address and no block such as 10.0.0.0/8") from None


def _port(text: str) -> str:
    if not text.isdecimal() or not 0 < int(text) <= 65535:
        raise ValueError(f"a port is a number from 1 to 65535, not {short(text)}")
    return text


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _value(text: str) -> str:
    if fault := length_fault(text):
        raise ValueError(fault)
    return text


def _header(text: str) -> str:
    if not HEADER.fullmatch(text):
        raise ValueError(f"{short(text)} is no name of a header")
    return text


def _account(text: str) -> str:
    if "*" in text or text.count("/") > 1 or not all(text.split("/")):
        raise ValueError(f"a service account is written out, as NAME or NAMESPACE/NAME, unlike {short(text)}")
    return text


def _jwks(text: str) -> str:
    fault = jwks_fault(text)
    if fault:
        raise ValueError(fault)
    return text


def _uri(text: str) -> str:
    fault = uri_fault(text)
    if fault:
        raise ValueError(fault)
    return text


Block = Annotated[str, AfterValidator(_block)]
PortText = Annotated[str, BeforeValidator(_text), AfterValidator(_port)]
Value = Annotated[str, AfterValidator(_value)]
Header = Annotated[str, AfterValidator(_header)]
Account = Annotated[str, AfterValidator(_account)]


class Selector(Part):
    """`WorkloadSelector` of the security kinds: workloads with all of these labels."""

    match_labels: dict[str, str] = Field({})


# PeerAuthentication

MODES: dict[str, Mode | None] = {
    "UNSET": None,
    "STRICT": Mode.STRICT,
    "PERMISSIVE": Mode.PERMISSIVE,
    "DISABLE": Mode.DISABLE,
}


class MutualTls(Part):
    """`MutualTLS`."""

    mode: Annotated[Mode | None, BeforeValidator(one_of(MODES))] = None


class PeerAuthenticationSpec(Part):
    """`PeerAuthentication`. The keys of `portLevelMtls` are ports at which programs listen."""

    selector: Selector | None = None
    mtls: MutualTls | None = None
    port_level_mtls: dict[PortText, MutualTls] = Field({})

    @model_validator(mode="after")
    def _ports_need_a_selector(self) -> Self:
        if self.port_level_mtls and not (self.selector and self.selector.match_labels):
            raise ValueError("portLevelMtls needs a selector")
        return self


class PeerAuthentication(Object):
    """Modes of mutual TLS."""

    spec: PeerAuthenticationSpec = PeerAuthenticationSpec()


# AuthorizationPolicy

ACTIONS: dict[str, Action | None] = {
    "ALLOW": Action.ALLOW,
    "DENY": Action.DENY,
    "AUDIT": Action.AUDIT,
    "CUSTOM": None,
}


class Source(Part):
    """`Source`: who calls."""

    principals: list[Value] = Field([])
    not_principals: list[Value] = Field([])
    request_principals: list[Value] = Field([])
    not_request_principals: list[Value] = Field([])
    namespaces: list[Value] = Field([])
    not_namespaces: list[Value] = Field([])
    service_accounts: list[Account] = Field([])
    not_service_accounts: list[Account] = Field([])
    trust_domains: list[Value] = Field([])
    not_trust_domains: list[Value] = Field([])
    ip_blocks: list[Block] = Field([])
    not_ip_blocks: list[Block] = Field([])
    remote_ip_blocks: list[Block] = Field([])
    not_remote_ip_blocks: list[Block] = Field([])

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError("a source must say something")
        return self


class Operation(Part):
    """`Operation`: what is asked for."""

    hosts: list[Value] = Field([])
    not_hosts: list[Value] = Field([])
    ports: list[PortText] = Field([])
    not_ports: list[PortText] = Field([])
    methods: list[Value] = Field([])
    not_methods: list[Value] = Field([])
    paths: list[Value] = Field([])
    not_paths: list[Value] = Field([])

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError("an operation must say something")
        return self


class From(Part):
    """`Rule.From`."""

    source: Source


class To(Part):
    """`Rule.To`."""

    operation: Operation


class Condition(Part):
    """`Condition`: an attribute and its values."""

    key: str
    values: list[Value] = Field([])
    not_values: list[Value] = Field([])

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        fault = condition_fault(self.key, (*self.values, *self.not_values))
        if fault:
            raise ValueError(fault)
        return self


class Rule(Part):
    """`Rule`: one of `from`, one of `to`, and all of `when` must fit; what is left out always does."""

    from_: Annotated[list[From], Field(min_length=1)] | None = Field(None, alias="from")
    to: Annotated[list[To], Field(min_length=1)] | None = None
    when: list[Condition] = Field([])


class AuthorizationPolicySpec(Part):
    """`AuthorizationPolicy`."""

    selector: Selector | None = None
    target_ref: NotYet = None
    target_refs: NotYet = None
    action: Annotated[Action | None, BeforeValidator(one_of(ACTIONS))] = Action.ALLOW
    provider: NotYet = None
    rules: list[Rule] = Field([])


class AuthorizationPolicy(Object):
    """Who may ask for what."""

    spec: AuthorizationPolicySpec = AuthorizationPolicySpec()


# RequestAuthentication


class JwtHeader(Part):
    """`JWTHeader`: a header with a token, and what stands before the token."""

    name: Header
    prefix: str = ""


class ClaimToHeader(Part):
    """`ClaimToHeader`."""

    header: Header
    claim: Value


class JwtRule(Part):
    """`JWTRule`: one issuer of tokens."""

    issuer: Value
    audiences: list[Value] = Field([])
    jwks_uri: Annotated[str, AfterValidator(_uri)] | None = None
    jwks: Annotated[str, AfterValidator(_jwks)] | None = None
    from_headers: list[JwtHeader] = Field([])
    from_params: list[Value] = Field([])
    from_cookies: list[Value] = Field([])
    output_payload_to_header: Header | None = None
    output_claim_to_headers: list[ClaimToHeader] = Field([])
    forward_original_token: bool = False
    timeout: Duration | None = None
    space_delimited_claims: list[Value] = Field([])

    @model_validator(mode="after")
    def _keys_from_one_place(self) -> Self:
        if self.jwks and self.jwks_uri:
            raise ValueError("either jwks or jwksUri, not both")
        return self


class RequestAuthenticationSpec(Part):
    """`RequestAuthentication`."""

    selector: Selector | None = None
    target_ref: NotYet = None
    target_refs: NotYet = None
    jwt_rules: list[JwtRule] = Field([])


class RequestAuthentication(Object):
    """Tokens that requests bring."""

    spec: RequestAuthenticationSpec = RequestAuthenticationSpec()
