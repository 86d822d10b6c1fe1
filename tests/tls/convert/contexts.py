"""Contexts for tests: those of the golden files, and any that a mesh file can declare."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from hypothesis import strategies as st

from handsel.documents import yaml
from handsel.model.context import (
    PROTOCOLS,
    ClientCertificate,
    Contexts,
    Failure,
    KeyStore,
    Password,
    Revocation,
    TlsContext,
    TrustStore,
)
from handsel.model.context_file import parse_contexts
from handsel.tls.convert import suites

GOLDEN = Path(__file__).parents[2] / "golden" / "contexts"


def golden() -> Contexts:
    """The contexts of the golden files."""
    return read(GOLDEN.joinpath("handsel.yaml").read_bytes())


def read(text: str | bytes) -> Contexts:
    """What a mesh file declares; paths stay as they are."""
    content = text if isinstance(text, bytes) else text.encode()
    return parse_contexts(yaml.parse(content, "handsel.yaml"), lambda path: path).contexts


_VARIABLES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,30}", fullmatch=True)
_TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="~"), min_size=1, max_size=20)
_PATHS = _TEXT.map(lambda text: f"/etc/{text}")
_NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8})?", fullmatch=True)
_PASSWORDS = st.one_of(
    st.builds(Password, file=_PATHS),
    st.builds(Password, variable=_VARIABLES),
    st.builds(Password, secret=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)),
)
_KINDS = st.sampled_from(["", "jks", "jceks", "pkcs12", "bcfks", "pem"])
_KEY_STORES = st.one_of(
    st.just(KeyStore(authority=True)),
    st.builds(
        KeyStore,
        _PATHS,
        _KINDS,
        st.none() | _PASSWORDS,
        st.none() | _PASSWORDS,
        st.just("") | _TEXT,
        st.just("") | _PATHS,
    ),
)
_TRUST_STORES = st.one_of(
    st.just(TrustStore(authority=True)),
    st.just(TrustStore(system=True)),
    st.builds(TrustStore, _PATHS, _KINDS, st.none() | _PASSWORDS),
)
_ADDRESSES = st.sampled_from(["http://ocsp.shop.internal/", "https://va.shop.internal/q?a=b%20c"])
_REVOCATIONS = st.builds(
    lambda crl, ocsp, responder, failure, whole, timeout: Revocation(
        tuple(crl), ocsp or bool(responder) or not crl, responder, failure, whole, timedelta(milliseconds=timeout)
    ),
    st.lists(_PATHS | _ADDRESSES, max_size=3), st.booleans(), st.just("") | _ADDRESSES, st.sampled_from(Failure),
    st.booleans(), st.integers(1, 10**9),
)  # fmt: skip
_PEERS = st.sampled_from(["spiffe://shop.internal/ns/a/sa/b", "billing.shop.internal", "*.shop.internal"])
_CIPHERS = st.lists(st.sampled_from(sorted(suites.IANA)), unique=True, max_size=4).map(tuple)
_PROTOCOLS = st.sampled_from([PROTOCOLS, ("TLSv1.2",), ("TLSv1.3",)])


def _made(name, key, trust, protocols, ciphers, alpn, clients, peers, revocation, insecure) -> TlsContext:
    """What contradicts the rest is left out."""
    return TlsContext(
        name, key, None if insecure else trust, protocols, ciphers if "TLSv1.2" in protocols else (), tuple(alpn), clients,
        () if insecure else tuple(peers), None if insecure else revocation, insecure,
    )  # fmt: skip


contexts = st.builds(
    _made, _NAMES, st.none() | _KEY_STORES, st.none() | _TRUST_STORES, _PROTOCOLS, _CIPHERS,
    st.lists(st.sampled_from(["h2", "http/1.1"]), unique=True), st.sampled_from(ClientCertificate),
    st.lists(_PEERS, unique=True), st.none() | _REVOCATIONS, st.booleans(),
)  # fmt: skip
"""Any context that a mesh file can declare."""
