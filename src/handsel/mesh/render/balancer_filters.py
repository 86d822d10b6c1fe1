"""What a load balancer does with a request before it is routed: who may, how many, how large, from which client."""

from __future__ import annotations

import ipaddress
from typing import Any

from handsel.mesh.balancing import Balancing, ClientCheck, Site

_HTTP = "type.googleapis.com/envoy.extensions.filters.http."
BODY_LIMIT = "envoy.filters.http.body_size_limit"

# Headers that only we set. The status is known to a script alone; the rest follows it, so that all say the same.
_CLIENT_SCRIPT = """\
local TOLD, ADMITS_FAILED = {told}, {admits_failed}
function envoy_on_request(handle)
  local headers, client = handle:headers(), handle:streamInfo():downstreamSslConnection()
  local verify = "NONE"
  if client ~= nil and client:peerCertificatePresented() then
    verify = client:peerCertificateValidated() and "SUCCESS" or "FAILED"
  end
  if verify == "FAILED" then
    headers:remove("x-forwarded-client-cert")
    if not ADMITS_FAILED then
      handle:respond({{[":status"] = "403"}}, "the client certificate is not believed here\\n")
    end
  end
  if not TOLD then return end
  headers:replace("x-ssl-client-verify", verify)
  if verify == "NONE" then return end
  headers:replace("x-ssl-client-dn", client:subjectPeerCertificate())
  headers:replace("x-ssl-issuer", client:issuerPeerCertificate())
  headers:replace("x-ssl-client-serial", client:serialNumberPeerCertificate())
  headers:replace("x-ssl-client-cert", client:urlEncodedPemEncodedPeerCertificate())
end
"""


def strip_forged() -> dict[str, Any]:
    """Takes every X-SSL-… away before any filter reads one: the removal of a route would come too late."""
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typedConfig": {
            "@type": "type.googleapis.com/"
            "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [{"removeOnMatch": {"keyMatcher": {"prefix": "x-ssl-", "ignoreCase": True}}}],
        },
    }


def client_details(site: Site) -> dict[str, Any]:
    """X-Forwarded-Client-Cert: never the caller's own."""
    if site.clients is None or not site.clients.told:
        return {"forwardClientCertDetails": "SANITIZE"}
    details = {"subject": True, "uri": True, "dns": True}
    return {"forwardClientCertDetails": "SANITIZE_SET", "setCurrentClientCertDetails": details}


def chain(balancing: Balancing, site: Site) -> list[dict[str, Any]]:
    """The HTTP filters, in order."""
    found = []
    if site.allow and balancing.trusted_hops:
        found.append(_allowed(site.allow))
    if balancing.rate_limit:
        found.append(_rate_limit(balancing.rate_limit))
    if site.forwards:
        found.append(_body_limit(balancing.payload_limit))
    if site.clients is not None:
        found.append(_clients(site.clients))
    router = {"@type": _HTTP + "router.v3.Router", "suppressEnvoyHeaders": True}
    return [*found, {"name": "envoy.filters.http.router", "typedConfig": router}]


def network(cidr: str) -> dict[str, Any]:
    """A CidrRange."""
    parsed = ipaddress.ip_network(cidr, strict=False)
    return {"addressPrefix": str(parsed.network_address), "prefixLen": parsed.prefixlen}


def _allowed(networks: tuple[str, ...]) -> dict[str, Any]:
    # By the address that the proxies before this one have seen, which is known only from the headers.
    principals = [{"remoteIp": network(each)} for each in networks]
    policy = {"permissions": [{"any": True}], "principals": principals}
    rules = {"action": "ALLOW", "policies": {"ip_allowlist": policy}}
    return {"name": "envoy.filters.http.rbac", "typedConfig": {"@type": _HTTP + "rbac.v3.RBAC", "rules": rules}}


def _rate_limit(per_second: int) -> dict[str, Any]:
    always = {"defaultValue": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "name": "envoy.filters.http.local_ratelimit",
        "typedConfig": {
            "@type": _HTTP + "local_ratelimit.v3.LocalRateLimit",
            "statPrefix": "rate_limit",
            "tokenBucket": {"maxTokens": per_second, "tokensPerFill": per_second, "fillInterval": "1s"},
            "filterEnabled": always,
            "filterEnforced": always,
        },
    }


def _body_limit(most_bytes: int) -> dict[str, Any]:
    # Counts what passes, where Envoy's buffer filter would hold it. Newer (1.40) than the protobuf package.
    return {
        "name": BODY_LIMIT,
        "typedConfig": {
            "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
            "typeUrl": _HTTP + "body_size_limit.v3.BodySizeLimit",
            "value": {"max_request_bytes": most_bytes},
        },
    }


def _clients(check: ClientCheck) -> dict[str, Any]:
    script = _CLIENT_SCRIPT.format(told=_lua(check.told), admits_failed=_lua(check.admits_failed))
    return {
        "name": "envoy.filters.http.lua",
        "typedConfig": {"@type": _HTTP + "lua.v3.Lua", "defaultSourceCode": {"inlineString": script}},
    }


def _lua(value: bool) -> str:
    return "true" if value else "false"
