"""The URI of a token. RFC 7512, sections 2.3 and 2.4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.errors import InvalidFile
from handsel.model.token_uri import TokenUri
from tests.support import read_mesh

GOOD = "pkcs11:token=The%20CA;object=ca-?module-path=/lib/module.so&pin-source=file:///run/pin"


def test_it_says_module_token_and_the_file_of_the_pin():
    assert TokenUri.parse(GOOD) == TokenUri("/lib/module.so", "The CA", "/run/pin", "ca-")
    assert TokenUri.parse(GOOD.replace(";object=ca-", "")).prefix == "handsel-"
    assert TokenUri.parse(GOOD.replace("file://", "")) == TokenUri.parse(GOOD)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("file:/a", "starts with pkcs11:"),
        ("pkcs11:" + "a" * 5000, "starts with pkcs11:"),
        ("pkcs11:", "does not say its token"),
        ("pkcs11:token=a", "does not say its module-path"),
        ("pkcs11:token=a?module-path=/m", "does not say its pin-source"),
        ("pkcs11:token=a;token=b?module-path=/m&pin-source=/p", "'token' twice"),
        ("pkcs11:token?module-path=/m&pin-source=/p", "'token' twice, or without a value"),
        ("pkcs11:token=a?module-path=/m&pin-source=/p&pin-value=1234", "no place in a setting"),
        ("pkcs11:token=a;slot-id=4?module-path=/m&pin-source=/p", "'slot-id'"),
        ("pkcs11:token=a?module-path=/m%00&pin-source=/p", "cannot be printed"),
        ("pkcs11:token=a?module-path=m.so&pin-source=/p", "module-path in a pkcs11 URI is written as an absolute"),
        ("pkcs11:token=a?module-path=/m.so&pin-source=p", "pin-source in a pkcs11 URI is written as an absolute"),
    ],
)
def test_what_is_none_is_refused_with_its_cause_and_its_place(text, why):
    with pytest.raises(ValueError, match=why) as caught:
        TokenUri.parse(text)
    assert "\n" not in str(caught.value)
    assert "1234" not in str(caught.value)
    with pytest.raises(InvalidFile) as faults:
        read_mesh(f"services: {{}}\nauthority:\n  keys: '{text}'\n")
    (fault,) = faults.value.faults
    assert (fault.line, why.split(",")[0] in fault.message) == (3, True)
    assert read_mesh(f"services: {{}}\nauthority:\n  keys: '{GOOD}'\n").authority.keys.token == GOOD


@given(st.text(max_size=80) | st.text("tokenmdulpahisrc-=;?&%/0aF", max_size=80).map("pkcs11:".__add__))
def test_any_text_is_a_token_with_paths_that_can_be_opened_or_no_token(text):
    try:
        found = TokenUri.parse(text)
    except ValueError:
        return
    assert found.module.startswith("/")
    assert found.pin_source.startswith("/")
    assert "\0" not in found.module + found.pin_source
