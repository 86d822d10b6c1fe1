"""`services.NAME.acme:` of the mesh file."""

from __future__ import annotations

import pytest

from handsel.errors import InvalidFile
from handsel.model.acme_client import AcmeClient, ExternalAccount
from tests.support import read_mesh

WEB = "services:\n  web:\n    acme: {{{}}}\n"


def acme_of(text: str) -> AcmeClient | None:
    return read_mesh(WEB.format(text)).services["web"].acme


def test_little_is_enough():
    assert acme_of("directory: mesh, names: [shop.test]") == AcmeClient("mesh", ("shop.test",))
    assert read_mesh("services: {web: {}}\n").services["web"].acme is None


def test_everything_that_can_be_said():
    said = (
        "directory: 'https://ca.test:14000/dir', names: [Shop.Test, 'FD00::0001', 10.0.0.1], roots: certs/ca.pem, "
        "contact: [ops@shop.test, 'mailto:me@shop.test'], external_account: {key_id: k1, key: eab.key}, "
        "challenge: tls-alpn-01, listen: '127.0.0.1:5001', profile: short, key: rsa2048, preferred_chain: Some Root"
    )
    assert acme_of(said) == AcmeClient(
        directory="https://ca.test:14000/dir",
        names=("shop.test", "fd00::1", "10.0.0.1"),
        roots="/etc/shop/certs/ca.pem",
        contact=("mailto:ops@shop.test", "mailto:me@shop.test"),
        external_account=ExternalAccount("k1", "/etc/shop/eab.key"),
        challenge="tls-alpn-01",
        listen_address="127.0.0.1",
        listen_port=5001,
        profile="short",
        key="rsa2048",
        preferred_chain="Some Root",
    )


@pytest.mark.parametrize(
    ("challenge", "listen", "expected"),
    [
        ("http-01", "", ("", 80)),
        ("tls-alpn-01", "", ("", 443)),
        ("http-01", ", listen: ':8089'", ("", 8089)),
        ("http-01", ", listen: '[::1]:8089'", ("::1", 8089)),
    ],
    ids=["http", "tls", "port", "v6"],
)
def test_where_challenges_are_answered(challenge, listen, expected):
    wish = acme_of(f"directory: mesh, names: [a.test], challenge: {challenge}{listen}")
    assert wish is not None
    assert (wish.listen_address, wish.listen_port) == expected


@pytest.mark.parametrize(
    ("said", "place", "message"),
    [
        ("names: [a.test]", "acme", "'directory' is missing"),
        ("directory: mesh", "acme", "'names' is missing"),
        ("directory: 'http://ca.test/dir', names: [a.test]", "acme.directory", "neither `mesh` nor the https address"),
        ("directory: 'https://u:p@ca.test/dir', names: [a.test]", "acme.directory", "neither `mesh` nor"),
        ("directory: mesh, names: ['*.a.test']", "acme.names[0]", "cannot show control of a wildcard"),
        ("directory: mesh, names: [a.test, A.test]", "acme.names[1]", "is there twice"),
        ("directory: mesh, names: ['a b']", "acme.names[0]", "no DNS name"),
        ("directory: mesh, names: [default]", "acme.names[0]", "means something else"),
        ("directory: mesh, names: [a.test], roots: ca.pem", "acme.roots", "the roots of the mesh"),
        ("directory: mesh, names: [a.test], contact: [nobody]", "acme.contact[0]", "no mail address"),
        ("directory: mesh, names: [a.test], listen: 'ca.test:80'", "acme.listen", "no address to listen at"),
        ("directory: mesh, names: [a.test], listen: ':99999'", "acme.listen", "no address to listen at"),
        ("directory: mesh, names: [a.test], key: ed25519", "acme.key", "must be"),
        ("directory: mesh, names: [a.test], challenge: dns-01", "acme.challenge", "must be"),
        ("directory: mesh, names: [a.test], namse: [b.test]", "acme.namse", "did you mean"),
    ],
)
def test_a_fault_has_its_place(said, place, message):
    with pytest.raises(InvalidFile) as error:
        acme_of(said)
    (fault,) = error.value.faults
    assert fault.path == f"services.web.{place}"
    assert message in fault.message
    assert fault.line == 3


def test_only_a_service_with_a_sidecar_has_one():
    with pytest.raises(InvalidFile, match="without a sidecar"):
        read_mesh("services: {web: {sidecar: false, acme: {directory: mesh, names: [a.test]}}}\n")


def test_files_from_acme_want_an_acme_and_a_certificate():
    files = "files: {tls: {folder: tls, contents: {k.pem: {kind: %s, from: acme}}}}"
    acme = "acme: {directory: mesh, names: [a.test]}"
    (delivery,) = read_mesh(f"services: {{web: {{{files % 'key'}, {acme}}}}}\n").services["web"].files
    assert (delivery.contents[0].source, delivery.needs_acme, delivery.needs_identity) == ("acme", True, False)
    with pytest.raises(InvalidFile, match="there is no `acme` of this service"):
        read_mesh(f"services: {{web: {{{files % 'key'}}}}}\n")
    with pytest.raises(InvalidFile, match="roots is not of a certificate"):
        read_mesh(f"services: {{web: {{{files % 'roots'}, {acme}}}}}\n")
