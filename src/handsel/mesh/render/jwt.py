"""Tokens that requests bring, in the words of Envoy's filter for them (JWT, RFC 7519)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from handsel.mesh.access.keys import key_cluster
from handsel.mesh.render.words import seconds
from handsel.model.access import TokenIssuer

METADATA = "envoy.filters.http.jwt_authn"
"""Where the claims of a checked token are kept for the filters behind."""
PAYLOAD = "payload"
_FETCH_TIMEOUT = "5s"
_KEPT = "300s"
# Lists that are written as one text (RFC 8693, section 4.2), as Istio reads them.
_SPACE_DELIMITED = ("scope", "permission")


def tokens(issuers: Iterable[TokenIssuer]) -> list[dict[str, Any]]:
    """The filter: a token of one of these issuers must be valid; a request without any gets through."""
    providers = {f"issuer-{index}": _provider(each) for index, each in enumerate(issuers)}
    if not providers:
        return []
    ways = [{"providerName": name} for name in providers]
    requirement = {"requiresAny": {"requirements": [*ways, {"allowMissing": {}}]}}
    return [
        {
            "name": METADATA,
            "typedConfig": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                "providers": providers,
                "rules": [{"match": {"prefix": "/"}, "requires": requirement}],
                "bypassCorsPreflight": True,
            },
        }
    ]


def _provider(said: TokenIssuer) -> dict[str, Any]:
    delimited = [*_SPACE_DELIMITED, *(each for each in said.space_delimited_claims if each not in _SPACE_DELIMITED)]
    made: dict[str, Any] = {
        "issuer": said.issuer,
        **_keys(said),
        "forward": said.forward,
        "payloadInMetadata": PAYLOAD,
        "normalizePayloadInMetadata": {"spaceDelimitedClaims": delimited},
    }
    if said.audiences:
        made["audiences"] = list(said.audiences)
    if said.headers:
        made["fromHeaders"] = [{"name": name, "valuePrefix": before} for name, before in said.headers]
    if said.parameters:
        made["fromParams"] = list(said.parameters)
    if said.cookies:
        made["fromCookies"] = list(said.cookies)
    if said.payload_header:
        made["forwardPayloadHeader"] = said.payload_header
    if said.claim_headers:
        made["claimToHeaders"] = [{"headerName": header, "claimName": claim} for header, claim in said.claim_headers]
    return made


def _keys(said: TokenIssuer) -> dict[str, Any]:
    if said.jwks:
        return {"localJwks": {"inlineString": said.jwks}}
    timeout = seconds(said.timeout) if said.timeout else _FETCH_TIMEOUT
    return {
        "remoteJwks": {
            "httpUri": {"uri": said.jwks_uri, "cluster": key_cluster(said.jwks_uri), "timeout": timeout},
            "cacheDuration": _KEPT,
            # An issuer that is not there keeps nobody waiting but those with its tokens.
            "asyncFetch": {"fastListener": True},
        }
    }
