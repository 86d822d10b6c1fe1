"""TLS contexts from intents. Nothing is left to Envoy's defaults: they stop at TLS 1.2 upstream and resume sessions."""

from __future__ import annotations

from typing import Any

from handsel.mesh.intent import (
    Peer,
    PeerAnonymous,
    PeerAnyone,
    PeerClients,
    PeerHosts,
    PeerIds,
    PeerUnchecked,
    TlsIntent,
    TlsParameters,
)
from handsel.model.graph import is_address

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."


def downstream(intent: TlsIntent) -> dict[str, Any]:
    """The callee's side: the peer must show a certificate, unless it is of those who need none."""
    free = isinstance(intent.peer, PeerAnonymous) or (isinstance(intent.peer, PeerClients) and not intent.peer.required)
    return {
        "name": "envoy.transport_sockets.tls",
        "typedConfig": {
            "@type": _TLS + "DownstreamTlsContext",
            "requireClientCertificate": not free,
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
    context: dict[str, Any] = {"tlsParams": _parameters(intent.parameters), **_validation(intent)}
    shown = [name for name in (intent.identity_secret, *intent.more_identities) if name]
    if shown:
        context["tlsCertificateSdsSecretConfigs"] = [_secret(name) for name in shown]
    if intent.application_protocols:
        context["alpnProtocols"] = list(intent.application_protocols)
    return context


def _parameters(parameters: TlsParameters) -> dict[str, Any]:
    made: dict[str, Any] = {
        "tlsMinimumProtocolVersion": parameters.minimum,
        "tlsMaximumProtocolVersion": parameters.maximum,
        "ecdhCurves": list(parameters.groups),
    }
    if parameters.ciphers:
        made["cipherSuites"] = list(parameters.ciphers)
    return made


def _validation(intent: TlsIntent) -> dict[str, Any]:
    if isinstance(intent.peer, PeerAnonymous):
        return {}
    if isinstance(intent.peer, PeerUnchecked):
        return {"validationContext": {"trustChainVerification": "ACCEPT_UNTRUSTED"}}
    return {
        "combinedValidationContext": {
            "defaultValidationContext": _expected(intent.peer),
            "validationContextSdsSecretConfig": _secret(intent.trust_secret),
        }
    }


def _expected(peer: Peer) -> dict[str, Any]:
    made: dict[str, Any] = {}
    names = _names(peer)
    if names:
        made["matchTypedSubjectAltNames"] = names
    if isinstance(peer, PeerClients) and peer.spki:
        made["verifyCertificateSpki"] = list(peer.spki)
    if isinstance(peer, PeerClients) and peer.hashes:
        made["verifyCertificateHash"] = list(peer.hashes)
    return made


def _names(peer: Peer) -> list[dict[str, Any]]:
    if isinstance(peer, PeerAnyone):
        return [{"sanType": "URI", "matcher": {"prefix": f"spiffe://{peer.trust_domain}/ns/"}}]
    if isinstance(peer, PeerIds):
        return [{"sanType": "URI", "matcher": {"exact": str(identity)}} for identity in peer.allowed]
    if isinstance(peer, PeerHosts | PeerClients):
        return [{"sanType": _kind(name), "matcher": {"exact": name}} for name in peer.names]
    return []


def _kind(name: str) -> str:
    if "://" in name:
        return "URI"
    if "@" in name:
        return "EMAIL"
    return "IP_ADDRESS" if is_address(name) else "DNS"


def _secret(name: str) -> dict[str, Any]:
    # On the ADS stream: one stream a proxy, whose first message is expensive.
    return {"name": name, "sdsConfig": {"ads": {}, "resourceApiVersion": "V3"}}
