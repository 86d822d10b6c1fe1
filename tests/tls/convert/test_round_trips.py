"""What was written for Mule, Java or Spring is read as the same context, as far as they can say it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.model.context import ClientCertificate, Failure, KeyStore, Password, Revocation, TlsContext, TrustStore
from handsel.tls.convert import java, mule, spring
from handsel.tls.convert.model import BOTH, NoteKind
from handsel.tls.convert.write import TARGETS
from tests.tls.convert.contexts import contexts, golden

READERS = {"mule": mule.read, "java": java.read, "spring": spring.read}


def _there_and_back(target: str, context: TlsContext) -> TlsContext:
    exported = TARGETS[target](context, BOTH)
    files = {name: text.encode() for name, text in exported.files.items()}
    (found,) = READERS[target](files).contexts.values()
    return found


_WORDS = st.from_regex(r"[A-Za-z0-9ü_.+&<\"' -]{0,12}[A-Za-z0-9ü]", fullmatch=True).filter(
    lambda text: text == text.strip()
)
_PATHS = _WORDS.map(lambda text: f"/etc/{text}.p12")
_KINDS = st.sampled_from(["", "jks", "jceks", "pkcs12", "bcfks"])
_PASSWORD = st.builds(Password, variable=st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,30}", fullmatch=True))
_KEYS = st.builds(KeyStore, _PATHS, _KINDS, _PASSWORD, st.none() | _PASSWORD, st.just("") | _WORDS)
_TRUST = st.builds(TrustStore, _PATHS, _KINDS, st.none() | _PASSWORD)


def _sayable(
    keys: st.SearchStrategy[KeyStore], clients: st.SearchStrategy[ClientCertificate], revocations: st.SearchStrategy[Revocation]
) -> st.SearchStrategy[TlsContext]:  # fmt: skip
    """Contexts with what Java's formats can say, a key's password being another one than its store's."""
    made = st.builds(
        lambda any_, key, trust, clients, revocation: replace(
            any_, key_store=key, trust_store=None if any_.insecure else trust, alpn=(), peers=(),
            client_certificate=clients if key and trust else ClientCertificate.REQUIRED,
            revocation=None if any_.insecure else revocation,
        ),
        contexts, st.none() | keys, st.none() | _TRUST, clients, st.none() | revocations,
    )  # fmt: skip
    return made.filter(lambda each: each.key_store is None or each.key_store.password != each.key_store.key_password)


_REQUIRED = st.just(ClientCertificate.REQUIRED)
_RESPONDERS = st.sampled_from(["http://ocsp.shop.internal/", "https://va.shop.internal/q?a=b%20c&d"])
_MULE = _sayable(
    _KEYS,
    _REQUIRED,
    st.one_of(
        st.builds(lambda path: Revocation(crl=(path,), whole_chain=True), _PATHS),
        st.builds(lambda url: Revocation(ocsp=True, responder=url, whole_chain=True), _RESPONDERS),
        st.builds(Revocation, ocsp=st.just(True), failure=st.sampled_from(Failure), whole_chain=st.booleans()),
    ),
)
_JAVA = _sayable(
    st.builds(KeyStore, _PATHS, _KINDS, _PASSWORD),
    _REQUIRED,
    st.builds(
        Revocation,
        ocsp=st.just(True),
        responder=st.just("") | _RESPONDERS,
        whole_chain=st.booleans(),
        timeout=st.integers(1, 9999).map(lambda seconds: timedelta(seconds=seconds)),
    ),
).filter(lambda context: not context.insecure)
_SPRING = _sayable(_KEYS, st.sampled_from(ClientCertificate), st.nothing()).filter(lambda context: not context.insecure)


@given(_MULE)
def test_what_mule_can_say_comes_back(context: TlsContext) -> None:
    assert _there_and_back("mule", context) == context


@given(_JAVA)
def test_what_a_jvm_can_be_told_comes_back(context: TlsContext) -> None:
    found = _there_and_back("java", context)
    assert replace(found, name=context.name) == context  # a JVM has one context, without a name


@given(_SPRING)
def test_what_a_bundle_of_java_stores_can_say_comes_back(context: TlsContext) -> None:
    assert _there_and_back("spring", context) == context


_PEM_KEYS = st.builds(
    lambda chain, password: KeyStore("/etc/orders.key", "pem", password, chain=chain),
    st.sampled_from(["", "/etc/orders.crt"]),
    st.none() | _PASSWORD,
)


@given(_PEM_KEYS, st.sampled_from(ClientCertificate))
def test_a_bundle_of_pem_comes_back_too(key: KeyStore, clients: ClientCertificate) -> None:
    context = TlsContext("orders", key, TrustStore("/etc/roots.pem", "pem"), client_certificate=clients)
    assert _there_and_back("spring", context) == context


@given(contexts, st.sampled_from(sorted(TARGETS)))
def test_any_context_is_written_for_any_target(context: TlsContext, target: str) -> None:
    """And what is insecure is said loudly, or not written at all."""
    exported = TARGETS[target](context, BOTH)
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
        exported = TARGETS[target](context, BOTH)
        if _seen(_there_and_back(target, context)) != _seen(context):
            assert any(note.kind is not NoteKind.SAID for note in exported.notes), context.name


def _seen(context: TlsContext) -> TlsContext:
    """A context without its name, and without saying of PEM what its file's name says too."""
    key, trust = context.key_store, context.trust_store
    return replace(
        context,
        name="",
        key_store=replace(key, kind=key.kind.removeprefix("pem")) if key else None,
        trust_store=replace(trust, kind=trust.kind.removeprefix("pem")) if trust else None,
    )
