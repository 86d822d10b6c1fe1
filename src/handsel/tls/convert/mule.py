"""The TLS contexts of Mule applications: `tls:context` of Mule 4 and 3, and the connectors of Mule 3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from handsel.documents import xml
from handsel.documents.xml import Element
from handsel.model.context import Failure, Revocation, TlsContext
from handsel.tls.convert import mule3
from handsel.tls.convert.model import Imported, Names, Note, NoteKind
from handsel.tls.convert.mule3 import said
from handsel.tls.convert.reading import Reading, is_elsewhere, key_store, shown, trust_store

SCHEMAS = "http://www.mulesoft.org/schema/mule/"
TLS = f"{SCHEMAS}tls"
_SERVER_WORDS, _CLIENT_WORDS = ("listener",), ("request", "smtps", "imaps", "pop3s", "ftps")

Above = tuple[Element, ...]


def read(files: Mapping[str, bytes]) -> Imported:
    """Every TLS context in the XML files of an application or domain. Raises `InvalidFile`."""
    roots = [xml.parse(content, file) for file, content in files.items()]
    users = _users(roots)
    names, contexts, notes = Names(), dict[str, TlsContext](), list[Note]()
    declared: set[str] = set()
    for root in roots:
        for element, above in root.walk():
            if element.name == (TLS, "context"):
                wanted = element.get("name") or _owner(above)
                reading = Reading(element.file, names.give(wanted))
                declared.add(element.get("name") or "")
                _say_name(reading, element, wanted)
                roles = _roles([*users.get(element.get("name") or "", []), *above[-1:]])
                contexts[reading.context] = _context(reading, element, roles)
            elif mule3.is_connector(element):
                reading = Reading(element.file, names.give(element.get("name") or "connector"))
                contexts[reading.context] = mule3.read(reading, element)
            else:
                continue
            notes += reading.notes
    notes += _undeclared(users, declared)
    return Imported(contexts, tuple(notes))


def _users(roots: list[Element]) -> dict[str, list[Element]]:
    """The elements that use a global context, by its name."""
    found: dict[str, list[Element]] = {}
    for root in roots:
        for element, _ in root.walk():
            name = element.get("tlsContext") or element.get("tlsContext-ref")
            if name is not None:
                found.setdefault(name, []).append(element)
    return found


def _undeclared(users: dict[str, list[Element]], declared: set[str]) -> Iterator[Note]:
    for name, elements in users.items():
        if name not in declared and not is_elsewhere(name):
            what = f"the context {shown(name)} is used here and is in none of these files: it may be in the domain"
            yield Note(elements[0].file, elements[0].where("tlsContext")[0], NoteKind.DECIDE, shown(name), what)


def _owner(above: Above) -> str:
    """A name for a nested context: that of the nearest element above that has one."""
    return next((name for each in reversed(above) if (name := each.get("name") or each.get("config-ref"))), "context")


def _roles(elements: list[Element]) -> frozenset[str]:
    """What a context is used for, as far as the elements tell."""
    roles = set()
    for each in elements:
        roles |= {"server"} if any(word in each.local for word in _SERVER_WORDS) else set()
        roles |= {"client"} if any(word in each.local for word in _CLIENT_WORDS) else set()
    return frozenset(roles)


def _say_name(reading: Reading, element: Element, wanted: str) -> None:
    line = element.where("name")[0]
    if element.get("name") is None:
        reading.say(line, f"the context of {shown(wanted)}, nested there: it is called {reading.context} here")
    elif wanted != reading.context:
        reading.say(line, f"{shown(wanted)} is called {reading.context} here")


def _context(reading: Reading, element: Element, roles: frozenset[str]) -> TlsContext:
    key, trust = element.child((TLS, "key-store")), element.child((TLS, "trust-store"))
    protocols = reading.protocols(said(element, "enabledProtocols"))
    ciphers, protocols = reading.ciphers(said(element, "enabledCipherSuites"), protocols)
    made = TlsContext(reading.context, protocols=protocols, ciphers=ciphers)
    if key is not None:
        made = _with_key(reading, made, key)
    if trust is not None:
        made = _with_trust(reading, made, trust, roles)
    revocation = _revocation(reading, element)
    if made.insecure and revocation is not None:
        reading.lost(element.place[0], "an insecure context looks at no revocation, in Mule neither")
        return made
    return replace(made, revocation=revocation)


def _with_key(reading: Reading, made: TlsContext, key: Element) -> TlsContext:
    path = said(key, "path")
    if path is None:
        reading.lost(key.place[0], "the key store has no path: there is no key")
        return made
    if key.get("alias") is None:
        reading.say(key.place[0], "no alias: Mule takes the first key of the store, handsel the only one")
    _algorithm(reading, key, "key store", ("sunx509", "pkix", "newsunx509", "x509"))
    store = key_store(
        reading, path, said(key, "type"), said(key, "password", blank=True), said(key, "keyPassword", blank=True),
        said(key, "alias"),
    )  # fmt: skip
    return replace(made, key_store=store)


def _with_trust(reading: Reading, made: TlsContext, trust: Element, roles: frozenset[str]) -> TlsContext:
    path = said(trust, "path")
    _algorithm(reading, trust, "trust store", ("pkix", "sunx509"))
    if reading.flag(said(trust, "insecure"), "insecure"):
        reading.decide(
            trust.where("insecure")[0],
            'insecure="true": as a client every server is believed, as a server no client is asked. Name whom to '
            "believe as trust_store and take insecure out",
        )
        return replace(made, insecure=True)
    if path is None:
        what = "no path: the JVM's roots are the machine's here"
        if "server" in roles:
            what = "a trust store without path asks clients for nothing: it looks two-way, and is one-way"
        reading.say(trust.place[0], what)
        return made
    store = trust_store(reading, path, said(trust, "type"), said(trust, "password", blank=True))
    return replace(made, trust_store=store)


def _algorithm(reading: Reading, store: Element, what: str, usual: tuple[str, ...]) -> None:
    algorithm = said(store, "algorithm")
    if algorithm is not None and algorithm.value.strip().lower() not in usual:
        reading.lost(algorithm, f"the algorithm {shown(algorithm.value)} of the {what} is not known here")


def _revocation(reading: Reading, context: Element) -> Revocation | None:
    check = context.child((TLS, "revocation-check"))
    if check is None:
        return None
    for one in check.children:
        line = one.place[0]
        if one.name == (TLS, "crl-file") and (path := said(one, "path")):
            return Revocation(crl=(reading.path(path, "revocation list"),), whole_chain=True)
        if one.name == (TLS, "custom-ocsp-responder") and (url := said(one, "url")):
            if (alias := said(one, "certAlias")) is not None:
                reading.lost(alias, "certAlias is not known here: the responder signs as its issuer says")
            if is_elsewhere(url.value) or not url.value.strip().startswith(("http://", "https://")):
                reading.decide(url, f"the responder is {shown(url.value)}: write its http address")
                return Revocation(ocsp=True, whole_chain=True)
            return Revocation(ocsp=True, responder=url.value.strip(), whole_chain=True)
        if one.name == (TLS, "standard-revocation-check"):
            return _standard(reading, one)
        reading.lost(line, f"the revocation check {shown(one.local)} is not known here")
    reading.lost(check.place[0], "the revocation check says nothing that can be carried out")
    return None


def _standard(reading: Reading, check: Element) -> Revocation:
    soft = reading.flag(said(check, "softFail"), "softFail")
    if soft:
        reading.say(check.where("softFail")[0], 'softFail="true": who cannot be asked about is let through')
    if reading.flag(said(check, "preferCrls"), "preferCrls"):
        reading.lost(check.where("preferCrls")[0], "lists come first (preferCrls): here only the responder is asked")
    elif not reading.flag(said(check, "noFallback"), "noFallback"):
        reading.lost(check.place[0], "the lists that a certificate names are not asked: name them as crl")
    leaf_only = reading.flag(said(check, "onlyEndEntities"), "onlyEndEntities")
    return Revocation(ocsp=True, failure=Failure.SOFT if soft else Failure.HARD, whole_chain=not leaf_only)
