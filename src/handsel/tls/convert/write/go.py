"""A context as functions in Go that make a `tls.Config`."""

from __future__ import annotations

import json

from handsel.model.context import ClientCertificate, KeyStore, TlsContext
from handsel.tls.convert import suites
from handsel.tls.convert.model import BOTH, Exported, Side
from handsel.tls.convert.write.common import IDENTITY, ROOTS, Writing, camel, is_pem

_VERSIONS = {"TLSv1.2": "tls.VersionTLS12", "TLSv1.3": "tls.VersionTLS13"}
_CLIENTS = {
    ClientCertificate.REQUIRED: "tls.RequireAndVerifyClientCert",
    ClientCertificate.OPTIONAL: "tls.VerifyClientCertIfGiven",
}
_LOAD_KEY = """\
	pair, err := tls.LoadX509KeyPair({chain}, {key})
	if err != nil {{
		return nil, err
	}}
	config.Certificates = []tls.Certificate{{pair}}
"""
_LOAD_ROOTS = """\
	roots, err := {word}Roots()
	if err != nil {{
		return nil, err
	}}
"""
_ROOTS = """
func {word}Roots() (*x509.CertPool, error) {{
	content, err := os.ReadFile({path})
	if err != nil {{
		return nil, err
	}}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {{
		return nil, fmt.Errorf("%s has no certificate in it", {path})
	}}
	return roots, nil
}}
"""
_CLIENT_PEERS = """\
	// Not insecure: what the flag leaves out, VerifyConnection does, by the peer's names instead of the host's.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {{
		intermediates := x509.NewCertPool()
		for _, each := range state.PeerCertificates[1:] {{
			intermediates.AddCert(each)
		}}
		options := x509.VerifyOptions{{Roots: {roots}, Intermediates: intermediates}}
		if _, err := state.PeerCertificates[0].Verify(options); err != nil {{
			return err
		}}
		return {word}IsExpected(state.PeerCertificates[0])
	}}
"""
_SERVER_PEERS = """\
	config.VerifyConnection = func(state tls.ConnectionState) error {{
		if len(state.PeerCertificates) == 0 {{
			return nil // that one is needed is for ClientAuth to say
		}}
		return {word}IsExpected(state.PeerCertificates[0])
	}}
"""
_IS_EXPECTED = """
func {word}IsExpected(peer *x509.Certificate) error {{
	expected := map[string]bool{{
{names}	}}
	for _, each := range peer.URIs {{
		if expected[each.String()] {{
			return nil
		}}
	}}
	for _, each := range peer.DNSNames {{
		if expected[strings.ToLower(each)] {{
			return nil
		}}
	}}
	return fmt.Errorf("the peer has none of the names that are expected")
}}
"""


def write(context: TlsContext, sides: tuple[Side, ...] = BOTH) -> Exported:
    """`NAME.go` with a function for each side."""
    writing = Writing(context, f"{context.name}.go")
    word = camel(context.name)[:1].lower() + camel(context.name)[1:]
    made = [_function(writing, word, side) for side in writing.sides(sides)]
    body = "".join(made)
    if f"{word}Roots()" in body:
        body += _ROOTS.format(word=word, path=_roots(writing))
    if f"{word}IsExpected(" in body:
        names = "".join(f"\t\t{name} true,\n" for name in _aligned([f"{_text(each)}:" for each in context.peers]))
        body += _IS_EXPECTED.format(word=word, names=names)
    writing.no_revocation()
    writing.say("the files are read once, when the function is called")
    packages = [
        each for each in ("crypto/tls", "crypto/x509", "fmt", "os", "strings") if f"{each.split('/')[-1]}." in body
    ]
    imports = "".join(f'\t"{each}"\n' for each in packages)
    head = f"// Package contexts has the TLS context {context.name}.\npackage contexts\n"
    return writing.done({writing.file: f"{head}\nimport (\n{imports})\n{body}" if packages else head})


def _function(writing: Writing, word: str, side: Side) -> str:
    context = writing.context
    name = f"{camel(context.name)}{side.capitalize()}"
    what = "opens" if side is Side.CLIENT else "takes"
    text = f"\n// {name} is for connections that a program {what}.\nfunc {name}() (*tls.Config, error) {{\n"
    text += _config(writing)
    if context.key_store is not None:
        text += _key(writing, context.key_store)
    text += _client(writing, word) if side is Side.CLIENT else _server(writing, word)
    return f"{text}\treturn config, nil\n}}\n"


def _config(writing: Writing) -> str:
    context = writing.context
    fields = [
        ("MinVersion:", f"{_VERSIONS[context.protocols[0]]},"), ("MaxVersion:", f"{_VERSIONS[context.protocols[-1]]},"),
    ]  # fmt: skip
    if context.ciphers and (known := writing.few_suites()):
        fields.append(("CipherSuites:", f"[]uint16{{{', '.join(f'tls.{suites.IANA[each]}' for each in known)}}},"))
    if context.alpn:
        fields.append(("NextProtos:", f"[]string{{{', '.join(_text(each) for each in context.alpn)}}},"))
    names = _aligned([name for name, _ in fields])
    lines = "".join(f"\t\t{name} {value}\n" for name, (_, value) in zip(names, fields, strict=True))
    return f"\tconfig := &tls.Config{{\n{lines}\t}}\n"


def _key(writing: Writing, key: KeyStore) -> str:
    if key.authority:
        folder = f"os.Getenv({_text(IDENTITY)})"
        return _LOAD_KEY.format(chain=f'{folder}+"/identity.crt"', key=f'{folder}+"/identity.key"')
    path = writing.pem(key)
    if is_pem(key) and (key.password is not None or key.key_password is not None):
        writing.decide(
            "Go's own library opens no encrypted key: decrypt it with openssl pkey, readable by its owner only"
        )
    return _LOAD_KEY.format(chain=_text(key.chain or path), key=_text(path))


def _client(writing: Writing, word: str) -> str:
    context = writing.context
    if writing.loud():
        return "\tconfig.InsecureSkipVerify = true // INSECURE: for tests only\n"
    own = context.trust_store is not None and not context.trust_store.system
    text = _LOAD_ROOTS.format(word=word) + "\tconfig.RootCAs = roots\n" if own else ""
    if context.peers:
        text += _CLIENT_PEERS.format(word=word, roots="roots" if own else "nil")
    return text


def _server(writing: Writing, word: str) -> str:
    context = writing.context
    writing.loud()
    if context.asks_clients is ClientCertificate.NONE:
        return ""
    own = context.trust_store is not None and not context.trust_store.system
    text = _LOAD_ROOTS.format(word=word) + "\tconfig.ClientCAs = roots\n" if own else ""
    text += f"\tconfig.ClientAuth = {_CLIENTS[context.asks_clients]}\n"
    return text + (_SERVER_PEERS.format(word=word) if context.peers else "")


def _roots(writing: Writing) -> str:
    trust = writing.context.trust_store
    if trust is None or trust.authority:
        return f"os.Getenv({_text(ROOTS)})"
    return _text(writing.pem(trust))


def _aligned(names: list[str]) -> list[str]:
    """As gofmt has keys: their values begin in one column."""
    width = max(map(len, names), default=0)
    return [name.ljust(width) for name in names]


def _text(value: str) -> str:
    """A string literal: what JSON has between quotes, Go has too."""
    return json.dumps(value, ensure_ascii=False)
