"""What was written for Mule, Java or Spring is read as the same context, as far as they can say it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.model.context import ClientCertificate, Failure, KeyStore, Revocation, TlsContext, TrustStore
from handsel.tls.convert import java, mule, spring
from handsel.tls.convert.model import NoteKind
from handsel.tls.convert.write import TARGETS
from tests.tls.convert.contexts import contexts, golden

READERS = {"mule": mule.read, "java": java.read, "spring": spring.read}


def _there_and_back(target: str, context: TlsContext) -> TlsContext:
    exported = TARGETS[target](context, ("client", "server"))  # type: ignore[arg-type]
    files = {name: text.encode() for name, text in exported.files.items()}
    (found,) = READERS[target](files).contexts.values()
    return found


def _java_store(store: KeyStore | TrustStore | None) -> bool:
    """Whether a store, and where its passwords are, can be said in Java's words."""
    if store is None:
        return True
    passwords = [store.password, getattr(store, "key_password", None)]
    plain = store.path == store.path.strip() and not re.search(r"[$#!][{\[]|\.(pem|crt|cer|cert|key)$", store.path.lower())
    said = not store.authority and not getattr(store, "system", False) and store.kind != "pem" and plain
    alias = getattr(store, "alias", "")
    return (
        said
        and not getattr(store, "chain", "")
        and alias == alias.strip()
        and not re.search(r"[$#!][{\[]", alias)
        and all(each is None or each.variable for each in passwords)
        and (store.password is None or store.password != getattr(store, "key_password", None))
    )


def _sayable(context: TlsContext) -> bool:
    return (
        _java_store(context.key_store) and _java_store(context.trust_store) and not context.peers and not context.alpn
    )


def _mule(context: TlsContext) -> bool:
    key, revocation = context.key_store, context.revocation
    if revocation is not None:
        only_list = replace(Revocation(whole_chain=True), crl=revocation.crl)
        responder = Revocation(ocsp=True, responder=revocation.responder, whole_chain=True)
        asks = Revocation(ocsp=True, failure=revocation.failure, whole_chain=revocation.whole_chain)
        one_file = len(revocation.crl) == 1 and "://" not in revocation.crl[0] and revocation.crl[0].strip() == revocation.crl[0]
        if not (
            (revocation == only_list and one_file and "{" not in revocation.crl[0] and "[" not in revocation.crl[0])
            or (revocation == responder and revocation.responder)
            or revocation == asks
        ):
            return False
    # Mule wants both passwords, so one that is left out comes back as the same empty text.
    return (
        _sayable(context)
        and context.client_certificate is ClientCertificate.REQUIRED
        and (key is None or key.password is not None)
    )


def _java(context: TlsContext) -> bool:
    revocation = context.revocation
    return (
        _sayable(context)
        and (context.key_store is None or not (context.key_store.alias or context.key_store.key_password))
        and context.client_certificate is ClientCertificate.REQUIRED
        and not context.insecure
        and (
            revocation is None
            or (not revocation.crl and revocation.failure is Failure.HARD and revocation.timeout == timedelta(seconds=3))
        )
    )


def _spring(context: TlsContext) -> bool:
    asks = context.client_certificate is ClientCertificate.REQUIRED or (context.key_store and context.trust_store)
    return _sayable(context) and bool(asks) and not context.insecure and context.revocation is None


FITS: dict[str, Callable[[TlsContext], bool]] = {"mule": _mule, "java": _java, "spring": _spring}


def _made_to_fit(context: TlsContext, target: str) -> TlsContext:
    """Nearer to what the target can say: otherwise hardly any context would be."""
    context = replace(context, peers=(), alpn=())
    key, trust = context.key_store, context.trust_store
    if key is not None:
        kind = "" if key.kind == "pem" else key.kind
        key = KeyStore(key.path or "/k.p12", kind, key.password, key.key_password, key.alias)
        key = replace(key, alias="", key_password=None) if target == "java" else key
    if trust is not None:
        trust = TrustStore(trust.path or "/t.p12", "" if trust.kind == "pem" else trust.kind, trust.password)
    context = replace(context, key_store=key, trust_store=trust)
    if target == "spring":
        return replace(context, revocation=None, insecure=False)
    return replace(context, client_certificate=ClientCertificate.REQUIRED)


@pytest.mark.parametrize("target", READERS)
def test_what_fits_comes_back(target: str) -> None:
    seen = 0

    @given(contexts.map(lambda context: _made_to_fit(context, target)).filter(FITS[target]))
    def check(context: TlsContext) -> None:
        nonlocal seen
        seen += context.key_store is not None and context.trust_store is not None
        found = _there_and_back(target, context)
        name = found.name if target == "java" else context.name  # a JVM has one context, without a name
        assert replace(found, name=name) == replace(context, name=name)

    check()
    assert seen > 3


_PEM_KEYS = st.builds(
    lambda chain, password: KeyStore("/etc/orders.key", "pem", password, chain=chain),
    st.sampled_from(["", "/etc/orders.crt"]), contexts.map(lambda c: c.key_store.password if c.key_store else None),
).filter(lambda key: key.password is None or key.password.variable)  # fmt: skip


@given(_PEM_KEYS, st.sampled_from(ClientCertificate))
def test_a_bundle_of_pem_comes_back_too(key: KeyStore, clients: ClientCertificate) -> None:
    context = TlsContext("orders", key, TrustStore("/etc/roots.pem", "pem"), client_certificate=clients)
    assert _there_and_back("spring", context) == context


@given(contexts, st.sampled_from(sorted(TARGETS)))
def test_any_context_is_written_for_any_target(context: TlsContext, target: str) -> None:
    """And what is insecure is said loudly, or not written at all."""
    exported = TARGETS[target](context, ("client", "server"))  # type: ignore[arg-type]
    assert exported.files
    assert all(note.context == context.name for note in exported.notes)
    loud = any("INSECURE" in note.message and note.kind is not NoteKind.SAID for note in exported.notes)
    assert loud == context.insecure
    if context.peers and target in ("mule", "java", "spring"):
        assert any("peers" in note.message and note.kind is NoteKind.LOST for note in exported.notes)


@pytest.mark.parametrize("target", READERS)
def test_what_does_not_fit_is_noted(target: str) -> None:
    """The control of the round trips: where the context does not come back, a note says what was lost."""
    for context in golden().values():
        if context.trust_store is None and context.key_store is None:
            continue
        exported = TARGETS[target](context, ("client", "server"))  # type: ignore[arg-type]
        if replace(_there_and_back(target, context), name=context.name) != context:
            assert any(note.kind is not NoteKind.SAID for note in exported.notes), context.name
