"""The switch that puts the tests' CA keys into a token: it does what it says, so that no run only seems to have one."""

from __future__ import annotations

import yaml

from handsel.pki.keys import KeyType
from tests.ca_keys import IN_TOKEN, ca_key, key_store, merged


def test_keys_are_in_a_token_when_that_is_asked_for_and_only_then(authority, tmp_path):
    assert authority.issuer.key.remote == IN_TOKEN
    assert ca_key(KeyType.RSA2048).remote == IN_TOKEN
    assert not ca_key(KeyType.MLDSA65).remote  # SoftHSM 2.6 has no such keys
    assert (key_store(tmp_path) is not None) == IN_TOKEN


def test_a_setting_is_merged_without_moving_what_messages_point_at():
    setting = 'keys: "pkcs11:x"'
    for text, line in (
        ("services: {}\n", 1),
        ("services: {}\nauthority: {acme: {}}\n", 1),
        ("\nservices: {}\nauthority:\n  acme: {}\n", 4),
    ):
        before, after = yaml.safe_load(text), merged(text, setting)
        expected = {**before, "authority": {**before.get("authority", {}), "keys": "pkcs11:x"}}
        assert yaml.safe_load(after) == expected
        assert text.splitlines()[line - 1] == after.splitlines()[line - 1]
