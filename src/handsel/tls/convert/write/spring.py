"""A context as an SSL bundle of Spring Boot (3.1 and newer)."""

from __future__ import annotations

from typing import Any

from handsel.documents import yaml_text
from handsel.model.context import ClientCertificate, KeyStore, TlsContext, TrustStore
from handsel.tls.convert.model import BOTH, Exported, Side
from handsel.tls.convert.write.common import IDENTITY, ROOTS, Writing, is_pem

_CLIENTS = {ClientCertificate.REQUIRED: "need", ClientCertificate.OPTIONAL: "want", ClientCertificate.NONE: "none"}


def write(context: TlsContext, sides: tuple[Side, ...] = BOTH) -> Exported:
    """YAML for `spring.config.import`: the bundle, and for a server that it is the web server's."""
    writing = Writing(context, f"{context.name}.yaml")
    sides = writing.sides(sides)
    stores = [each for each in (context.key_store, context.trust_store) if each is not None]
    pem = any(each.authority or is_pem(each) for each in stores)
    bundle = _pem(writing) if pem else _jks(writing)
    bundle["options"] = {"enabled-protocols": list(context.protocols)}
    if suites := writing.iana_suites():
        bundle["options"]["ciphers"] = list(suites)
    if stores:
        bundle["reload-on-update"] = True
    content: dict[str, Any] = {"spring": {"ssl": {"bundle": {"pem" if pem else "jks": {context.name: bundle}}}}}
    if Side.SERVER in sides:
        content["server"] = {"ssl": {"bundle": context.name}}
        if context.trust_store is not None:
            content["server"]["ssl"]["client-auth"] = _CLIENTS[context.client_certificate]
    if Side.CLIENT in sides:
        writing.say(f"for a client: SslBundles.getBundle({context.name!r}), which goes to a RestClient or WebClient")
    writing.jvm_roots(sides)
    if context.insecure:
        writing.lost("INSECURE cannot be said, and should not: Spring checks")
    writing.no_peers()
    writing.no_alpn()
    writing.no_revocation()
    return writing.done({writing.file: yaml_text.write(content)})


def _jks(writing: Writing) -> dict[str, Any]:
    bundle: dict[str, Any] = {}
    key, trust = writing.context.key_store, writing.context.trust_store
    if key is not None:
        own = {"alias": key.alias} if key.alias else {}
        if key.key_password is not None:
            own["password"] = writing.reference(key.key_password, "key")
        bundle |= {"key": own} if own else {}
        bundle["keystore"] = _store(writing, key, "key store")
    if trust is not None and not trust.system:
        bundle["truststore"] = _store(writing, trust, "trust store")
    return bundle


def _store(writing: Writing, store: KeyStore | TrustStore, what: str) -> dict[str, str]:
    made = {"location": _location(store.path)}
    if store.kind:
        made["type"] = store.kind.upper()
    if store.password is not None:
        made["password"] = writing.reference(store.password, what)
    return made


def _pem(writing: Writing) -> dict[str, Any]:
    bundle: dict[str, Any] = {}
    key, trust = writing.context.key_store, writing.context.trust_store
    if key is not None:
        bundle["keystore"] = _pem_key(writing, key)
    if trust is not None and trust.authority:
        bundle["truststore"] = {"certificate": f"file:${{{ROOTS}}}"}
    elif trust is not None and not trust.system:
        bundle["truststore"] = {"certificate": _location(writing.pem(trust))}
    return bundle


def _pem_key(writing: Writing, key: KeyStore) -> dict[str, str]:
    if key.authority:
        return {
            "certificate": f"file:${{{IDENTITY}}}/identity.crt",
            "private-key": f"file:${{{IDENTITY}}}/identity.key",
        }
    path = writing.pem(key)
    made = {"certificate": _location(key.chain or path), "private-key": _location(path)}
    password = key.key_password or key.password
    if password is not None:
        made["private-key-password"] = writing.reference(password, "key")
    return made


def _location(path: str) -> str:
    """A file's path as a resource: without a scheme Spring would look on the classpath."""
    return f"file:{path}"
