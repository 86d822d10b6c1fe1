"""Credentials on a host: of the groups that lie there, the last good ones."""

from __future__ import annotations

import pytest

from handsel.agent.credentials import Credentials
from handsel.link.secrets import SecretRef
from handsel.pki.certificate import to_pem
from handsel.pki.secret import Secret
from handsel.xds.credential import group_of, lists_of
from tests.support import TRUST_DOMAIN

WEB = TRUST_DOMAIN.workload("default", "web")


class Host:
    """What lies on a host, under names of Kubernetes or of Istio."""

    def __init__(self, authority) -> None:
        self.now = authority.now
        self.credentials = Credentials()
        self.placed, self.values = {}, {}

    def lay(self, group: str, **contents: bytes) -> None:
        refs = tuple(
            SecretRef(f"{group}/{name.replace('_', '.')}", str(hash(value)), "front", name, group=group)
            for name, value in contents.items()
        )
        self.placed[("front", group)] = refs
        self.values |= {
            ("front", ref.name, ref.version): Secret(v) for ref, v in zip(refs, contents.values(), strict=True)
        }

    def names(self, service: str = "front") -> set[str]:
        self.credentials.refresh(self.placed, self.values, self.now)
        return set(self.credentials.resources(service))


@pytest.fixture
def host(authority) -> Host:
    return Host(authority)


def test_a_group_becomes_a_certificate_and_roots(host, authority):
    pair = authority.pair(WEB)
    chain, key, root = to_pem(pair.chain), pair.key.pem().reveal(), to_pem((authority.issuer.root,))
    host.lay("shop", tls_crt=chain, tls_key=key, ca_crt=root)
    host.lay("istio", cert=chain, key=key, cacert=root)
    host.lay("roots", cacert=root)
    host.lay("half", tls_crt=chain)
    assert host.names() == {
        "credential:shop", "credential-roots:shop", "credential:istio", "credential-roots:istio", "credential-roots:roots"
    }  # fmt: skip
    assert host.names("other") == set()


def test_what_is_not_sound_takes_no_good_ones_place(host, authority):
    first, second = authority.pair(WEB), authority.pair(WEB)
    host.lay("shop", tls_crt=to_pem(first.chain), tls_key=first.key.pem().reveal())
    host.names()
    before = host.credentials.resources("front")
    host.lay("shop", tls_crt=to_pem(second.chain), tls_key=first.key.pem().reveal())
    host.names()
    assert host.credentials.resources("front") == before
    assert "does not belong" in host.credentials.problem("front", "credential:shop")
    host.lay("shop", tls_crt=to_pem(second.chain), tls_key=second.key.pem().reveal())
    host.names()
    assert host.credentials.resources("front") != before


def test_what_is_taken_away_is_gone(host, authority):
    pair = authority.pair(WEB)
    host.lay("shop", tls_crt=to_pem(pair.chain), tls_key=pair.key.pem().reveal())
    assert host.names() == {"credential:shop"}
    host.placed.clear()
    assert host.names() == set()
    assert "not delivered yet" in host.credentials.problem("front", "credential:shop")


@pytest.mark.parametrize(
    ("name", "group"),
    [("credential:shop", "shop"), ("credential-roots:shop", "shop"), ("file-root:/x", ""), ("default", "")],
)
def test_the_group_behind_a_name(name, group):
    assert group_of(name) == group


def test_a_list_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no revocation list"):
        lists_of(b"-----BEGIN CERTIFICATE-----")
