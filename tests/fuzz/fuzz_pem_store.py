"""PEM and DER as a store: any bytes are entries that can be used and written again, or one of a store's errors."""

from __future__ import annotations

from unittest import mock

from handsel.errors import StorePasswordWrong, StoreRefused, StoreUnreadable
from handsel.pki.keystore import derivation, pem
from handsel.pki.keystore.model import KeyEntry, Passwords, SecretEntry, TrustedEntry
from handsel.pki.secret import Secret

_ROUNDS = 100_000
"""What is allowed takes seconds, in which a fuzzer tries thousands of inputs."""


def fuzz(data: bytes) -> None:
    """With a password and without."""
    with mock.patch.object(derivation, "MOST_ROUNDS", _ROUNDS):
        _try(data)


def _try(data: bytes) -> None:
    for passwords in (Passwords(), Passwords(Secret(b"changeit"))):
        try:
            store = pem.read(data, passwords)
        except (StoreUnreadable, StoreRefused, StorePasswordWrong) as error:
            assert "\n" not in str(error)  # noqa: PT017
            continue
        aliases = [each.alias.lower() for each in store.entries]
        assert all(aliases)
        for each in store.entries:
            assert not isinstance(each, SecretEntry)
            if isinstance(each, TrustedEntry):
                assert each.certificate.certificate or each.certificate.fault
                continue
            assert (each.key is None) == bool(each.locked)
        whole = [each for each in store.entries if not isinstance(each, KeyEntry) or each.key]
        if whole:
            again = pem.read(pem.write(whole, Passwords()), Passwords())
            assert len([each for each in again.entries if isinstance(each, KeyEntry)]) == len(
                [each for each in whole if isinstance(each, KeyEntry)]
            )
