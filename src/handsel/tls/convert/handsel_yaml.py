"""Contexts as the part `contexts:` of a mesh file: what `model.context_file` reads is the same again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from handsel.documents import yaml, yaml_text
from handsel.errors import InvalidFile
from handsel.model.context import KeyStore, Password, Revocation, TlsContext, TrustStore
from handsel.model.context_file import parse_contexts
from handsel.model.durations import parse_duration, show_duration
from handsel.tls.convert.model import Note, NoteKind


def write(contexts: Mapping[str, TlsContext]) -> str:
    """The part, as text. Settings that are as they are by themselves are left out."""
    return yaml_text.write({"contexts": tree(contexts)})


def tree(contexts: Mapping[str, TlsContext]) -> dict[str, Any]:
    """The contexts as the mesh file has them."""
    return {name: _context(each) for name, each in contexts.items()}


def faults(contexts: Mapping[str, TlsContext]) -> Iterator[Note]:
    """What a mesh file would not take of them, such as a path with a tilde: a person has to mend it there."""
    try:
        parse_contexts(yaml.parse(write(contexts).encode(), ""), str)
    except InvalidFile as error:
        for each in error.faults:
            place = each.path.split(".")
            yield Note(
                "handsel.yaml", 0, NoteKind.DECIDE, place[1] if len(place) > 1 else "", f"{each.path}: {each.message}"
            )


def _context(context: TlsContext) -> dict[str, Any]:
    default = TlsContext("")
    made: dict[str, Any] = {}
    if context.key_store is not None:
        made["key_store"] = _key_store(context.key_store)
    if context.trust_store is not None:
        made["trust_store"] = _trust_store(context.trust_store)
    for name in ("protocols", "ciphers", "alpn", "peers"):
        if getattr(context, name) != getattr(default, name):
            made[name] = list(getattr(context, name))
    if context.client_certificate is not default.client_certificate:
        made["client_certificate"] = str(context.client_certificate)
    if context.revocation is not None:
        made["revocation"] = _revocation(context.revocation)
    if context.insecure:
        made["insecure"] = True
    return made


def _key_store(key: KeyStore) -> dict[str, Any]:
    made = _store(key)
    if key.key_password is not None:
        made["key_password"] = _password(key.key_password)
    if key.alias:
        made["alias"] = key.alias
    if key.chain:
        made["chain"] = key.chain
    return made


def _trust_store(trust: TrustStore) -> dict[str, Any]:
    return _store(trust) | ({"system": True} if trust.system else {})


def _store(store: KeyStore | TrustStore) -> dict[str, Any]:
    made: dict[str, Any] = {"authority": True} if store.authority else {}
    if store.path:
        made["path"] = store.path
    if store.secret:
        made["secret"] = store.secret
    if store.kind:
        made["type"] = store.kind
    if store.password is not None:
        made["password"] = _password(store.password)
    return made


def _password(password: Password) -> dict[str, str]:
    if password.file:
        return {"file": password.file}
    return {"env": password.variable} if password.variable else {"secret": password.secret}


def _revocation(wanted: Revocation) -> dict[str, Any]:
    default, made = Revocation(), dict[str, Any]()
    if wanted.crl:
        made["crl"] = list(wanted.crl)
    if wanted.ocsp:
        made["ocsp"] = True
    if wanted.responder:
        made["responder"] = wanted.responder
    if wanted.failure is not default.failure:
        made["failure"] = str(wanted.failure)
    if wanted.whole_chain:
        made["whole_chain"] = True
    if wanted.timeout != default.timeout:
        made["timeout"] = _duration(wanted.timeout)
    return made


def _duration(duration: timedelta) -> str:
    """As people write it; in milliseconds where that says more."""
    short = show_duration(duration)
    try:
        exact = parse_duration(short) == duration
    except ValueError:  # a million seconds and more have an exponent
        exact = False
    return short if exact else f"{duration / timedelta(milliseconds=1):f}ms"
