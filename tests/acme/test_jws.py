"""Signatures, keys and states of ACME, against the examples of their standards."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.acme import jws, lifecycle
from handsel.acme.lifecycle import Status, may_follow
from handsel.acme.problems import Identifier, Problem, malformed

# RFC 7515, appendix A.3; in flattened form.
ES256 = {
    "protected": "eyJhbGciOiJFUzI1NiJ9",
    "payload": "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    "signature": "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
}
ES256_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
# RFC 8037, appendices A.2 to A.4.
ED25519_KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
ED25519 = {
    "protected": "eyJhbGciOiJFZERTQSJ9",
    "payload": "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
    "signature": "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
}
# RFC 7638, section 3.1.
RSA_KEY = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o"
    "knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q"
    "MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJz"
    "KnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}


@pytest.mark.parametrize(("message", "key"), [(ES256, ES256_KEY), (ED25519, ED25519_KEY)])
def test_the_signatures_of_the_standards_hold(message: dict[str, str], key: dict[str, str]) -> None:
    """RFC 7515 A.3, RFC 8037 A.4; and with one bit changed they do not."""
    parsed, jwk = jws.parse(message), jws.read_key(key)
    jws.verify(parsed, jwk.key)
    other = bytearray(parsed.signature)
    other[7] ^= 1
    with pytest.raises(Problem):
        jws.verify(jws.parse({**message, "signature": jws.encode(bytes(other))}), jwk.key)


def test_the_thumbprints_of_the_standards() -> None:
    """RFC 7638 §3.1, RFC 8037 A.3; §8.1 the key authorization is token, dot, thumbprint."""
    assert jws.read_key(RSA_KEY).thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    thumbprint = jws.read_key(ED25519_KEY).thumbprint
    assert thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert jws.key_authorization("token", thumbprint) == f"token.{thumbprint}"


@given(st.binary(max_size=200))
def test_base64url_has_one_spelling(content: bytes) -> None:
    text = jws.encode(content)
    assert jws.decode(text, "it") == content
    for other in (text + "=", text + "\n", " " + text, text + "A" * (1 + (-len(text) % 4 == 1)) + "=="):
        with pytest.raises(Problem):
            jws.decode(other, "it")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.fixed_dictionaries({}, optional={"protected": _JSON, "payload": _JSON, "signature": _JSON, "header": _JSON}))
def test_any_json_is_a_request_or_malformed(message: dict[str, object]) -> None:
    with pytest.raises(Problem) as refused:
        jws.verify(jws.parse(json.dumps(message).encode()), jws.read_key(ES256_KEY).key)
    assert refused.value.kind in ("malformed", "badSignatureAlgorithm")


@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "k"]), _JSON | st.sampled_from(
    ["EC", "OKP", "RSA", "oct", "P-256", "P-384", "Ed25519", *ES256_KEY.values(), "AQAB"]
), max_size=6))  # fmt: skip
def test_any_object_is_a_key_or_refused(members: dict[str, object]) -> None:
    try:
        assert jws.read_key(members).thumbprint
    except Problem as problem:
        assert problem.kind in ("malformed", "badPublicKey")  # noqa: PT017  # either way is right


def test_keys_that_occur_twice_are_refused() -> None:
    """One reader may see the first, another the second."""
    with pytest.raises(Problem):
        jws.parse(b'{"protected":"e30","payload":"","signature":"","payload":"e30"}')
    assert jws.parse(b'{"protected":"e30","payload":"","signature":""}').payload == b""


def test_final_states_are_final() -> None:
    """§7.1.6."""
    for status in Status:
        assert not may_follow(lifecycle.ORDER, Status.VALID, status)
        assert not may_follow(lifecycle.ORDER, Status.INVALID, status)
        assert not may_follow(lifecycle.AUTHORIZATION, Status.INVALID, status)
        assert not may_follow(lifecycle.CHALLENGE, Status.VALID, status)
        assert not may_follow(lifecycle.ACCOUNT, Status.DEACTIVATED, status)
    assert may_follow(lifecycle.ORDER, Status.READY, Status.PROCESSING)
    assert may_follow(lifecycle.ORDER, Status.PROCESSING, Status.VALID)
    assert not may_follow(lifecycle.ORDER, Status.PENDING, Status.VALID)


def test_problem_documents() -> None:
    """§6.7 The URN, a status, the identifier of a subproblem."""
    inner = Problem("caa", "no", identifier=Identifier("dns", "a.internal"))
    document = Problem("compound", "some", subproblems=[inner], algorithms=["ES256"]).to_json()
    assert document["type"] == "urn:ietf:params:acme:error:compound"
    assert document["subproblems"][0]["identifier"] == {"type": "dns", "value": "a.internal"}
    assert (document["status"], document["subproblems"][0]["status"]) == (400, 403)
    assert document["algorithms"] == ["ES256"]
    assert "identifier" not in malformed("x").to_json()
