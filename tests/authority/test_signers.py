"""The authority's key folder: made once, private, found again, and refused when it is not what it should be."""

from __future__ import annotations

import stat
from datetime import timedelta

import pytest

from handsel.authority.adapters.signers import KeyFolder
from handsel.errors import StateError
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain
from handsel.store.adapters.files import write_file
from tests.support import NOW, TRUST_DOMAIN, as_nobody


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "authority"


def _open(folder, trust_domain=TRUST_DOMAIN):
    return KeyFolder(folder).open(trust_domain, now=NOW)


def test_the_first_opening_makes_an_authority_and_every_other_finds_it(folder):
    first, made = _open(folder)
    again, made_again = KeyFolder(folder).open(TRUST_DOMAIN, now=NOW + timedelta(days=30))
    assert (made, made_again) == (True, False)
    assert (again.root, again.certificate) == (first.root, first.certificate)
    assert again.key.public_der() == first.key.public_der() == first.certificate.public_key_der


def test_two_folders_hold_two_authorities(tmp_path):
    one, _ = _open(tmp_path / "one")
    other, _ = _open(tmp_path / "other")
    assert one.root.pin != other.root.pin


def test_everything_in_it_is_for_its_owner_alone(folder):
    _open(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert {"root.key", "issuing.key", "root.crt", "issuing.crt"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_ticket_pins_the_key_of_today_and_the_one_of_tomorrow(folder):
    issuer, _ = _open(folder)
    today, tomorrow = KeyFolder(folder).pins()
    assert today == issuer.root.pin
    assert tomorrow not in (today, issuer.certificate.pin)
    assert KeyFolder(folder).pins() == (today, tomorrow)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused_until_it_is_private_again(folder, mode):
    _open(folder)
    key = folder / "issuing.key"
    key.chmod(mode)
    with pytest.raises(StateError, match="can be read by others") as caught:
        _open(folder)
    assert "chmod 600" in caught.value.next_step
    key.chmod(0o600)
    assert _open(folder)


def test_a_root_key_that_others_can_read_is_refused_too(folder):
    _open(folder)
    (folder / "root.key").chmod(0o640)
    with pytest.raises(StateError, match="can be read by others"):
        KeyFolder(folder).pins()


def test_the_authority_of_another_trust_domain_is_refused(folder):
    _open(folder)
    with pytest.raises(StateError, match=r"test\.internal, not of other\.internal"):
        _open(folder, TrustDomain("other.internal"))


def test_a_key_that_is_not_the_certificates_is_refused(folder):
    _open(folder)
    write_file(folder / "issuing.key", PrivateKey.generate().pem().reveal())
    with pytest.raises(StateError, match="does not belong"):
        _open(folder)


@pytest.mark.parametrize("name", ["issuing.key", "issuing.crt", "root.crt"])
@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_that_is_damaged_is_told_by_its_name(folder, name, content):
    _open(folder)
    write_file(folder / name, content)
    with pytest.raises(StateError, match="cannot be read"):
        _open(folder)


def test_a_key_that_is_gone_is_told(folder):
    _open(folder)
    (folder / "issuing.key").unlink()
    with pytest.raises(StateError, match=r"issuing\.key cannot be read"):
        _open(folder)


def test_a_crash_in_the_middle_of_making_is_made_good(folder):
    _open(folder)
    (folder / "issuing.crt").unlink()  # it is written last
    (folder / "issuing.key").unlink()
    issuer, made = _open(folder)
    assert made
    assert issuer.key.public_der() == issuer.certificate.public_key_der
    assert _open(folder)[0].root == issuer.root


def test_a_folder_that_cannot_be_made_is_told():
    with as_nobody() as above:
        _open(above / "before")
        above.chmod(0o500)
        with pytest.raises(StateError, match="cannot be made"):
            _open(above / "after")
