"""The TLS of the edge: of a gateway's ports, and towards what is no workload of the mesh."""

from __future__ import annotations

from dataclasses import replace

from handsel.mesh.intent import (
    EDGE_TLS,
    Peer,
    PeerAnonymous,
    PeerAnyone,
    PeerClients,
    PeerHosts,
    PeerUnchecked,
    TlsIntent,
    TlsParameters,
)
from handsel.mesh.view import View
from handsel.model.acme_client import SECRET_NAME
from handsel.model.gateway import GatewayPort, KeyFiles, Legacy, ServerTls, ServerTlsMode
from handsel.model.graph import External, is_address
from handsel.model.traffic import ClientTls, TlsMode
from handsel.xds import secret

_OLD = ("TLSv1_0", "TLSv1_1")
_OLD_CIPHERS = (
    "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA",
)  # fmt: skip


def server_tls(view: View, port: GatewayPort, *, http: bool) -> TlsIntent | None:
    """The TLS of a port. None: it is plain, or passes what it gets."""
    tls = port.tls
    if tls is None or tls.mode in (ServerTlsMode.PLAIN, ServerTlsMode.PASSTHROUGH, ServerTlsMode.AUTO_PASSTHROUGH):
        return None
    alpn = ("h2", "http/1.1") if http else ()
    if tls.mode is ServerTlsMode.MESH:
        return TlsIntent(secret.IDENTITY, secret.TRUST, PeerAnyone(view.trust_domain), view.mesh.within, "", alpn)
    shown = [_identity(view, each) for each in tls.certificates] or [secret.IDENTITY]
    peer = _client(tls)
    trust = "" if isinstance(peer, PeerAnonymous | PeerUnchecked) else _trust(view, tls)
    parameters = _parameters(view.mesh.edge, tls.minimum, tls.maximum, tls.ciphers)
    return TlsIntent(shown[0], trust, peer, parameters, "", alpn, tuple(shown[1:]))


def _client(tls: ServerTls) -> Peer:
    if tls.mode is ServerTlsMode.SIMPLE:
        return PeerAnonymous()
    if tls.insecure:
        return PeerUnchecked()
    return PeerClients(tls.names, tls.spki, tls.hashes, required=tls.mode is ServerTlsMode.MUTUAL)


def _identity(view: View, files: KeyFiles) -> str:
    if files.credential == SECRET_NAME and view.service.acme:
        return SECRET_NAME
    if files.credential:
        return credential(view, files.credential)
    return f"file-cert:{files.certificate}~{files.private_key}"


def _trust(view: View, tls: ServerTls) -> str:
    if tls.ca_certificates:
        return _roots(tls.ca_certificates, tls.crl)
    # Roots of clients that nobody named are in the credential with the certificate, as in Istio.
    named = tls.ca_credential or next((each.credential for each in tls.certificates if each.credential), "")
    return credential_roots(view, named) if named else secret.TRUST


def _roots(path: str, crl: str) -> str:
    return f"file-root:{path}~{crl}" if crl else f"file-root:{path}"


def credential(view: View, name: str) -> str:
    """The name of the secret with the certificate and key of a credential."""
    return f"credential:{dict(view.credentials).get(name, name)}"


def credential_roots(view: View, name: str) -> str:
    """The name of the secret with the roots of a credential."""
    return f"credential-roots:{dict(view.credentials).get(name, name)}"


def _parameters(usual: TlsParameters, minimum: str, maximum: str, ciphers: tuple[str, ...]) -> TlsParameters:
    least = minimum.replace(".", "_") or usual.minimum
    if not ciphers:  # older versions have nothing in common with the usual ones
        ciphers = (*EDGE_TLS.ciphers, *_OLD_CIPHERS) if least in _OLD else usual.ciphers
    return replace(usual, minimum=least, maximum=maximum.replace(".", "_") or usual.maximum, ciphers=ciphers)


def external_tls(external: External) -> ClientTls:
    """What the mesh file says of the TLS towards an external."""
    return ClientTls(
        TlsMode(external.tls.value),
        external.client_certificate,
        external.private_key,
        external.ca_certificates,
        credential=external.credential,
        server_name=external.server_name,
        names=external.server_names,
    )


def client_tls(view: View, said: ClientTls, server_name: str, alpn: tuple[str, ...]) -> TlsIntent | None:
    """TLS towards what is no workload of the mesh: its name is always checked, unless somebody wrote otherwise."""
    if said.mode is TlsMode.DISABLE:
        return None
    identity = ""
    if said.mode is TlsMode.MUTUAL:
        files = f"file-cert:{said.client_certificate}~{said.private_key}"
        identity = credential(view, said.credential) if said.credential else files
    peer: Peer = PeerUnchecked() if said.insecure else PeerHosts(said.names or (said.server_name or server_name,))
    trust = "" if said.insecure else _trust_of(view, said)
    if said.mode is TlsMode.MESH:  # something outside whose certificate is of this mesh's authority
        identity, trust = secret.IDENTITY, secret.TRUST
    name = said.server_name or server_name
    # An address is no server name (RFC 6066, section 3).
    return TlsIntent(identity, trust, peer, view.mesh.outside, "" if is_address(name) else name, alpn)


def _trust_of(view: View, said: ClientTls) -> str:
    if said.ca_certificates or not said.credential:
        return _roots(said.ca_certificates or "system", said.crl)
    return credential_roots(view, said.credential)


def legacy_tls(view: View, legacy: Legacy, alpn: tuple[str, ...]) -> TlsIntent | None:
    """The TLS of an adapter towards what it stands before."""
    made = client_tls(view, legacy.tls, legacy.host, alpn) if legacy.tls else None
    if made is None:
        return None
    return replace(made, parameters=_parameters(view.mesh.outside, legacy.minimum, legacy.maximum, legacy.ciphers))
