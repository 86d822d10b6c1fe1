"""A value is what its kind says, or is refused; and no error shows anything of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.agent.stores import key_stores, trust_stores
from handsel.errors import HandselError, SecretRefused, StorePasswordWrong, StoreUnreadable
from handsel.model.context import KeyStore, Password, TlsContext, TrustStore
from handsel.pki.certificate import to_pem
from handsel.pki.revocation import ListHead, make_list
from handsel.pki.secret import Secret
from handsel.secrets.checks import Beside, check, references
from handsel.secrets.model import LARGEST, Kind
from tests.secrets.things import DAY
from tests.support import NOW, TRUST_DOMAIN

PASSWORD = Secret(b"changeit-now")
CONTEXT = TlsContext(
    "shop", KeyStore(secret="orders/store.p12", password=Password(secret="orders/password")), TrustStore(authority=True)
)


def _check(kind: Kind, value: bytes, name: str = "it", password: Secret | None = None, contexts=None, names=()):
    return check(name, kind, Secret(value), Beside(password, contexts or {}, names))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.pair(TRUST_DOMAIN.workload("default", "web"))


@pytest.mark.parametrize("kind", ["pkcs12", "jks"])
def test_a_key_store_opens_with_its_password_only(pair, kind) -> None:
    (store,) = key_stores((kind,), pair, PASSWORD, NOW)
    assert f"until {pair.leaf.not_after:%Y-%m-%d}" in _check(Kind.KEY_STORE, store.content, password=PASSWORD).facts
    for wrong in (None, Secret(b"another-one")):
        with pytest.raises(HandselError, match="it: "):
            _check(Kind.KEY_STORE, store.content, password=wrong)
    with pytest.raises(StorePasswordWrong) as caught:
        _check(Kind.KEY_STORE, store.content, password=Secret(b"another-one"))
    assert "--password-secret" in caught.value.next_step


def test_a_trust_store_is_no_key_store_and_the_other_way_round(authority, pair) -> None:
    (trust,) = trust_stores(("pkcs12",), (authority.issuer.root,), PASSWORD, NOW)
    (keys,) = key_stores(("pkcs12",), pair, PASSWORD, NOW)
    assert "1 certificates" in _check(Kind.TRUST_STORE, trust.content, password=PASSWORD).facts
    with pytest.raises(SecretRefused, match="no private key"):
        _check(Kind.KEY_STORE, trust.content, password=PASSWORD)
    with pytest.raises(SecretRefused, match="trusts nobody"):
        _check(Kind.TRUST_STORE, keys.content, password=PASSWORD)


def test_what_is_no_store_is_none() -> None:
    with pytest.raises(StoreUnreadable, match="it: "):
        _check(Kind.KEY_STORE, b"my private notes")


@pytest.mark.parametrize("form", ["pem", "der"])
def test_a_certificate_ends_when_it_says(pair, form) -> None:
    value = to_pem(pair.chain) if form == "pem" else pair.leaf.der
    found = _check(Kind.CERTIFICATE, value)
    assert found.ends == pair.leaf.not_after
    assert pair.leaf.serial in found.facts
    with pytest.raises(SecretRefused, match="no certificate"):
        _check(Kind.CERTIFICATE, value[:200])


def test_a_list_of_revoked_certificates_is_read(authority) -> None:
    issuer = authority.issuer
    der = make_list(ListHead(1, NOW, NOW + DAY), [], issuer.certificate, issuer.key)
    assert "the next one by 2030-01-02" in _check(Kind.CRL, der).facts
    with pytest.raises(SecretRefused, match="no revocation list"):
        _check(Kind.CRL, der[:-1])


def test_a_password_is_one_line() -> None:
    _check(Kind.PASSWORD, "pässword with spaces".encode())
    for value in (b"two\nlines", b"end of line\n", b"zero\0"):
        with pytest.raises(SecretRefused, match="one line"):
            _check(Kind.PASSWORD, value)


def test_a_value_has_at_most_a_mebibyte_and_at_least_a_byte() -> None:
    _check(Kind.OPAQUE, b"x" * LARGEST)
    with pytest.raises(SecretRefused, match="at most 1 MiB"):
        _check(Kind.OPAQUE, b"x" * (LARGEST + 1))
    with pytest.raises(SecretRefused, match="empty"):
        _check(Kind.OPAQUE, b"")


def test_a_context_is_put_after_its_parts_in_their_group() -> None:
    assert references(CONTEXT) == ["orders/password", "orders/store.p12"]
    contexts, parts = {"shop": CONTEXT}, references(CONTEXT)
    _check(Kind.CONTEXT, b"shop\n", "orders/context", contexts=contexts, names=parts)
    for name, value, names, said in [
        ("orders/context", b"else", parts, "does not declare"),
        ("context", b"shop", parts, "of no group"),
        ("others/context", b"shop", parts, "not of the group"),
        ("orders/context", b"shop", parts[:1], "takes orders/store.p12"),
    ]:
        with pytest.raises(SecretRefused, match=said):
            _check(Kind.CONTEXT, value, name, contexts=contexts, names=names)


@given(st.sampled_from(Kind), st.binary(min_size=1, max_size=300))
def test_whatever_is_put_is_taken_or_refused_and_never_shown(kind: Kind, noise: bytes) -> None:
    value = b"Tr0ub4dor" + noise
    said = ""
    try:
        said = _check(kind, value, "group/it").facts
    except HandselError as error:
        said = f"{error!r} {error} {error.next_step}"
    assert "Tr0ub4dor" not in said
