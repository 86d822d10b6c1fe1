"""A context as a module of Node: options for `tls`, `https`, `http2` and whatever takes them."""

from __future__ import annotations

import json

from handsel.model.context import ClientCertificate, Failure, KeyStore, Password, Revocation, TlsContext
from handsel.tls.convert import suites
from handsel.tls.convert.model import BOTH, Exported, Side
from handsel.tls.convert.write.common import IDENTITY, ROOTS, Writing, is_pem

_FIRST_LINE = """
// The first line of a file.
const firstLine = (path) => fs.readFileSync(path, "utf8").split(/\\r?\\n/)[0];
"""
_OPTIONS = """
// Options for tls.createSecureContext. The files are read at each call.
function options() {{
  return {{
{lines}  }};
}}

export function secureContext() {{
  return tls.createSecureContext(options());
}}
"""
_PEERS = """
const expected = new Set({names});

// Whether a peer's certificate has one of the names that are expected; returns an error if not.
export function checkPeer(certificate) {{
  const names = (certificate.subjectaltname ?? "").split(", ");
  return names.some((each) => expected.has(each.startsWith("DNS:") ? `DNS:${{each.slice(4).toLowerCase()}}` : each))
    ? undefined
    : new Error("the peer has none of the names that are expected");
}}
"""


def write(context: TlsContext, sides: tuple[Side, ...] = BOTH) -> Exported:
    """`NAME.mjs` with `secureContext()`, and `client()` and `server()` for the sides."""
    writing = Writing(context, f"{context.name}.mjs")
    options = _options(writing)
    lines = "".join(f"    {name}: {value},\n" for name, value in options)
    body = _OPTIONS.format(lines=lines)
    if context.peers and not context.insecure:
        names = [f"{'URI' if '://' in each else 'DNS'}:{each}" for each in context.peers]
        body += _PEERS.format(names=json.dumps(names))
    for side in writing.sides(sides):
        body += _client(writing) if side is Side.CLIENT else _server(writing)
    imports = ['import tls from "node:tls";\n']
    if "firstLine(" in body:
        body = _FIRST_LINE + body
    if "fs." in body:
        imports.insert(0, 'import fs from "node:fs";\n')
    return writing.done({writing.file: f"// The TLS context {context.name}.\n{''.join(imports)}{body}"})


def _options(writing: Writing) -> list[tuple[str, str]]:
    context = writing.context
    made = [("minVersion", _text(context.protocols[0])), ("maxVersion", _text(context.protocols[-1]))]
    if context.ciphers:
        names = [*context.ciphers, *(suites.TLS_1_3 if "TLSv1.3" in context.protocols else ())]
        made.append(("ciphers", _text(":".join(names))))
    if context.key_store is not None:
        made += _key(writing, context.key_store)
    trust = context.trust_store
    if context.insecure:
        return made
    if trust is None or trust.system:
        writing.lost("Node has roots of its own, and not the machine's: start it with --use-system-ca")
    elif trust.authority:
        made.append(("ca", f"fs.readFileSync(process.env.{ROOTS})"))
    else:
        made.append(("ca", f"fs.readFileSync({_text(writing.pem(trust))})"))
    return made + (_revocation(writing, context.revocation) if context.revocation is not None else [])


def _key(writing: Writing, key: KeyStore) -> list[tuple[str, str]]:
    if key.authority:
        folder = f"process.env.{IDENTITY}"
        return [
            ("key", f'fs.readFileSync({folder} + "/identity.key")'),
            ("cert", f'fs.readFileSync({folder} + "/identity.crt")'),
        ]
    if key.kind == "pkcs12" or (not key.kind and key.path.endswith((".p12", ".pfx"))):
        made = [("pfx", f"fs.readFileSync({_text(key.path)})")]
        if key.alias:
            writing.lost(f"the alias {key.alias} cannot be said: Node takes the store's first key")
        if key.key_password is not None:
            writing.lost("a password of the key's own cannot be said: it has to be the store's")
        writing.say("Node believes the CA certificates in the key store too")
        password = key.password
    else:
        path = writing.pem(key)
        made = [("key", f"fs.readFileSync({_text(path)})"), ("cert", f"fs.readFileSync({_text(key.chain or path)})")]
        password = (key.key_password or key.password) if is_pem(key) else None
    return [*made, ("passphrase", _password(password))] if password is not None else made


def _password(password: Password) -> str:
    if password.variable:
        return f"process.env.{password.variable}"
    if password.file:
        return f"firstLine({_text(password.file)})"
    return f'firstLine((process.env.CREDENTIALS_DIRECTORY ?? "/run/secrets") + {_text(f"/{password.secret}")})'


def _revocation(writing: Writing, wanted: Revocation) -> list[tuple[str, str]]:
    if wanted.ocsp:
        writing.lost("Node asks no responder")
    if wanted.failure is Failure.SOFT and wanted.crl:
        writing.lost("failure: soft cannot be said: without a list of its issuer the peer is refused")
    for each in wanted.crl:
        if "://" in each:
            writing.lost(f"lists are read from files only, not from {each}")
    files = [f"fs.readFileSync({_text(each)})" for each in wanted.crl if "://" not in each]
    if files:
        writing.say("Node wants a list, in PEM, of every CA in the chain")
    return [("crl", f"[{', '.join(files)}]")] if files else []


def _client(writing: Writing) -> str:
    context = writing.context
    lines = ["...options()", *_alpn(context)]
    if writing.loud():
        lines.append("rejectUnauthorized: false /* INSECURE: for tests only */")
    elif context.peers:
        lines.append("checkServerIdentity: (_host, certificate) => checkPeer(certificate)")
    return _function("client", "For tls.connect, https.request and an https.Agent.", lines)


def _server(writing: Writing) -> str:
    context = writing.context
    lines = ["...options()", *_alpn(context)]
    writing.loud()
    asked = context.asks_clients
    if asked is not ClientCertificate.NONE:
        lines += ["requestCert: true", f"rejectUnauthorized: {json.dumps(asked is ClientCertificate.REQUIRED)}"]
        if asked is ClientCertificate.OPTIONAL:
            writing.decide("clients with a bad certificate come in too: see to socket.authorized in the program")
        if context.peers:
            writing.decide("a server has to call checkPeer(socket.getPeerCertificate()) on secureConnection, and close")
    return _function("server", "For tls.createServer, https.createServer and http2.createSecureServer.", lines)


def _function(name: str, what: str, lines: list[str]) -> str:
    inner = "".join(f"    {line},\n" for line in lines)
    return f"\n// {what}\nexport function {name}() {{\n  return {{\n{inner}  }};\n}}\n"


def _alpn(context: TlsContext) -> list[str]:
    return [f"ALPNProtocols: {json.dumps(list(context.alpn))}"] if context.alpn else []


def _text(value: str) -> str:
    return json.dumps(value)
