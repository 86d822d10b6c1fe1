"""The connectors of Mule 3 that hold their stores themselves: `https:connector` and its like."""

from __future__ import annotations

from handsel.documents.xml import Element
from handsel.model.context import ClientCertificate, KeyStore, TlsContext
from handsel.tls.convert.reading import Reading, Said, key_store, shown, trust_store

_SCHEMAS = "http://www.mulesoft.org/schema/mule/"
_TRANSPORTS = tuple(f"{_SCHEMAS}{each}" for each in ("https", "tls", "ssl", "smtps", "imaps", "pop3s"))
_STORES = ("tls-client", "tls-key-store", "tls-server")


def is_connector(element: Element) -> bool:
    """Whether this is a connector with stores of its own."""
    return (
        element.name[0] in _TRANSPORTS
        and element.local.endswith("connector")
        and any(each.name == (element.name[0], store) for each in element.children for store in _STORES)
    )


def read(reading: Reading, connector: Element) -> TlsContext:
    """Its context: `tls-key-store` is the own key, `tls-server` whom to believe; `tls-client` stands in for either."""
    transport = connector.name[0]
    client, own, server = (connector.child((transport, each)) for each in _STORES)
    name = connector.get("name")
    if name is not None and name != reading.context:
        reading.say(connector.where("name")[0], f"{shown(name)} is called {reading.context} here")
    key = trust = None
    asked = ClientCertificate.NONE
    if own is not None and (path := said(own, "path")):
        key = _key_store(reading, own, path)
        if client is not None:
            reading.lost(client.place[0], "tls-client is left out: the key is that of tls-key-store, as a client too")
    elif client is not None and (path := said(client, "path")):
        reading.decide(client.place[0], "tls-client is taken as the key store: see that its own key is in it")
        key = _key_store(reading, client, path)
    if server is not None and (path := said(server, "path")):
        trust = trust_store(reading, path, _kind(server), said(server, "storePassword", blank=True))
        if reading.flag(said(server, "requireClientAuthentication"), "requireClientAuthentication"):
            asked = ClientCertificate.REQUIRED
    elif client is not None and (path := said(client, "path")):
        reading.decide(client.place[0], "without tls-server, tls-client is the trust store too: see whom it has in it")
        trust = trust_store(reading, path, _kind(client), said(client, "storePassword", blank=True))
    reading.say(connector.place[0], "a connector of Mule 3: its TLS 1.1 and older are not taken over")
    if trust is None:
        asked = TlsContext.client_certificate
    return TlsContext(reading.context, key, trust, client_certificate=asked)


def _key_store(reading: Reading, store: Element, path: Said) -> KeyStore:
    password, key_password = said(store, "storePassword", blank=True), said(store, "keyPassword", blank=True)
    return key_store(reading, path, _kind(store), password, key_password, said(store, "keyAlias"))


def _kind(store: Element) -> Said | None:
    return said(store, "type") or said(store, "class")


def said(element: Element, attribute: str, *, blank: bool = False) -> Said | None:
    """An attribute with its line. An empty one counts as left out, unless `blank`."""
    value = element.get(attribute)
    if value is None or not (blank or value.strip()):
        return None
    return Said(value, element.where(attribute)[0])
