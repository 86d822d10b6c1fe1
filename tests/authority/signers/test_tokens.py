"""Keys in a PKCS #11 token: they sign whatever a CA signs, never leave it, and are found again."""

from __future__ import annotations

import copy
import itertools
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from handsel.authority import ca
from handsel.authority.adapters.signers import KeyFolder
from handsel.authority.adapters.signers.pkcs11 import TokenKeys, TokenUri
from handsel.authority.hierarchy import CaPlan
from handsel.authority.model import Approval, CheckedDraft
from handsel.authority.service import random_serial
from handsel.authority.va import lists
from handsel.errors import StateError, UsageError
from handsel.model.authority import Profile
from handsel.pki.certificate import to_pem
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.names import Names
from handsel.pki.signing import sign_der
from tests.support import TRUST_DOMAIN

KINDS = (KeyType.P256, KeyType.P384, KeyType.RSA2048, KeyType.ED25519)
_numbers = itertools.count()


@pytest.fixture
def uri(softhsm):
    """The token, with names of keys that no other test has."""
    return replace(TokenUri.parse(softhsm), prefix=f"test-{next(_numbers)}-")


@pytest.fixture
def keys(uri):
    found = TokenKeys(uri)
    yield found
    found.close()


def _leaf(issuer, now):
    names = Names(dns=("shop.internal",))
    profile = Profile("web", timedelta(hours=1))
    approval = Approval(names, None, PrivateKey.generate().handle.public_key(), profile, profile.lifetime, "test")
    return ca.sign(CheckedDraft(ca.prepare(approval, issuer, serial=random_serial(), now=now)))


def _openssl_verify(folder, root, *chain):
    leaf, *between = chain
    for name, certificates in (("root", (root,)), ("between", between), ("leaf", (leaf,))):
        (folder / f"{name}.pem").write_bytes(to_pem(tuple(certificates)))
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "between.pem", "leaf.pem"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_whole_authority_in_a_token_is_believed_by_openssl(keys, tmp_path, kind):
    now = datetime.now(UTC)
    folder = KeyFolder(tmp_path / "authority", keys)
    folder.make(TRUST_DOMAIN, (CaPlan(kind=kind),), now=now, root_kind=kind)
    issuer = folder.load("issuing", TRUST_DOMAIN)
    leaf = _leaf(issuer, now)
    done = _openssl_verify(tmp_path, issuer.root, *leaf.chain)
    assert done.returncode == 0, done.stderr
    other = ca.make_root(TRUST_DOMAIN, PrivateKey.generate(kind), serial=random_serial(), now=now)
    assert _openssl_verify(tmp_path, other, *leaf.chain).returncode != 0
    crl = x509.load_der_x509_crl(lists.mesh_crl(issuer, [], number=1, sequence=0, now=now).der)
    assert crl.is_signature_valid(issuer.key.handle.public_key())
    assert not [path for path in (tmp_path / "authority").iterdir() if path.suffix == ".key"]


def test_an_authority_that_is_opened_again_is_the_same(uri, tmp_path):
    now = datetime.now(UTC)
    before, made = KeyFolder(tmp_path, TokenKeys(uri)).open(TRUST_DOMAIN, now=now)
    again, made_again = KeyFolder(tmp_path, TokenKeys(uri)).open(TRUST_DOMAIN, now=now)
    assert (made, made_again) == (True, False)
    assert (again.root, again.certificate) == (before.root, before.certificate)
    assert _openssl_verify(tmp_path, before.root, *_leaf(again, now).chain).returncode == 0
    assert KeyFolder(tmp_path, TokenKeys(uri)).pins()[0] == before.root.pin


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_key_of_a_token_signs_and_is_never_shown(keys, kind):
    key = keys.make("one", kind)
    assert key.kind is kind
    assert not key.is_quick
    for ask in (key.pem, lambda: copy.deepcopy(key.handle).private_bytes(None, None, None)):
        with pytest.raises(TypeError, match="never shown"):
            ask()
    for size in (10, 1 << 17):  # large data is hashed outside the token
        data = b"x" * size
        signature = sign_der(key, data)
        _verify(key, signature, data)
        with pytest.raises(InvalidSignature):
            _verify(key, signature, data + b"y")


def _verify(key, signature, data):
    public = key.handle.public_key()
    match key.kind:
        case KeyType.P256 | KeyType.P384:
            public.verify(signature, data, ec.ECDSA(key.digest))
        case KeyType.ED25519:
            public.verify(signature, data)
        case _:
            public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())


def test_threads_share_a_token(keys):
    key = keys.make("one", KeyType.P256)
    with ThreadPoolExecutor(8) as threads:
        signed = list(threads.map(lambda number: (sign_der(key, b"%d" % number), b"%d" % number), range(100)))
    for signature, data in signed:
        _verify(key, signature, data)


# The library says of a search in a session that is gone, when it is forgotten, that it cannot be ended.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_session_that_was_lost_is_opened_again(keys):
    key = keys.make("one", KeyType.P256)
    keys._session.close()  # as after the token was taken out and put back
    _verify(key, sign_der(key, b"data"), b"data")


def test_what_is_there_is_kept_and_never_made_over(keys):
    first = keys.make("one", KeyType.P256)
    assert keys.make("one", KeyType.P256).pin() == first.pin()
    with pytest.raises(StateError, match="is p256, not p384"):
        keys.make("one", KeyType.P384)
    assert keys.exists("one")
    keys.remove("one")
    assert not keys.exists("one")
    with pytest.raises(StateError, match="no keys called"):
        keys.load("one")


def test_a_kind_that_no_token_makes_is_told(keys):
    with pytest.raises(StateError, match="makes no mldsa65 keys"):
        keys.make("one", KeyType.MLDSA65)


def test_what_is_wrong_with_a_token_is_one_line(uri, tmp_path):
    wrong_pin, none = tmp_path / "pin", tmp_path / "none"
    wrong_pin.write_text("0000")
    for broken, why in (
        (replace(uri, token="nobody"), "token|Token"),
        (replace(uri, pin_source=none), "PIN of .* cannot be read"),
        (replace(uri, module=none), "cannot be loaded"),
        (replace(uri, pin_source=wrong_pin), "Pin|PIN"),
    ):
        other = TokenKeys(broken)
        with pytest.raises(StateError, match=why) as caught:
            other.exists("one")
        assert "\n" not in str(caught.value)
        assert "0000" not in str(caught.value)
    assert TokenKeys(uri).exists("one") is False


def test_a_uri_says_module_token_and_the_file_of_the_pin():
    """RFC 7512, section 2.3."""
    text = "pkcs11:token=The%20CA;object=ca-?module-path=/lib/module.so&pin-source=file:/run/pin"
    found = TokenUri.parse(text)
    assert (str(found.module), found.token, str(found.pin_source), found.prefix) == (
        "/lib/module.so", "The CA", "/run/pin", "ca-",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("file:/a", "starts with pkcs11:"),
        ("pkcs11:", "does not say its token"),
        ("pkcs11:token=a", "does not say its module-path"),
        ("pkcs11:token=a?module-path=/m", "does not say its pin-source"),
        ("pkcs11:token=a;token=b?module-path=/m&pin-source=/p", "twice"),
        ("pkcs11:token=a?module-path=/m&pin-source=/p&pin-value=1234", "no place in a setting"),
        ("pkcs11:token=a;slot-id=4?module-path=/m&pin-source=/p", "'slot-id'"),
        ("pkcs11:" + "a" * 5000, "starts with pkcs11:"),
    ],
)
def test_a_uri_that_is_none_is_refused_with_its_cause(text, why):
    with pytest.raises(UsageError, match=why):
        TokenUri.parse(text)
