"""TLS contexts from intents. Nothing is left to Envoy's defaults: they stop at TLS 1.2 upstream and resume sessions."""

from __future__ import annotations

from typing import Any

from handsel.mesh.ir import PeerAnyone, PeerHosts, PeerIds, TlsIntent
from handsel.model.graph import is_address

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."


def downstream(intent: TlsIntent) -> dict[str, Any]:
    """The callee's side: the peer must show a certificate."""
    return {
        "name": "envoy.transport_sockets.tls",
        "typedConfig": {
            "@type": _TLS + "DownstreamTlsContext",
            "requireClientCertificate": True,
            # A resumed session would skip the check of expiry and revocation.
            "disableStatelessSessionResumption": True,
            "disableStatefulSessionResumption": True,
            "commonTlsContext": _common(intent),
        },
    }


def upstream(intent: TlsIntent) -> dict[str, Any]:
    """The caller's side."""
    context = {"@type": _TLS + "UpstreamTlsContext", "maxSessionKeys": 0, "commonTlsContext": _common(intent)}
    if intent.server_name:
        context["sni"] = intent.server_name
    return {"name": "envoy.transport_sockets.tls", "typedConfig": context}


def _common(intent: TlsIntent) -> dict[str, Any]:
    context: dict[str, Any] = {
        "tlsParams": {
            "tlsMinimumProtocolVersion": intent.parameters.minimum,
            "tlsMaximumProtocolVersion": intent.parameters.maximum,
            "ecdhCurves": list(intent.parameters.groups),
        },
        "combinedValidationContext": {
            "defaultValidationContext": {"matchTypedSubjectAltNames": _names(intent.peer)},
            "validationContextSdsSecretConfig": _secret(intent.trust_secret),
        },
    }
    if intent.identity_secret:
        context["tlsCertificateSdsSecretConfigs"] = [_secret(intent.identity_secret)]
    if intent.application_protocols:
        context["alpnProtocols"] = list(intent.application_protocols)
    return context


def _names(peer: PeerIds | PeerAnyone | PeerHosts) -> list[dict[str, Any]]:
    if isinstance(peer, PeerAnyone):
        return [{"sanType": "URI", "matcher": {"prefix": f"spiffe://{peer.trust_domain}/ns/"}}]
    if isinstance(peer, PeerIds):
        return [{"sanType": "URI", "matcher": {"exact": str(identity)}} for identity in peer.allowed]
    return [{"sanType": "IP_ADDRESS" if is_address(name) else "DNS", "matcher": {"exact": name}} for name in peer.names]


def _secret(name: str) -> dict[str, Any]:
    # On the ADS stream: one stream a proxy, whose first message is expensive.
    return {"name": name, "sdsConfig": {"ads": {}, "resourceApiVersion": "V3"}}
