"""A context for nginx: of a server, and of a proxy towards what it calls."""

from __future__ import annotations

from collections.abc import Iterable

from handsel.model.context import ClientCertificate, Failure, KeyStore, Revocation, TlsContext
from handsel.tls.convert.model import BOTH, Exported, Side
from handsel.tls.convert.write.common import IDENTITY, MACHINE_ROOTS, ROOTS, Writing, is_pem

_CLIENTS = {ClientCertificate.REQUIRED: "on", ClientCertificate.OPTIONAL: "optional", ClientCertificate.NONE: "off"}
_FILES = {Side.SERVER: "server", Side.CLIENT: "proxy"}

Lines = list[tuple[str, str]]


def write(context: TlsContext, sides: tuple[Side, ...] = BOTH) -> Exported:
    """`NAME-server.conf` to include in a server block, `NAME-proxy.conf` beside `proxy_pass`."""
    writing, files = Writing(context, f"{context.name}-server.conf"), dict[str, str]()
    for side in writing.sides(sides):
        writing.file = f"{context.name}-{_FILES[side]}.conf"
        lines = _server(writing) if side is Side.SERVER else _proxy(writing)
        what = "in a server block" if side is Side.SERVER else "beside proxy_pass"
        head = f"# The TLS context {context.name}: include this {what}.\n"
        files[writing.file] = head + "".join(f"{name} {value};\n" for name, value in lines)
        writing.say("nginx reads the files when it starts or reloads")
    return writing.done(files)


def _server(writing: Writing) -> Lines:
    context = writing.context
    lines = _own(writing, "ssl_", context.key_store) if context.key_store else []
    lines += _versions(context, "ssl_")
    if "h2" in context.alpn:
        lines.append(("http2", "on"))
        writing.say("http2 on is of nginx 1.25.1 and newer; older ones have it in listen")
    _say_alpn(writing, {"h2", "http/1.1"})
    asked = context.asks_clients
    if writing.loud() or asked is ClientCertificate.NONE:
        return [*lines, ("ssl_verify_client", "off")]
    lines += [("ssl_client_certificate", _quoted(_roots(writing))), ("ssl_verify_client", _CLIENTS[asked])]
    writing.no_peers(" of clients")
    if context.revocation is not None:
        lines += _revocation(writing, "ssl_", context.revocation, server=True)
    return lines


def _proxy(writing: Writing) -> Lines:
    context = writing.context
    lines = _own(writing, "proxy_ssl_", context.key_store) if context.key_store else []
    lines += [*_versions(context, "proxy_ssl_"), ("proxy_ssl_server_name", "on")]
    _say_alpn(writing, {"http/1.1"})
    if writing.loud():
        return [*lines, ("proxy_ssl_verify", "off")]
    lines += [("proxy_ssl_trusted_certificate", _quoted(_roots(writing))), ("proxy_ssl_verify", "on")]
    lines.append(("proxy_ssl_verify_depth", "10"))
    hosts = [each for each in context.peers if "://" not in each]
    if len(context.peers) == 1 and hosts:
        lines.append(("proxy_ssl_name", _quoted(hosts[0])))
    elif context.peers:
        writing.lost("of peers one DNS name can be said: nginx checks the name that it called")
    if context.revocation is not None:
        lines += _revocation(writing, "proxy_ssl_", context.revocation, server=False)
    return lines


def _own(writing: Writing, prefix: str, key: KeyStore) -> Lines:
    if key.authority:
        writing.decide(f"fill in {IDENTITY}, the folder that handsel's agent writes to: nginx reads no environment")
        folder = f"${{{IDENTITY}}}"
        return [
            (f"{prefix}certificate", _quoted(f"{folder}/identity.crt")),
            (f"{prefix}certificate_key", _quoted(f"{folder}/identity.key")),
        ]
    path = writing.pem(key)
    lines = [(f"{prefix}certificate", _quoted(key.chain or path)), (f"{prefix}certificate_key", _quoted(path))]
    password = (key.key_password or key.password) if is_pem(key) else None
    if password is not None:
        file = password.file or f"/run/secrets/{password.secret or f'{writing.context.name}-key-password'}"
        if not password.file:
            writing.decide(f"nginx reads a key's password from a file only: put what is in {password} into {file}")
        lines.append((f"{prefix}password_file", _quoted(file)))
    return lines


def _versions(context: TlsContext, prefix: str) -> Lines:
    lines = [(f"{prefix}protocols", " ".join(context.protocols))]
    if context.ciphers:
        lines.append((f"{prefix}ciphers", ":".join(context.ciphers)))
    return lines


def _roots(writing: Writing) -> str:
    trust = writing.context.trust_store
    if trust is None or trust.system:
        writing.say(f"the roots of the machine are taken to be in {MACHINE_ROOTS}")
        return MACHINE_ROOTS
    if trust.authority:
        writing.decide(f"fill in {ROOTS}, the file with the roots that handsel's agent writes")
        return f"${{{ROOTS}}}"
    return writing.pem(trust)


def _revocation(writing: Writing, prefix: str, wanted: Revocation, *, server: bool) -> Lines:
    lines: Lines = []
    if file := writing.list_of(wanted):
        lines.append((f"{prefix}crl", _quoted(file)))
        writing.say("nginx wants a list of every CA in the chain")
    if wanted.ocsp and not server:
        writing.lost("a proxy asks no responder about what it calls")
    elif wanted.ocsp:
        lines += [("ssl_ocsp", "on" if wanted.whole_chain else "leaf")]
        lines += [("ssl_ocsp_responder", _quoted(wanted.responder))] if wanted.responder else []
        writing.decide("ssl_ocsp needs a resolver")
    if wanted.failure is Failure.SOFT and lines:
        writing.lost("failure: soft cannot be said: who cannot be asked about is refused")
    if wanted.ocsp and server and wanted.timeout != Revocation.timeout:
        writing.lost("the timeout of revocation cannot be said")
    return lines


def _say_alpn(writing: Writing, can: Iterable[str]) -> None:
    others = [each for each in writing.context.alpn if each not in can]
    if others:
        writing.lost(f"alpn: {', '.join(others)} cannot be said")


def _quoted(text: str) -> str:
    """A value in nginx's quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
