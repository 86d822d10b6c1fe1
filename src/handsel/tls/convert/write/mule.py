"""A context as `tls:context` of Mule 4."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from handsel.model.context import ClientCertificate, Failure, KeyStore, Revocation, TlsContext, TrustStore
from handsel.tls.convert.model import BOTH, Exported, Side
from handsel.tls.convert.write.common import Writing

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<mule xmlns="http://www.mulesoft.org/schema/mule/core"
      xmlns:tls="http://www.mulesoft.org/schema/mule/tls"
      xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
      xsi:schemaLocation="
        http://www.mulesoft.org/schema/mule/core http://www.mulesoft.org/schema/mule/core/current/mule.xsd
        http://www.mulesoft.org/schema/mule/tls http://www.mulesoft.org/schema/mule/tls/current/mule-tls.xsd">
"""


def write(context: TlsContext, sides: tuple[Side, ...] = BOTH) -> Exported:
    """A file with the global context. Its placeholders are properties that the environment can give."""
    writing = Writing(context, f"{context.name}.xml")
    lines = [f"  <tls:context{_attributes(writing)}>", f"    {_trust_store(writing, sides)}"]
    if context.key_store is not None:
        lines.append(f"    {_key_store(writing, context.key_store)}")
    if context.revocation is not None:
        lines += _revocation(writing, context.revocation)
    lines.append("  </tls:context>")
    writing.no_peers()
    writing.no_alpn()
    writing.say("Mule reads the files once, at start")
    return writing.done({writing.file: f"{_HEAD}{chr(10).join(lines)}\n</mule>\n"})


def _attributes(writing: Writing) -> str:
    suites = writing.iana_suites()
    return _said(
        name=writing.context.name,
        enabledProtocols=",".join(writing.context.protocols),
        enabledCipherSuites=",".join(suites),
    )


def _trust_store(writing: Writing, sides: tuple[Side, ...]) -> str:
    context, trust = writing.context, writing.context.trust_store
    if writing.loud():
        return '<tls:trust-store insecure="true"/>'
    if trust is None or trust.system:
        writing.jvm_roots(sides)
        if Side.SERVER in sides and context.key_store and context.asks_clients is not ClientCertificate.NONE:
            writing.lost("a listener cannot ask for certificates by the machine's roots: it asks for none")
        return "<tls:trust-store/>"
    if context.client_certificate is not ClientCertificate.REQUIRED and Side.SERVER in sides and context.key_store:
        if context.client_certificate is ClientCertificate.NONE and sides == (Side.SERVER,):
            return "<tls:trust-store/>"
        writing.lost(f"client_certificate: {context.client_certificate} cannot be said: a listener requires one")
    return f"<tls:trust-store{_store(writing, trust, 'trust store')}/>"


def _key_store(writing: Writing, key: KeyStore) -> str:
    made = _store(writing, key, "key store")
    # Mule wants both passwords, also when they are one.
    own = key.key_password or key.password
    reference = writing.reference(own, "key" if key.key_password else "key store") if own is not None else ""
    if key.alias and key.alias != key.alias.lower():
        writing.say(f"Mule looks for the alias {key.alias} as it is written, and Java's stores have small letters")
    if not key.alias:
        writing.say("no alias: Mule takes the first key of the store, handsel the only one")
    if key.chain:
        writing.lost(f"the chain of its own ({key.chain}) has to be in the store")
    return f"<tls:key-store{made} keyPassword={quoteattr(reference)}{_said(alias=key.alias)}/>"


def _store(writing: Writing, store: KeyStore | TrustStore, what: str) -> str:
    path = writing.placeholders(store, what)
    kind = store.kind if store.kind != "pem" else "pkcs12"
    password = writing.reference(store.password, what) if store.password is not None else None
    said = _said(path=path, type=kind)
    if password is not None or isinstance(store, KeyStore):
        said += f" password={quoteattr(password or '')}"
    return said


def _revocation(writing: Writing, wanted: Revocation) -> list[str]:
    if writing.context.insecure:
        return []
    check = _check(writing, wanted)
    return ["    <tls:revocation-check>", f"      {check}", "    </tls:revocation-check>"] if check else []


def _check(writing: Writing, wanted: Revocation) -> str | None:
    if wanted.timeout != Revocation.timeout:
        writing.lost("the timeout of revocation cannot be said")
    if wanted.ocsp and not wanted.responder:
        if wanted.crl:
            writing.lost("Mule looks at one thing only: the responder, not the lists")
        soft = "true" if wanted.failure is Failure.SOFT else ""
        leaf = "" if wanted.whole_chain else "true"
        return f"<tls:standard-revocation-check{_said(onlyEndEntities=leaf, noFallback='true', softFail=soft)}/>"
    if wanted.failure is Failure.SOFT:
        writing.lost("failure: soft cannot be said here: who cannot be asked about is refused")
    if not wanted.whole_chain:
        writing.lost("whole_chain: false cannot be said here: Mule looks at the CAs between too")
    if wanted.responder:
        if wanted.crl:
            writing.lost("Mule looks at one thing only: the responder, not the lists")
        return f"<tls:custom-ocsp-responder{_said(url=wanted.responder)}/>"
    file = writing.list_of(wanted)
    writing.say("Mule reads the list once, at start, and never again")
    return f"<tls:crl-file{_said(path=file)}/>" if file else None


def _said(**values: str) -> str:
    """Attributes; empty ones are left out."""
    return "".join(f" {name}={quoteattr(value)}" for name, value in values.items() if value)
