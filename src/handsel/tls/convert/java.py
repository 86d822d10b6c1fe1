"""The system properties by which the JVM makes its default TLS: `javax.net.ssl.*`, `jdk.tls.*`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from handsel.documents import properties
from handsel.errors import FileFault, InvalidFile
from handsel.model.context import KeyStore, Revocation, TlsContext, TrustStore
from handsel.tls.convert.model import Imported, Note, NoteKind
from handsel.tls.convert.reading import Reading, Said, key_store, shown, trust_store

_SSL = "javax.net.ssl."
_WORD = re.compile(r"""-D([A-Za-z][\w.]*)(?:=("[^"\n]*"|'[^'\n]*'|[^\s"']*))?""")
_ON_A_LINE = re.compile(rb"^(?![ \t]*[#!])[^\r\n]*-D[A-Za-z]", re.MULTILINE)
_OURS = ("javax.net.ssl.", "jdk.tls.", "https.protocols", "https.cipherSuites", "com.sun.net.ssl.", "com.sun.security.")
_OCSP = ("ocsp.enable", "ocsp.responderURL")
_READ = {
    *(f"{_SSL}{which}Store{part}" for which in ("key", "trust") for part in ("", "Password", "Type")),
    *(f"jdk.tls.{side}.{what}" for side in ("client", "server") for what in ("protocols", "cipherSuites")),
    "https.protocols", "https.cipherSuites", "com.sun.net.ssl.checkRevocation",
    "com.sun.security.onlyCheckRevocationOfEECert", "com.sun.security.ocsp.timeout", *_OCSP,
}  # fmt: skip
_LOOSE = {
    "jdk.internal.httpclient.disableHostnameVerification": "host names are not checked: handsel always checks them",
    "jdk.tls.allowUnsafeServerCertChange": "unsafe changes of certificate are never taken",
    "sun.security.ssl.allowUnsafeRenegotiation": "unsafe renegotiation is never taken",
}

Told = dict[str, tuple[str, Said]]
"""Properties by name, with the file of each."""


def read(files: Mapping[str, bytes]) -> Imported:
    """The default context of a JVM, from properties files and command lines (words with -D) together.

    Where client and server differ there are two. Raises `InvalidFile`.
    """
    told: Told = {}
    contexts, notes = dict[str, TlsContext](), list[Note]()
    for file, content in files.items():
        for key, said in _properties(content, file):
            if key in told and key.startswith(_OURS):
                before, line = told[key][0], told[key][1].line
                notes.append(Note(before, line, NoteKind.SAID, "java", f"{shown(key)} is said again: the last counts"))
            told[key] = (file, said)
    first = next(iter(files), "")
    sides = ("client", "server") if _differ(told) else ("",)
    if not any(key in _READ for key in told):
        return Imported({}, ())
    for side in sides:
        reading = Reading(first, f"java-{side}" if side else "java")
        contexts[reading.context] = _context(_Told(reading, told), side)
        known = {replace(each, context="") for each in notes}
        notes += [each for each in reading.notes if replace(each, context="") not in known]
    return Imported(contexts, tuple(notes))


def _properties(content: bytes, file: str) -> Iterator[tuple[str, Said]]:
    """What a file says: words with -D wherever they stand, and else the entries of a properties file."""
    if _ON_A_LINE.search(content):
        if len(content) > properties.MAXIMUM_BYTES:
            raise InvalidFile([FileFault(file, 1, 1, "", f"larger than {properties.MAXIMUM_BYTES >> 20} MiB")])
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
            if not line.lstrip().startswith(("#", "!")):
                for match in _WORD.finditer(line):
                    yield match[1], Said((match[2] or "").strip("\"'"), number)
        return
    for entry in properties.parse(content, file).entries:
        yield entry.key.removeprefix("systemProp."), Said(entry.value, entry.line)


def _differ(told: Told) -> bool:
    """Whether what the client speaks is said, and another thing than the server."""
    for what in ("protocols", "cipherSuites"):
        found = [
            entry[1].value for side in ("client", "server") if (entry := told.get(f"jdk.tls.{side}.{what}")) is not None
        ]
        if len(set(found)) > 1:
            return True
    return False


class _Told:
    """Takes properties by name; notes are of the file that said it."""

    def __init__(self, reading: Reading, told: Told) -> None:
        self.reading = reading
        self.told = told

    def take(self, key: str, *, blank: bool = False) -> Said | None:
        found = self.told.get(key)
        if found is None or not (blank or found[1].value.strip()):
            return None
        self.reading.file = found[0]
        return found[1]


def _context(told: _Told, side: str) -> TlsContext:
    reading = told.reading
    _say_others(told)
    sides = (side,) if side else ("client", "server")
    protocols = reading.protocols(_first(told, sides, "protocols"))
    ciphers, protocols = reading.ciphers(_first(told, sides, "cipherSuites"), protocols)
    made = TlsContext(
        reading.context, _key_store(told), _trust_store(told), protocols, ciphers, revocation=_revocation(told)
    )
    if made.trust_store is not None and side != "client" and (said := told.take(f"{_SSL}trustStore")):
        reading.decide(said, "whether a server asks its clients for certificates is in the program: here it does")
    return made


def _first(told: _Told, sides: tuple[str, ...], what: str) -> Said | None:
    """A setting of these sides; one that only one of them has counts for both, which is stricter."""
    found = {side: said for side in sides if (said := told.take(f"jdk.tls.{side}.{what}")) is not None}
    if len(found) == 1 and len(sides) > 1:
        (side, said) = next(iter(found.items()))
        told.take(f"jdk.tls.{side}.{what}")
        told.reading.say(said, f"the {what} are said for a {side} only: here they hold for both sides")
    return next(iter(found.values()), None) or told.take(f"https.{what}")


def _key_store(told: _Told) -> KeyStore | None:
    path = told.take(f"{_SSL}keyStore")
    if path is None or path.value.strip() == "NONE":
        if path is not None:
            told.reading.lost(path, "a key store that is no file (keyStore=NONE) is not known here")
        return None
    kind, password = told.take(f"{_SSL}keyStoreType"), told.take(f"{_SSL}keyStorePassword", blank=True)
    return key_store(told.reading, path, kind, password, None, None)


def _trust_store(told: _Told) -> TrustStore | None:
    path = told.take(f"{_SSL}trustStore")
    if path is None or path.value.strip() == "NONE":
        if path is not None:
            told.reading.lost(path, "a trust store that is no file (trustStore=NONE): the machine's roots are believed")
        return None
    kind, password = told.take(f"{_SSL}trustStoreType"), told.take(f"{_SSL}trustStorePassword", blank=True)
    return trust_store(told.reading, path, kind, password)


def _revocation(told: _Told) -> Revocation | None:
    reading = told.reading
    check = told.take("com.sun.net.ssl.checkRevocation")
    if not reading.flag(check, "com.sun.net.ssl.checkRevocation"):
        return None
    asks = reading.flag(told.take("ocsp.enable"), "ocsp.enable")
    url = told.take("ocsp.responderURL")
    if not asks:
        reading.lost(check or 0, "without ocsp.enable Java asks the lists that a certificate names: name them as crl")
        return None
    responder = url.value.strip() if url else ""
    if url and not responder.startswith(("http://", "https://")):
        reading.decide(url, f"the responder is {shown(responder)}: write its http address")
        responder = ""
    leaf_only = reading.flag(told.take("com.sun.security.onlyCheckRevocationOfEECert"), "onlyCheckRevocationOfEECert")
    timeout, seconds = told.take("com.sun.security.ocsp.timeout"), Revocation.timeout
    if timeout is not None and re.fullmatch(r"[0-9]{1,4}s?", timeout.value.strip()):
        seconds = timedelta(seconds=int(timeout.value.strip().rstrip("s")))
    elif timeout is not None:
        reading.lost(timeout, f"the timeout {shown(timeout.value)} is not known here: it is 3s")
    return Revocation(ocsp=True, responder=responder, whole_chain=not leaf_only, timeout=seconds)


def _say_others(told: _Told) -> None:
    """What is about TLS and goes nowhere."""
    for key, (file, said) in told.told.items():
        told.reading.file = file
        if key in _LOOSE:
            told.reading.lost(said, f"{key}: {_LOOSE[key]}")
        elif key == "javax.net.debug":
            told.reading.say(said, "javax.net.debug writes what is secret to a log: take it out")
        elif key.startswith(_OURS) and key not in _READ:
            told.reading.lost(said, f"{shown(key)} has no counterpart")
