"""The TLS settings of Spring Boot: `server.ssl.*` and the bundles `spring.ssl.bundle.*`, in properties and in YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from handsel.documents import properties, yaml
from handsel.documents.yaml import Document, Path
from handsel.model.context import ClientCertificate, KeyStore, TlsContext, TrustStore
from handsel.tls.convert.model import Imported, Names, Note, NoteKind
from handsel.tls.convert.reading import Reading, Said, key_store, shown, trust_store

_WEB, _JKS, _PEM = "web", "jks", "pem"
_WEB_NAMES = {("server", "ssl"): "server", ("management", "server", "ssl"): "management"}
# Spring's names without dashes and in small letters, as it compares them, and what each is here.
_KEYS = {
    _WEB: {
        "keystore": "key", "keystoretype": "key_kind", "keystorepassword": "key_store_password", "keyalias": "alias",
        "keypassword": "key_password", "truststore": "trust", "truststoretype": "trust_kind",
        "truststorepassword": "trust_password", "certificate": "certificate", "certificateprivatekey": "private_key",
        "trustcertificate": "roots", "enabledprotocols": "protocols", "ciphers": "ciphers", "clientauth": "clients",
        "bundle": "bundle", "enabled": "enabled", "protocol": "protocol",
    },
    _JKS: {
        "keystore.location": "key", "keystore.type": "key_kind", "keystore.password": "key_store_password",
        "key.alias": "alias", "key.password": "key_password", "truststore.location": "trust",
        "truststore.type": "trust_kind", "truststore.password": "trust_password", "options.ciphers": "ciphers",
        "options.enabledprotocols": "protocols", "protocol": "protocol", "reloadonupdate": "reload",
    },
    _PEM: {
        "keystore.certificate": "certificate", "keystore.privatekey": "private_key",
        "keystore.privatekeypassword": "key_password", "truststore.certificate": "roots",
        "options.ciphers": "ciphers", "options.enabledprotocols": "protocols", "protocol": "protocol",
        "reloadonupdate": "reload",
    },
}  # fmt: skip
_CLIENTS = {
    "need": ClientCertificate.REQUIRED, "want": ClientCertificate.OPTIONAL, "none": ClientCertificate.NONE,
}  # fmt: skip
_INDEX = re.compile(r"\[\d+\]$")
_YAML_NAME = re.compile(r"\.ya?ml$", re.IGNORECASE)

Setting = tuple[tuple[str, ...], Said]


@dataclass
class _Group:
    """The settings of a web server or a bundle, by what they are here; those that are nothing here by Spring's name."""

    kind: str
    name: str
    told: dict[str, Said] = field(default_factory=dict)
    others: dict[str, Said] = field(default_factory=dict)


def read(files: Mapping[str, bytes]) -> Imported:
    """Every bundle, and the web server's own TLS, of application properties or YAML. Raises `InvalidFile`.

    A document for a profile is read together with those for all of them, under names of its own.
    """
    names, contexts, notes = Names(), dict[str, TlsContext](), list[Note]()
    for file, content in files.items():
        documents = list(_documents(content, file))
        notes += _said_again(content, file)
        common = [each for profile, settings in documents if not profile for each in settings]
        found = [_read(file, _groups(common), names, "", None)]
        for profile, settings in documents:
            own = {(each.kind, each.name) for each in _groups(settings)} if profile else set()
            if own:
                found.append(_read(file, _groups([*common, *settings]), names, profile, own))
        for each in found:
            contexts.update(each.contexts)
            notes += each.notes
    return Imported(contexts, tuple(dict.fromkeys(notes)))


def _said_again(content: bytes, file: str) -> Iterator[Note]:
    """Notes about keys that a properties file has twice."""
    if not _is_yaml(content, file):
        for each in properties.parse(content, file).shadowed:
            if ".ssl." in each.key:
                yield Note(file, each.line, NoteKind.SAID, "", f"{shown(each.key)} is said again: the last counts")


def _documents(content: bytes, file: str) -> Iterator[tuple[str, list[Setting]]]:
    """The settings of each document, and the profile that it is for."""
    if not _is_yaml(content, file):
        yield "", _from_properties(properties.parse(content, file))
        return
    for document in yaml.parse(content, file):
        settings = list(_from_yaml(document, document.value, (), ()))
        profile = next((said.value for key, said in settings if key[-2:] == ("activate", "on-profile")), "")
        yield profile, settings


def _is_yaml(content: bytes, file: str) -> bool:
    """Whether a file is YAML: a line that only opens a mapping is in no properties file."""
    return bool(_YAML_NAME.search(file) or re.search(rb"^(server|spring|management):\s*$", content, re.MULTILINE))


def _from_properties(found: properties.Properties) -> list[Setting]:
    """Entries by their parts. What has an index is put together again as a list."""
    lists: dict[str, Said] = {}
    for entry in found.entries:
        key = _INDEX.sub("", entry.key)
        before = lists.get(key)
        joined = f"{before.value},{entry.value}" if before and key != entry.key else entry.value
        lists[key] = Said(joined, entry.line)
    return [(tuple(key.split(".")), said) for key, said in lists.items()]


def _from_yaml(document: Document, value: yaml.Value, path: Path, key: tuple[str, ...]) -> Iterator[Setting]:
    line = document.place(path)[0]
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _from_yaml(document, each, (*path, name), (*key, *name.split(".")))
    elif isinstance(value, list):
        yield key, Said(",".join(_text(each) for each in value if not isinstance(each, dict | list)), line)
    else:
        yield key, Said(_text(value), line)


def _text(value: yaml.Value) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _groups(settings: list[Setting]) -> list[_Group]:
    """The settings about TLS, by what they are of."""
    found: dict[tuple[str, str], _Group] = {}
    for key, said in settings:
        small = tuple(_small(each) for each in key)
        web = next((prefix for prefix in _WEB_NAMES if small[: len(prefix)] == prefix), None)
        if web:
            kind, name, rest = _WEB, _WEB_NAMES[web], small[len(web) :]
        elif small[:3] == ("spring", "ssl", "bundle") and len(small) > 5:
            kind, name, rest = small[3], key[4], small[5:]
        else:
            continue
        if kind not in _KEYS:
            continue
        group = found.setdefault((kind, name), _Group(kind, name))
        known = _KEYS[kind].get(".".join(rest))
        if known:
            group.told[known] = said
        else:
            group.others[".".join(key)] = said
    return list(found.values())


def _small(part: str) -> str:
    return part.lower().replace("-", "").replace("_", "")


def _read(file: str, groups: list[_Group], names: Names, profile: str, own: set[tuple[str, str]] | None) -> Imported:
    """The contexts of one set of settings; of a profile only those that it says something about."""
    contexts: dict[str, TlsContext] = {}
    bundles: dict[str, str] = {}
    notes: list[Note] = []
    for group in sorted(groups, key=lambda each: each.kind == _WEB):
        used = _given(group.told, "bundle")
        mine = own is None or (group.kind, group.name) in own
        if not mine and not (used and used.value in bundles):
            continue
        reading = Reading(file, bundles.get(used.value, group.name) if used else "")
        if used and used.value in bundles:
            contexts[reading.context] = _with_clients(reading, group, contexts[reading.context])
        elif used:
            reading.context = group.name
            reading.decide(used, f"the bundle {shown(used.value)} is not in this file: nothing is taken over")
        elif not _is_off(reading, group):
            reading.context = names.give(f"{group.name}-{profile}" if profile else group.name)
            contexts[reading.context] = _context(reading, group)
            if group.kind != _WEB:
                bundles[group.name] = reading.context
        notes += reading.notes
    return Imported(contexts, tuple(notes))


def _is_off(reading: Reading, group: _Group) -> bool:
    enabled = group.told.get("enabled")
    if enabled is None or enabled.value.strip().lower() != "false":
        return False
    reading.context = group.name
    reading.say(enabled, "TLS is off here (enabled=false): nothing is taken over")
    return True


def _context(reading: Reading, group: _Group) -> TlsContext:
    told = group.told
    protocols = reading.protocols(told.get("protocols"))
    ciphers, protocols = reading.ciphers(told.get("ciphers"), protocols)
    made = TlsContext(reading.context, _key_store(reading, told), _trust_store(reading, told), protocols, ciphers)
    if (version := told.get("protocol")) is not None and version.value.strip() not in ("TLS", *protocols):
        reading.lost(version, f"protocol {shown(version.value)}: say enabled protocols, which are what counts")
    for name, said in group.others.items():
        reading.lost(said, f"{shown(name)} has no counterpart")
    return _with_clients(reading, group, made) if group.kind == _WEB else made


def _with_clients(reading: Reading, group: _Group, made: TlsContext) -> TlsContext:
    """What a web server asks of its clients: nothing, when it does not say."""
    said = group.told.get("clients")
    if said is not None and said.value.strip().lower() not in _CLIENTS:
        reading.decide(said, f"client-auth is {shown(said.value)}: here clients need a certificate")
        return made
    if said is None and made.trust_store is None:
        return made
    asked = _CLIENTS[said.value.strip().lower()] if said else ClientCertificate.NONE
    return replace(made, client_certificate=asked)


def _key_store(reading: Reading, told: Mapping[str, Said]) -> KeyStore | None:
    key, private = _given(told, "key"), _given(told, "private_key")
    if key is not None:
        password, key_password = told.get("key_store_password"), told.get("key_password")
        return key_store(reading, key, told.get("key_kind"), password, key_password, told.get("alias"))
    certificate = _given(told, "certificate")
    if private is None:
        if certificate is not None:
            reading.lost(certificate, "a certificate without private-key is no key store")
        return None
    path = _pem(reading, private, "private key", f"{reading.context}.key")
    chain = _pem(reading, certificate, "certificate", f"{reading.context}.crt") if certificate else path
    if (alias := told.get("alias")) is not None:
        reading.lost(alias, "a PEM file has no aliases")
    own = reading.password(told.get("key_password"), "key")
    return KeyStore(path, "pem", own, chain="" if chain == path else chain)


def _trust_store(reading: Reading, told: Mapping[str, Said]) -> TrustStore | None:
    if (trust := _given(told, "trust")) is not None:
        return trust_store(reading, trust, told.get("trust_kind"), told.get("trust_password"))
    if (roots := _given(told, "roots")) is not None:
        return TrustStore(_pem(reading, roots, "trusted certificates", f"{reading.context}-roots.crt"), "pem")
    return None


def _pem(reading: Reading, said: Said, what: str, file: str) -> str:
    """The path of a PEM file. One that stands in the settings themselves has to become a file."""
    if "-----BEGIN" in said.value:
        reading.decide(
            said, f"PEM text stands where the path of the {what} should: move it to {file}, as is written now"
        )
        return file
    return reading.path(said, what)


def _given(told: Mapping[str, Said], name: str) -> Said | None:
    said = told.get(name)
    return said if said is not None and said.value.strip() else None
