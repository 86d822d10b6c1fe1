"""Secrets are checked before any Envoy gets them: it would refuse a bad one, and good ones after it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from handsel.pki.certificate import to_pem
from handsel.pki.keys import PrivateKey
from handsel.pki.secret import Secret
from handsel.xds import secret
from tests.support import NOW, TRUST_DOMAIN

WEB = TRUST_DOMAIN.workload("default", "web")


def test_a_pair_that_fits_is_a_secret_with_both(authority):
    pair = authority.pair(WEB)
    made = secret.tls_certificate("default", to_pem(pair.chain), pair.key.pem(), now=NOW)
    read = secret_pb2.Secret.FromString(made.body)
    assert read.name == made.name == "default"
    assert read.tls_certificate.certificate_chain.inline_bytes == to_pem(pair.chain)
    assert read.tls_certificate.private_key.inline_bytes == pair.key.pem().reveal()


def test_a_pair_does_not_fit_with_another_key(authority):
    pair = authority.pair(WEB)
    with pytest.raises(ValueError, match="does not belong"):
        secret.tls_certificate("default", to_pem(pair.chain), PrivateKey.generate().pem(), now=NOW)


@pytest.mark.parametrize(
    ("moment", "valid"),
    [
        (NOW - timedelta(seconds=1), False),
        (NOW, True),
        (NOW + timedelta(minutes=59, seconds=59), True),
        (NOW + timedelta(hours=1), False),
    ],
)
def test_a_certificate_is_handed_out_only_while_it_is_valid(authority, moment, valid):
    pair = authority.pair(WEB, now=NOW, lifetime=timedelta(hours=1))

    def make():
        return secret.tls_certificate("default", to_pem(pair.chain), pair.key.pem(), now=moment)

    if valid:
        assert make()
    else:
        with pytest.raises(ValueError, match="not now"):
            make()


@pytest.mark.parametrize("pem", [b"", b"nonsense"])
def test_pem_that_is_none_is_refused(authority, pem):
    pair = authority.pair(WEB)
    with pytest.raises(ValueError):
        secret.tls_certificate("default", pem, pair.key.pem(), now=NOW)
    with pytest.raises(ValueError):
        secret.tls_certificate("default", to_pem(pair.chain), Secret(pem), now=NOW)
    with pytest.raises(ValueError):
        secret.validation_context("ROOTCA", pem)


def test_roots_are_a_secret_of_their_own_and_several_can_stand_side_by_side(authority):
    roots = to_pem((authority.issuer.root, authority.issuer.certificate))
    read = secret_pb2.Secret.FromString(secret.validation_context("ROOTCA", roots).body)
    assert read.name == "ROOTCA"
    assert read.validation_context.trusted_ca.inline_bytes == roots


def test_the_same_pair_is_the_same_version_and_a_renewed_one_another(authority):
    pair, renewed = authority.pair(WEB), authority.pair(WEB)
    versions = [
        secret.tls_certificate("default", to_pem(each.chain), each.key.pem(), now=NOW).version
        for each in (pair, pair, renewed)
    ]
    assert versions[0] == versions[1] != versions[2]
