"""A context as the JVM's default: system properties, and security properties for revocation."""

from __future__ import annotations

from handsel.model.context import ClientCertificate, Failure, KeyStore, Revocation, TlsContext, TrustStore
from handsel.tls.convert.model import BOTH, Exported, Side
from handsel.tls.convert.write.common import Writing

_SSL = "javax.net.ssl."


def write(context: TlsContext, sides: tuple[Side, ...] = BOTH) -> Exported:
    """`NAME.properties` with system properties, and `NAME.security` for `-Djava.security.properties=` when needed."""
    writing = Writing(context, f"{context.name}.properties")
    said: list[tuple[str, str]] = []
    if context.key_store is not None:
        said += _key_store(writing, context.key_store)
    if context.trust_store is not None and not context.trust_store.system:
        said += _store(writing, context.trust_store, "trust")
    writing.jvm_roots(sides)
    suites = writing.iana_suites()
    for side in sides:
        said.append((f"jdk.tls.{side}.protocols", ",".join(context.protocols)))
        said += [(f"jdk.tls.{side}.cipherSuites", ",".join(suites))] if suites else []
    security = _revocation(writing, context.revocation, said) if context.revocation is not None else []
    if context.insecure:
        writing.lost("INSECURE cannot be said, and should not: the JVM checks")
    if Side.SERVER in sides and context.trust_store and context.client_certificate is not ClientCertificate.NONE:
        writing.decide("the program has to ask for client certificates: setNeedClientAuth(true)")
    if Side.CLIENT in sides and not context.insecure:
        writing.say("HttpsURLConnection and HttpClient check the host's name; a bare SSLSocket does not by itself")
    writing.no_peers()
    writing.no_alpn()
    writing.say("the JVM reads the files once, at start")
    head = f"# The TLS context {context.name}, as system properties of a JVM.\n"
    files = {writing.file: head + _text(said)}
    if security:
        name = f"{context.name}.security"
        writing.decide(f"start the JVM with -Djava.security.properties={name}")
        files[name] = "# Security properties: java -Djava.security.properties=THIS-FILE\n" + _text(security)
    return writing.done(files)


def _key_store(writing: Writing, key: KeyStore) -> list[tuple[str, str]]:
    if key.key_password is not None:
        writing.lost("a password of the key's own cannot be said: it has to be the store's")
    if key.alias:
        writing.lost(f"the alias {key.alias} cannot be said: the JVM chooses a key of the store")
    if key.chain:
        writing.lost(f"the chain of its own ({key.chain}) has to be in the store")
    return _store(writing, key, "key")


def _store(writing: Writing, store: KeyStore | TrustStore, which: str) -> list[tuple[str, str]]:
    said = [(f"{_SSL}{which}Store", writing.placeholders(store, f"{which} store"))]
    if store.kind:
        said.append((f"{_SSL}{which}StoreType", "PKCS12" if store.kind == "pem" else store.kind.upper()))
    if store.password is not None:
        reference = writing.reference(store.password, f"{which} store")
        said.append((f"{_SSL}{which}StorePassword", reference))
        writing.decide(f"the JVM does not fill {reference} in: who starts it must, out of sight of others")
    return said


def _revocation(writing: Writing, wanted: Revocation, said: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Adds the system properties; returns those of the security file."""
    if wanted.crl:
        writing.lost("lists cannot be named: the JVM reads those that a certificate names, with enableCRLDP")
    if not wanted.ocsp:
        return []
    if wanted.failure is Failure.SOFT:
        writing.lost("failure: soft cannot be said: who cannot be asked about is refused")
    said.append(("com.sun.net.ssl.checkRevocation", "true"))
    if wanted.timeout != Revocation.timeout:
        seconds = max(1, round(wanted.timeout.total_seconds()))
        said.append(("com.sun.security.ocsp.timeout", str(seconds)))
        if seconds != wanted.timeout.total_seconds():
            writing.lost("the timeout is in whole seconds there")
    security = [("ocsp.enable", "true")]
    if wanted.responder:
        security.append(("ocsp.responderURL", wanted.responder))
    if not wanted.whole_chain:
        security.append(("com.sun.security.onlyCheckRevocationOfEECert", "true"))
    return security


def _text(said: list[tuple[str, str]]) -> str:
    return "".join(f"{key}={_escaped(value)}\n" for key, value in said)


def _escaped(value: str) -> str:
    """A value as java.util.Properties reads it, in ASCII."""
    made = ""
    for place, each in enumerate(value):
        if each == "\\" or (each == " " and not place):
            made += f"\\{each}"
        elif each in "\t\n\r\f":
            made += {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f"}[each]
        elif " " <= each <= "~":
            made += each
        else:
            units = each.encode("utf-16-be")
            made += "".join(f"\\u{int.from_bytes(units[at : at + 2]):04x}" for at in range(0, len(units), 2))
    return made
