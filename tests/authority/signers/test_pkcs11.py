"""Keys in a token: everything that the CA signs is signed there too, and OpenSSL believes it."""

from __future__ import annotations

import hashlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from handsel.authority import service
from handsel.authority.adapters.issuing import Issuing
from handsel.authority.adapters.signers import token_session
from handsel.authority.adapters.signers.folder import KeyFolder
from handsel.authority.adapters.signers.pkcs11 import TokenKeys
from handsel.authority.adapters.signers.token_session import TokenSession, close_all, objects
from handsel.authority.hierarchy import CaPlan
from handsel.authority.model import Domain, Host, Issuers
from handsel.authority.profile import Lifetimes, profiles
from handsel.errors import StateError
from handsel.model.token_uri import TokenUri
from handsel.pki import csr
from handsel.pki.certificate import to_pem
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.revocation import ListHead, make_list
from handsel.pki.signing import sign_der
from tests.authority.signers.token import soft_token, unload
from tests.support import NOW, TRUST_DOMAIN

KINDS = [KeyType.P256, KeyType.P384, KeyType.RSA2048, KeyType.ED25519]
WEB = TRUST_DOMAIN.workload("default", "web")


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    with soft_token(tmp_path_factory.mktemp("token")) as found:
        yield found


def _keys(uri: str, prefix: str) -> TokenKeys:
    path, _, query = uri.partition("?")
    return TokenKeys(TokenUri.parse(f"{path};object={prefix}-?{query}"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_and_a_list_signed_in_a_token_are_good_for_openssl(uri, tmp_path, kind):
    folder = KeyFolder(tmp_path / "authority", _keys(uri, f"chain-{kind}"))
    folder.make(TRUST_DOMAIN, (CaPlan(kind=kind),), now=NOW, root_kind=kind)
    issuer = folder.load("issuing", TRUST_DOMAIN)
    assert (issuer.key.kind, issuer.key.remote, issuer.key.is_quick) == (kind, True, False)
    assert not list((tmp_path / "authority").glob("*.key"))
    domain = Domain(TRUST_DOMAIN, {"web": WEB}, profiles(Lifetimes()))
    host = Host("a1", "host.example", ("web",), NOW)
    request = csr.build(PrivateKey.generate(), WEB)
    intent = service.sign_workloads(host, [("web", request)], domain=domain, issuers=Issuers.only(issuer), now=NOW)
    (leaf,) = service.issue(intent, now=NOW).answer
    crl = make_list(ListHead(1, NOW, NOW + timedelta(hours=1)), [], issuer.certificate, issuer.key)
    assert x509.load_der_x509_crl(crl).is_signature_valid(issuer.certificate.parsed.public_key())
    for name, content in (("root", (issuer.root,)), ("ca", (issuer.certificate,)), ("leaf", (leaf.certificate,))):
        (tmp_path / name).write_bytes(to_pem(content))
    crl_pem = x509.load_der_x509_crl(crl).public_bytes(serialization.Encoding.PEM)
    (tmp_path / "crl").write_bytes(crl_pem)
    checked = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-crl_check", "-CRLfile", "crl", "-attime", str(int(NOW.timestamp()) + 5),
         "-CAfile", "root", "-untrusted", "ca", "leaf"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.stdout == "leaf: OK\n", checked.stderr


# The library complains, of itself, about a search in a session that the module has forgotten.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_certificates_go_on_when_the_module_restarts_in_the_middle(uri, tmp_path, store):
    keys = _keys(uri, "restart")
    folder = KeyFolder(tmp_path / "authority", keys)
    issuer, _ = folder.open(TRUST_DOMAIN, now=NOW)
    domain = Domain(TRUST_DOMAIN, {"web": WEB}, profiles(Lifetimes()))
    issuing = Issuing(store, lambda: Issuers.only(issuer))

    async def one() -> None:
        request = csr.build(PrivateKey.generate(), WEB)
        host = Host("a1", "host.example", ("web",), NOW)
        (leaf,) = await issuing.issue(
            service.sign_workloads(host, [("web", request)], domain=domain, issuers=issuing.issuers(), now=NOW)
        )
        leaf.certificate.parsed.verify_directly_issued_by(issuer.certificate.parsed)

    await one()
    unload(str(keys._uri.module))  # every session is gone
    await one()
    again, made = KeyFolder(tmp_path / "authority", _keys(uri, "restart")).open(TRUST_DOMAIN, now=NOW)
    assert not made
    assert again.certificate == issuer.certificate


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_is_hashed_outside_the_token_gives_signatures_as_good(uri, kind):
    """As a large revocation list is."""
    key = _keys(uri, f"large-{kind}").make("issuing", kind)
    public = key.handle.public_key()
    ways = {KeyType.ED25519: (), KeyType.RSA2048: (padding.PKCS1v15(), key.digest)}
    for data in (b"x", b"x" * (1 << 17)):
        signature = sign_der(key, data)
        how = ways.get(kind, (ec.ECDSA(key.digest),) if key.digest else ())
        public.verify(signature, data, *how)
        with pytest.raises(InvalidSignature):
            public.verify(signature, data + b"y", *how)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"token": "nobody"}, "[Tt]oken"), ({"module": "/none.so"}, "cannot be loaded"),
     ({"pin_source": "/none"}, "PIN of .* cannot be read")],
)  # fmt: skip
def test_a_token_that_cannot_be_opened_is_told_in_one_line(uri, change, said):
    good = TokenUri.parse(uri)
    with pytest.raises(StateError, match=said) as caught:
        TokenKeys(replace(good, **change)).exists("root")
    assert "\n" not in str(caught.value)
    assert not TokenKeys(good).exists("nothing")


def test_many_threads_use_one_session(uri):
    key = _keys(uri, "threads").make("issuing", KeyType.P256)
    with ThreadPoolExecutor(8) as pool:
        requests = list(pool.map(lambda _: csr.build(key, None), range(40)))
    assert {csr.parse(each).public_key_der for each in requests} == {key.public_der()}


def test_threads_in_sessions_of_their_own_do_not_meet_in_the_module(uri):
    """python-pkcs11 starts a module without asking it to lock: without a lock here SoftHSM fails or hangs."""
    key = _keys(uri, "meet").make("issuing", KeyType.P256)
    said = TokenUri.parse(uri)
    sessions = [TokenSession(said.module, said.token, said.pin_source) for _ in range(4)]

    def sign(session: TokenSession) -> list[bytes]:
        return [session.sign("meet-issuing", hashlib.sha256(b"x").digest(), "ECDSA") for _ in range(100)]

    with ThreadPoolExecutor(4) as pool:
        signed = [each for found in pool.map(sign, sessions) for each in found]
    for raw in signed:
        numbers = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
        key.handle.public_key().verify(encode_dss_signature(*numbers), b"x", ec.ECDSA(key.digest))


def test_a_key_that_was_found_once_is_not_looked_for_again(uri, monkeypatch):
    """A token looks through all of its objects for a name, which takes the longer the more there are."""
    key = _keys(uri, "found").make("issuing", KeyType.P256)
    looked = []
    monkeypatch.setattr(token_session, "objects", lambda *asked: looked.append(asked) or objects(*asked))
    for _ in range(3):
        sign_der(key, b"x")
    assert len(looked) == 1
    _keys(uri, "found").remove("issuing")
    with pytest.raises(StateError, match="no keys called"):
        sign_der(key, b"x")
    again = _keys(uri, "found").make("issuing", KeyType.P256)
    assert sign_der(again, b"x")


def test_who_closes_a_token_does_not_log_others_out_for_good(uri):
    """Whoever logs out of a token does so for the whole process (PKCS #11, C_Logout)."""
    first, second = _keys(uri, "first"), _keys(uri, "second")
    key = first.make("issuing", KeyType.P256)
    second.make("issuing", KeyType.P256)
    second.close()
    assert sign_der(key, b"x")
    second.close()
    assert first.exists("issuing")


def test_a_pin_that_everybody_reads_is_refused_and_a_private_one_works(uri, tmp_path):
    path = tmp_path / "pin"
    path.write_bytes(Path(TokenUri.parse(uri).pin_source).read_bytes())
    keys = TokenKeys(replace(TokenUri.parse(uri), pin_source=str(path)))
    path.chmod(0o644)
    with pytest.raises(StateError, match="can be read by everybody") as caught:
        keys.exists("nothing")
    assert "chmod 600" in caught.value.next_step
    path.chmod(0o600)
    assert not keys.exists("nothing")


@pytest.mark.parametrize("kind", [KeyType.MLDSA44, KeyType.MLDSA65, KeyType.MLDSA87])
def test_a_kind_of_key_that_the_token_does_not_make_is_told_in_one_line(uri, kind):
    with pytest.raises(StateError, match=f"makes no {kind} keys here"):
        _keys(uri, f"kind-{kind}").make("issuing", kind)
    assert not _keys(uri, f"kind-{kind}").exists("issuing")


def test_a_key_of_a_token_is_found_removed_and_never_shown(uri):
    keys = _keys(uri, "life")
    assert not keys.exists("root")
    made = keys.make("root", KeyType.P256)
    assert keys.exists("root")
    assert keys.make("root", KeyType.P256).public_der() == made.public_der()
    with pytest.raises(TypeError, match="never shown"):
        made.pem()
    with pytest.raises(StateError, match="is p256, not p384"):
        keys.make("root", KeyType.P384)
    keys.remove("root")
    assert not keys.exists("root")
    with pytest.raises(StateError, match="no keys called"):
        keys.load("root")


def test_a_wrong_pin_is_told_in_one_line_and_the_right_one_works(uri, tmp_path):
    (tmp_path / "pin").touch(0o600)
    (tmp_path / "pin").write_text("0000-0000")
    path, _, query = uri.partition("?")
    module = query.partition("&")[0]
    close_all()
    unload(module.removeprefix("module-path="))
    wrong = TokenKeys(TokenUri.parse(f"{path}?{module}&pin-source={tmp_path}/pin"))
    with pytest.raises(StateError, match="does not do it"):
        wrong.exists("root")
    assert not TokenKeys(TokenUri.parse(uri)).exists("nothing")


def test_a_second_authority_does_not_take_the_keys_of_the_first(uri, tmp_path):
    """The same `object=` in one token: without a look they would share the root's key."""
    first = KeyFolder(tmp_path / "first", _keys(uri, "shared"))
    first.make(TRUST_DOMAIN, (CaPlan(),), now=NOW)
    with pytest.raises(StateError, match="a root's key already") as caught:
        KeyFolder(tmp_path / "second", _keys(uri, "shared")).make(TRUST_DOMAIN, (CaPlan(),), now=NOW)
    assert "choose another object=" in caught.value.next_step
    assert not (tmp_path / "second" / "root.crt").exists()
    KeyFolder(tmp_path / "second", _keys(uri, "another")).make(TRUST_DOMAIN, (CaPlan(),), now=NOW)
    assert first.load("issuing", TRUST_DOMAIN).key.public_der()
