"""SPIFFE bundles: what is written is read, what is not known is left out, and whatever else comes is refused in order."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey

from handsel.authority import ca, jwt, spiffe_bundle
from handsel.authority.service import random_serial
from handsel.authority.spiffe_bundle import JwtAuthority, SpiffeBundle
from handsel.pki.certificate import Certificate
from handsel.pki.keys import KeyType, PrivateKey
from tests.support import NOW, TRUST_DOMAIN, TestAuthority, key_of, mutations

AUTHORITY = TestAuthority.make()
LEAF = AUTHORITY.pair(TRUST_DOMAIN.workload("default", "web")).leaf


def _root(kind: KeyType) -> Certificate:
    return ca.make_root(TRUST_DOMAIN, key_of(kind), serial=random_serial(), now=NOW)


KINDS = (KeyType.P256, KeyType.P384, KeyType.ED25519, KeyType.RSA2048, KeyType.MLDSA44)
ROOTS = [_root(kind) for kind in KINDS]
KEYS = [jwt.public_of(PrivateKey.generate()) for _ in range(3)]
KEYS += [JwtAuthority.of("rsa", RSAKey.import_key(key_of(KeyType.RSA2048).handle).as_dict(private=False))]
KEYS += [JwtAuthority.of("p384", ECKey.import_key(key_of(KeyType.P384).handle).as_dict(private=False))]

bundles = st.builds(
    SpiffeBundle,
    st.just(TRUST_DOMAIN),
    st.lists(st.sampled_from(ROOTS), unique=True).map(tuple),
    st.lists(st.sampled_from(KEYS), unique=True).map(tuple),
    st.none() | st.integers(0, 2**63 - 1),
    st.none() | st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
)
WHOLE = SpiffeBundle(TRUST_DOMAIN, tuple(ROOTS), tuple(KEYS), 7, timedelta(minutes=5))


@given(bundles)
def test_what_is_written_is_read(bundle):
    assert spiffe_bundle.read(spiffe_bundle.write(bundle), TRUST_DOMAIN) == bundle


def test_the_document_is_as_the_standards_say():
    document = json.loads(spiffe_bundle.write(WHOLE))
    assert document["spiffe_sequence"] == 7
    assert document["spiffe_refresh_hint"] == 300
    cas = [each for each in document["keys"] if each["use"] == "x509-svid"]
    tokens = [each for each in document["keys"] if each["use"] == "jwt-svid"]
    assert len(cas) + len(tokens) == len(document["keys"]) == len(ROOTS) + len(KEYS)
    assert all(len(each["x5c"]) == 1 and "kid" not in each for each in cas)
    assert [base64.b64decode(each["x5c"][0]) for each in cas] == [each.der for each in ROOTS]
    assert all(each["kid"] and "x5c" not in each for each in tokens)
    assert not any("d" in each for each in document["keys"])  # nothing private
    for root, each in zip(ROOTS, cas, strict=True):  # the members are the certificate's own key
        reader = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}.get(each["kty"])
        if reader is not None:
            members = {name: value for name, value in each.items() if name not in ("use", "x5c")}
            assert reader.import_key(members).public_key == root.parsed.public_key()


def test_the_keys_for_tokens_alone_are_what_the_workload_api_hands_over():
    told = json.loads(WHOLE.jwks)
    assert [each["kid"] for each in told["keys"]] == [each.kid for each in KEYS]
    assert all("x5c" not in each for each in told["keys"])


UNKNOWN = [
    {"kty": "oct", "use": "jwt-svid", "kid": "a", "k": "AAAA"},
    {"kty": "XYZ", "use": "x509-svid", "x5c": ["what?", 7]},
    {"kty": "EC", "crv": "secp256k1", "use": "jwt-svid", "kid": "b", "x": "AA", "y": "AA"},
    {"kty": "OKP", "crv": "Ed25519", "use": "jwt-svid", "kid": "c", "x": "AA"},
    {"kty": "EC", "use": "wit-svid", "kid": "d"},
    {"kty": "EC", "kid": "no use"},
    {"use": "jwt-svid", "kid": "no type"},
    {"kty": ["EC"], "use": "jwt-svid", "kid": "e"},
    {"kty": "EC", "use": ["jwt-svid"], "kid": "f"},
    {},
]


@given(bundles, st.lists(st.sampled_from(UNKNOWN)), st.randoms(use_true_random=False))
def test_keys_of_other_kinds_and_uses_are_left_out(bundle, unknown, random):
    document = json.loads(spiffe_bundle.write(bundle))
    places = sorted(random.randint(0, len(document["keys"])) for _ in unknown)
    for place, each in zip(reversed(places), unknown, strict=True):
        document["keys"].insert(place, each)
    document["something"] = {"new": True}
    assert spiffe_bundle.read(json.dumps(document).encode(), TRUST_DOMAIN) == bundle


def _document(**changes: object) -> bytes:
    return json.dumps({**json.loads(spiffe_bundle.write(WHOLE)), **changes}).encode()


def _with(**changes: object) -> bytes:
    """One key, changed."""
    first = json.loads(spiffe_bundle.write(WHOLE))["keys"][0 if "x5c" in changes else -1]
    changed = {name: value for name, value in {**first, **changes}.items() if value is not None}
    return json.dumps({"keys": [changed]}).encode()


def _x5c(der: bytes) -> str:
    return base64.b64encode(der).decode()


HOSTILE = {
    "nothing": b"",
    "no_json": b"-----BEGIN CERTIFICATE-----",
    "a_list": b"[]",
    "no_keys": b"{}",
    "keys_are_none": b'{"keys":null}',
    "a_key_is_text": b'{"keys":["EC"]}',
    "deep": b'{"keys":' + b"[" * 100_000,
    "a_long_number": b'{"keys":[],"spiffe_sequence":' + b"9" * 10_000 + b"}",
    "not_a_number": b'{"keys":[],"spiffe_sequence":NaN}',
    "not_utf8": b'{"keys":[],"\xff":1}',
    "too_large": b" " * (spiffe_bundle.LARGEST + 1),
    "sequence_is_text": _document(spiffe_sequence="7"),
    "sequence_is_true": _document(spiffe_sequence=True),
    "sequence_is_half": _document(spiffe_sequence=1.5),
    "sequence_is_negative": _document(spiffe_sequence=-1),
    "sequence_is_too_large": _document(spiffe_sequence=2**63),
    "hint_is_endless": _document(spiffe_refresh_hint=10**12),
    "too_many_keys": json.dumps({"keys": [{}] * 257}).encode(),
    "no_certificate": _with(x5c=[]),
    "two_certificates": _with(x5c=[_x5c(ROOTS[0].der)] * 2),
    "certificate_is_a_number": _with(x5c=[7]),
    "certificate_is_no_base64": _with(x5c=["*"]),
    "certificate_is_noise": _with(x5c=[_x5c(b"noise")]),
    "certificate_is_a_leaf": _with(x5c=[_x5c(LEAF.der)]),
    "no_kid": _with(kid=None),
    "kid_is_a_number": _with(kid=7),
    "kid_is_empty": _with(kid=""),
    "no_point": _with(x=None),
    "a_point_off_the_curve": _with(x="AA"),
    "a_point_is_a_number": _with(x=7),
    "a_curve_is_a_list": _with(crv=["P-256"]),
    "the_same_kid_twice": json.dumps({"keys": [json.loads(spiffe_bundle.write(WHOLE))["keys"][-1]] * 2}).encode(),
    "a_short_rsa_key": json.dumps(
        {"keys": [{"kty": "RSA", "use": "jwt-svid", "kid": "short", "n": "w" * 170 + "A", "e": "AQAB"}]}
    ).encode(),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_bundle_is_refused(content):
    with pytest.raises(ValueError, match=r"\w"):
        spiffe_bundle.read(content, TRUST_DOMAIN)
    assert spiffe_bundle.read(spiffe_bundle.write(WHOLE), TRUST_DOMAIN) == WHOLE  # the control


def test_no_keys_at_all_is_a_bundle_too():
    assert spiffe_bundle.read(b'{"keys":[]}', TRUST_DOMAIN) == SpiffeBundle(TRUST_DOMAIN, (), ())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["kty", "use", "kid", "x5c", "crv", "x", "y", "n", "e", "alg"])
entries = st.dictionaries(names, values | st.sampled_from(["EC", "RSA", "jwt-svid", "x509-svid", "P-256", "AQAB"]))
documents = st.fixed_dictionaries(
    {},
    optional={"keys": st.lists(entries | values, max_size=3), "spiffe_sequence": values, "spiffe_refresh_hint": values},
)


@given(
    documents.map(lambda document: json.dumps(document).encode()) | mutations(spiffe_bundle.write(WHOLE)) | st.binary()
)
@example(b'{"keys":[{"kty":"EC","use":"jwt-svid","kid":"a","crv":"P-256","x":"","y":""}]}')
@pytest.mark.filterwarnings("ignore::UserWarning")  # cryptography warns of odd certificates that it takes
def test_whatever_comes_is_a_bundle_or_refused_in_order(content):
    with contextlib.suppress(ValueError):
        found = spiffe_bundle.read(content, TRUST_DOMAIN)
        assert spiffe_bundle.read(spiffe_bundle.write(found), TRUST_DOMAIN) == found
