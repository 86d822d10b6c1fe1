"""The authority's key folder: made once, private, found again, and refused when it is not what it should be."""

from __future__ import annotations

import stat
from datetime import timedelta

import pytest

from handsel.authority.adapters.signers import KeyFolder
from handsel.authority.adapters.signers.files import FileKeys
from handsel.errors import StateError
from handsel.pki.keys import KeyType
from handsel.pki.names import TrustDomain
from handsel.store.adapters.files import write_file
from tests.ca_keys import key_store
from tests.support import NOW, TRUST_DOMAIN, as_nobody


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "authority"


def _open(folder, trust_domain=TRUST_DOMAIN):
    return KeyFolder(folder, key_store(folder)).open(trust_domain, now=NOW)


def _keys(folder):
    return key_store(folder) or FileKeys(folder)


def test_the_first_opening_makes_an_authority_and_every_other_finds_it(folder):
    first, made = _open(folder)
    again, made_again = KeyFolder(folder, key_store(folder)).open(TRUST_DOMAIN, now=NOW + timedelta(days=30))
    assert (made, made_again) == (True, False)
    assert (again.root, again.certificate) == (first.root, first.certificate)
    assert again.key.public_der() == first.key.public_der() == first.certificate.public_key_der


def test_two_folders_hold_two_authorities(tmp_path):
    one, _ = _open(tmp_path / "one")
    other, _ = _open(tmp_path / "other")
    assert one.root.pin != other.root.pin


@pytest.mark.key_files("their modes")
def test_everything_in_it_is_for_its_owner_alone(folder):
    _open(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert {"root.key", "issuing.key", "root.crt", "issuing.crt"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_ticket_pins_the_key_of_today_and_the_one_of_tomorrow(folder):
    issuer, _ = _open(folder)
    today, tomorrow = KeyFolder(folder, key_store(folder)).roots.pins()
    assert today == issuer.root.pin
    assert tomorrow not in (today, issuer.certificate.pin)
    assert KeyFolder(folder, key_store(folder)).roots.pins() == (today, tomorrow)


@pytest.mark.key_files("their modes")
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


@pytest.mark.key_files("their modes")
def test_a_root_key_that_others_can_read_is_refused_too(folder):
    _open(folder)
    (folder / "root.key").chmod(0o640)
    with pytest.raises(StateError, match="can be read by others"):
        KeyFolder(folder).roots.pins()


def test_the_authority_of_another_trust_domain_is_refused(folder):
    _open(folder)
    with pytest.raises(StateError, match=r"test\.internal, not of other\.internal"):
        _open(folder, TrustDomain("other.internal"))


def test_a_key_that_is_not_the_certificates_is_refused(folder):
    _open(folder)
    _keys(folder).remove("issuing")
    _keys(folder).make("issuing", KeyType.P256)
    with pytest.raises(StateError, match="does not belong"):
        _open(folder)


@pytest.mark.parametrize(
    "name", [pytest.param("issuing.key", marks=pytest.mark.key_files("one is damaged")), "issuing.crt", "root.crt"]
)
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
    _keys(folder).remove("issuing")
    with pytest.raises(StateError, match=r"issuing\.key cannot be read|no keys called '.*-issuing'"):
        _open(folder)


def test_a_crash_in_the_middle_of_making_is_made_good(folder):
    _open(folder)
    (folder / "issuing.crt").unlink()  # it is written last
    _keys(folder).remove("issuing")
    issuer, made = _open(folder)
    assert made
    assert issuer.key.public_der() == issuer.certificate.public_key_der
    assert _open(folder)[0].root == issuer.root


def test_a_folder_that_cannot_be_made_is_told():
    with as_nobody() as above:
        KeyFolder(above / "before").open(TRUST_DOMAIN, now=NOW)
        above.chmod(0o500)
        with pytest.raises(StateError, match="cannot be made"):
            KeyFolder(above / "after").open(TRUST_DOMAIN, now=NOW)
