"""SSH certificates: what is asked for badly is refused in a line, and both journal lines name what was signed."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.hazmat.primitives.serialization.ssh import load_ssh_public_identity
from hypothesis import given
from hypothesis import strategies as st

from handsel.authority import ssh
from handsel.authority.ssh import Kind, SshCa
from handsel.errors import Refused
from handsel.pki.keys import KeyType, PrivateKey
from tests.support import NOW, key_of, mutations

KEY = key_of(KeyType.ED25519).handle.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
HOUR = timedelta(hours=1)


def _draft(key: bytes = KEY, *principals: str, kind: Kind = Kind.USER, lifetime: timedelta = HOUR) -> ssh.Draft:
    return ssh.draft(kind, key, principals or ("deploy",), lifetime, by="ann", now=NOW)


@pytest.mark.parametrize("kind", [KeyType.P256, KeyType.ED25519])
def test_a_certificate_says_what_was_asked_and_is_signed_by_the_ca(kind):
    ca = SshCa.of(key_of(kind))
    made = _draft(KEY, "deploy", "ann")
    found = load_ssh_public_identity(ssh.sign(made, ca))
    found.verify_cert_signature()
    assert found.valid_principals == [b"deploy", b"ann"]
    assert (found.valid_after, found.valid_before) == (NOW.timestamp() - 60, NOW.timestamp() + 3600)
    assert found.serial == made.serial
    assert found.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) == ca.public_line()
    (before,), (after,) = made.intended(NOW), made.issued(NOW)
    assert "ssh intended" in str(before)
    assert "ssh issued" in str(after)
    assert all(str(made.serial) in str(line) and "ann" in str(line) for line in (before, after))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (lambda: _draft(KEY, ""), "no user's name"),
        (lambda: _draft(KEY, "-oProxyCommand=x"), "no user's name"),
        (lambda: _draft(KEY, "*.internal", kind=Kind.HOST), "no wildcards"),
        (lambda: _draft(KEY, "a b", kind=Kind.HOST), "no DNS name"),
        (lambda: _draft(KEY, *(f"u{n}" for n in range(33))), "1 to 32 principals"),
        (lambda: ssh.draft(Kind.USER, KEY, (), HOUR, by="ann", now=NOW), "1 to 32 principals"),
        (lambda: _draft(lifetime=timedelta(days=366)), "365 days"),
        (lambda: _draft(b"ssh-rsa AAAA"), "no public key"),
        (lambda: _draft(b"x" * 9000), "no public key"),
        (lambda: SshCa.of(key_of(KeyType.RSA2048)), "of the kind p256 or ed25519"),
    ],
)
def test_what_is_asked_for_badly_is_refused(asked, why):
    with pytest.raises(Refused, match=why):
        asked()


@given(st.one_of(st.binary(max_size=300), mutations(KEY)))
def test_bytes_of_strangers_are_a_key_or_refused(content):
    with contextlib.suppress(Refused):
        assert ssh.sign(_draft(content), SshCa.of(PrivateKey.generate()))
