"""Whether a JWT-SVID that somebody shows is believed: only a whole one, for us, in time, by a key of its trust domain."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt as jose
from joserfc.jwk import ECKey, OctKey, RSAKey

from handsel.agent import jwt
from handsel.agent.jwt import Kept
from handsel.errors import Refused
from handsel.link.jwt import JwtResponse
from handsel.pki.keys import KeyType, PrivateKey
from tests.support import NOW, key_of

EC = ECKey.import_key(PrivateKey.generate().handle)
P384 = ECKey.import_key(key_of(KeyType.P384).handle)
RSA = RSAKey.import_key(key_of(KeyType.RSA2048).handle)
STRANGER = ECKey.import_key(PrivateKey.generate().handle)
HERE, THERE = "spiffe://here.internal", "spiffe://there.internal"
SUBJECT = f"{HERE}/ns/default/sa/web"


def _listed(**keys: ECKey | RSAKey) -> bytes:
    return json.dumps({"keys": [{**key.as_dict(private=False), "kid": kid} for kid, key in keys.items()]}).encode()


BUNDLES = {HERE: _listed(ec=EC, rsa=RSA, p384=P384), THERE: _listed(ec=STRANGER)}
CLAIMS = {"sub": SUBJECT, "aud": ["bank", "shop"], "exp": int(NOW.timestamp()) + 60, "iat": int(NOW.timestamp())}


def _token(key=EC, header=None, algorithm="ES256", **changes) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    head = {"alg": algorithm, "kid": "ec", **(header or {})}
    return jose.encode({k: v for k, v in head.items() if v is not None}, claims, key, algorithms=[algorithm])


def _part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _signed(header: dict[str, object]) -> str:
    """A token with any header, signed as it should be."""
    what = f"{_part(header)}.{BODY}"
    r, s = decode_dss_signature(EC.private_key.sign(what.encode(), ec.ECDSA(hashes.SHA256())))
    both = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{what}.{base64.urlsafe_b64encode(both).decode().rstrip('=')}"


def _validate(token: str, audience: str = "bank", now=NOW):
    return jwt.validate(token, audience, BUNDLES, now)


GOOD = {
    "ES256": (EC, "ec", "ES256"),
    "ES384": (P384, "p384", "ES384"),
    "RS256": (RSA, "rsa", "RS256"),
    "PS512": (RSA, "rsa", "PS512"),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("typ", [None, "JWT", "JOSE"])
@pytest.mark.parametrize("audience", ["bank", ["bank"], ["bank", "shop"]], ids=["text", "one", "two"])
def test_a_good_token_is_believed(name, typ, audience):
    key, kid, algorithm = GOOD[name]
    subject, claims = _validate(_token(key, {"kid": kid, "typ": typ}, algorithm, aud=audience))
    assert str(subject) == SUBJECT
    assert claims["aud"] == audience


def _public_pem() -> bytes:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return key_of(KeyType.RSA2048).handle.public_key().public_bytes(serialization.Encoding.PEM, spki)


HEAD, BODY, SIGNATURE = _token().split(".")
BAD = {
    "nothing": "",
    "no_token": "token",
    "none": f"{_part({'alg': 'none', 'kid': 'ec'})}.{BODY}.",
    "none_with_the_signature": f"{_part({'alg': 'none', 'kid': 'ec'})}.{BODY}.{SIGNATURE}",
    "none_in_capitals": f"{_part({'alg': 'NONE', 'kid': 'ec'})}.{BODY}.",
    "no_algorithm": f"{_part({'kid': 'ec'})}.{BODY}.{SIGNATURE}",
    "algorithm_is_a_list": f"{_part({'alg': ['ES256'], 'kid': 'ec'})}.{BODY}.{SIGNATURE}",
    "a_mac_with_the_public_key": _token(OctKey.import_key(base64.b64encode(_public_pem())), {"kid": "rsa"}, "HS256"),
    "another_algorithm_of_the_key": f"{_part({'alg': 'RS256', 'kid': 'ec'})}.{BODY}.{SIGNATURE}",
    "unsigned": f"{HEAD}.{BODY}.",
    "json_serialization": json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}),
    "no_kid": _token(header={"kid": None}),
    "kid_of_nobody": _token(header={"kid": "another"}),
    "kid_of_another_key": _token(header={"kid": "rsa"}),
    "a_stranger": _token(STRANGER),
    "its_own_key": _token(STRANGER, {"jwk": STRANGER.as_dict(private=False)}),
    "other_type": _token(header={"typ": "at+jwt"}),
    "critical": _signed({"alg": "ES256", "kid": "ec", "crit": ["x"], "x": 1}),
    "for_somebody_else": _token(aud=["another"]),
    "for_part_of_us": _token(aud="ban"),
    "for_nobody": _token(aud=[]),
    "no_audience": _token(aud=None),
    "audience_is_an_object": _token(aud={"bank": 1}),
    "ended": _token(exp=int(NOW.timestamp())),
    "no_end": _token(exp=None),
    "end_is_text": _token(exp="tomorrow"),
    "end_is_true": _token(exp=True),
    "end_is_beyond_time": _token(exp=10**18),
    "not_yet": _token(nbf=int(NOW.timestamp()) + 1),
    "no_subject": _token(sub=None),
    "subject_is_no_id": _token(sub="web"),
    "subject_is_a_number": _token(sub=7),
    "subject_is_a_trust_domain": _token(sub=HERE),
    "subject_of_another_trust_domain": _token(sub=f"{THERE}/ns/default/sa/web"),
    "subject_of_an_unknown_trust_domain": _token(sub="spiffe://nowhere.internal/web"),
    "too_long": _token(more="x" * jwt.LONGEST_TOKEN),
    "too_deep": _token(more=json.loads("[" * 40 + "]" * 40)),
    "a_number_that_is_no_double": _token(more=10**400),
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
def test_a_bad_one_is_refused(token):
    with pytest.raises(Refused, match=r"\w"):
        _validate(token)
    assert str(_validate(_token())[0]) == SUBJECT  # the control


def test_a_token_of_another_trust_domain_is_checked_with_its_keys_alone():
    theirs = _token(STRANGER, sub=f"{THERE}/bank")
    assert str(_validate(theirs)[0]) == f"{THERE}/bank"
    with pytest.raises(Refused, match="not believed"):
        jwt.validate(theirs, "bank", {HERE: BUNDLES[HERE]}, NOW)
    with pytest.raises(Refused):
        jwt.validate(theirs, "bank", {**BUNDLES, THERE: b'{"keys":[]}'}, NOW)


def test_the_test_signs_as_it_should():
    assert _validate(_signed({"alg": "ES256", "kid": "ec"}))


def test_an_audience_is_asked_for_and_time_goes_by():
    with pytest.raises(Refused, match="audience"):
        _validate(_token(aud=["", "bank"]), "")
    assert _validate(_token(), now=NOW + timedelta(seconds=59))
    with pytest.raises(Refused, match="ended"):
        _validate(_token(), now=NOW + timedelta(seconds=60))


TOKEN = _token()


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("ABCxyz019-_.=+/ \n"))
def test_no_letter_of_a_token_can_be_changed(place, letter):
    changed = TOKEN[:place] + letter + TOKEN[place + 1 :]
    if _same(changed, TOKEN):
        return
    with pytest.raises(Refused):
        _validate(changed)


def _same(one: str, other: str) -> bool:
    """Whether two texts are the same bytes: the last letter of a part has bits that say nothing."""

    def read(text: str) -> list[bytes]:
        return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in text.split(".")]

    try:
        return one == other or (one.split(".")[:2] == other.split(".")[:2] and read(one) == read(other))
    except ValueError:
        return False


@given(
    st.text(max_size=60)
    | st.lists(st.binary(max_size=30), min_size=3, max_size=3).map(
        lambda parts: ".".join(base64.urlsafe_b64encode(each).decode().rstrip("=") for each in parts)
    )
)
def test_whatever_comes_is_refused_in_order(text):
    with pytest.raises(Refused):
        _validate(text)


def test_tokens_are_kept_for_half_of_their_life_and_not_without_end():
    kept = Kept()
    for number in range(1000):
        token = JwtResponse(f"token {number}", NOW + timedelta(seconds=100))
        kept = kept.having((f"audience {number}",), token, NOW)
    assert len(kept.tokens) == 256
    found = kept.of(("audience 999",), NOW + timedelta(seconds=49))
    assert found
    assert found.token == "token 999"
    assert kept.of(("audience 999",), NOW + timedelta(seconds=50)) is None
    assert kept.of(("audience 0",), NOW) is None
    assert len(kept.having(("another",), token, NOW + timedelta(seconds=50)).tokens) == 1
