"""A context as Envoy's transport sockets: downstream for a listener, upstream for a cluster."""

from __future__ import annotations

from typing import Any

from handsel.documents import yaml_text
from handsel.model.context import ClientCertificate, Failure, KeyStore, Password, Revocation, TlsContext
from handsel.tls.convert.model import BOTH, Exported, Side
from handsel.tls.convert.write.common import IDENTITY, MACHINE_ROOTS, ROOTS, Writing, is_pem

_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_SIDES = {Side.SERVER: ("downstream", "DownstreamTlsContext"), Side.CLIENT: ("upstream", "UpstreamTlsContext")}
_VERSIONS = {"TLSv1.2": "TLSv1_2", "TLSv1.3": "TLSv1_3"}


def write(context: TlsContext, sides: tuple[Side, ...] = BOTH) -> Exported:
    """`NAME-downstream.yaml` and `NAME-upstream.yaml`, each a `transport_socket`."""
    writing, files = Writing(context, f"{context.name}-downstream.yaml"), dict[str, str]()
    for side in writing.sides(sides):
        what, kind = _SIDES[side]
        writing.file = f"{context.name}-{what}.yaml"
        config: dict[str, Any] = {"@type": f"{_TYPE}.{kind}", "common_tls_context": _common(writing, side)}
        if side is Side.SERVER:
            config["require_client_certificate"] = context.asks_clients is ClientCertificate.REQUIRED
        else:
            config["auto_host_sni"] = True
            if not context.insecure and not context.peers:
                config["auto_sni_san_validation"] = True
        socket = {"name": "envoy.transport_sockets.tls", "typed_config": config}
        files[writing.file] = yaml_text.write({"transport_socket": socket})
    return writing.done(files)


def _common(writing: Writing, side: Side) -> dict[str, Any]:
    context = writing.context
    versions = [_VERSIONS[each] for each in context.protocols]
    made: dict[str, Any] = {
        "tls_params": {"tls_minimum_protocol_version": versions[0], "tls_maximum_protocol_version": versions[-1]}
    }
    if context.ciphers and (suites := writing.few_suites()):
        made["tls_params"]["cipher_suites"] = list(suites)
    if context.key_store is not None:
        made["tls_certificates"] = [_certificate(writing, context.key_store)]
    writing.loud()
    asks = side is Side.CLIENT or context.asks_clients is not ClientCertificate.NONE
    if asks and not context.insecure:
        made["validation_context"] = _validation(writing)
    if context.alpn:
        made["alpn_protocols"] = list(context.alpn)
    return made


def _certificate(writing: Writing, key: KeyStore) -> dict[str, Any]:
    if key.authority:
        writing.decide(f"fill in {IDENTITY}, the folder that handsel's agent writes to, or let Envoy ask it by SDS")
        folder = f"${{{IDENTITY}}}"
        return {"certificate_chain": _file(f"{folder}/identity.crt"), "private_key": _file(f"{folder}/identity.key")}
    if key.kind == "pkcs12" or (not key.kind and key.path.endswith((".p12", ".pfx"))):
        made: dict[str, Any] = {"pkcs12": _file(key.path)}
        if key.alias:
            writing.lost(f"the alias {key.alias} cannot be said: Envoy takes the store's first key")
        if key.key_password is not None:
            writing.lost("a password of the key's own cannot be said: it has to be the store's")
        password = key.password
    else:
        path = writing.pem(key)
        made = {"certificate_chain": _file(key.chain or path), "private_key": _file(path)}
        password = (key.key_password or key.password) if is_pem(key) else None
    if password is not None:
        made["password"] = _password(writing, password)
    writing.say("Envoy reads the files once: for new ones name them in a secret of SDS, with watched_directory")
    return made


def _password(writing: Writing, password: Password) -> dict[str, str]:
    if password.variable:
        return {"environment_variable": password.variable}
    path = password.file or f"/run/secrets/{password.secret}"
    writing.say(f"Envoy takes all of {path} as the password: it may have no line end")
    return _file(path)


def _validation(writing: Writing) -> dict[str, Any]:
    context, trust = writing.context, writing.context.trust_store
    if trust is None or trust.system:
        writing.say(f"the roots of the machine are taken to be in {MACHINE_ROOTS}")
        path = MACHINE_ROOTS
    elif trust.authority:
        writing.decide(f"fill in {ROOTS}, the file with the roots that handsel's agent writes")
        path = f"${{{ROOTS}}}"
    else:
        path = writing.pem(trust)
    made: dict[str, Any] = {"trusted_ca": _file(path)}
    if context.peers:
        if any("://" not in each for each in context.peers):
            writing.say("a certificate for *.DOMAIN counts as a peer of that domain too")
        made["match_typed_subject_alt_names"] = [
            {"san_type": "URI" if "://" in each else "DNS", "matcher": {"exact": each}} for each in context.peers
        ]
    return made | (_revocation(writing, context.revocation) if context.revocation else {})


def _revocation(writing: Writing, wanted: Revocation) -> dict[str, Any]:
    if wanted.ocsp:
        writing.lost("Envoy asks no responder about its peers")
    if wanted.failure is Failure.SOFT and wanted.crl:
        writing.lost("failure: soft cannot be said: without a list of its issuer the peer is refused")
    file = writing.list_of(wanted)
    if file is None:
        return {}
    return {"crl": _file(file), "only_verify_leaf_cert_crl": not wanted.whole_chain}


def _file(path: str) -> dict[str, str]:
    return {"filename": path}
