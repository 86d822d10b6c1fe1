"""When to renew: between half and two thirds of a certificate's life, each workload at its own moment; and soon when
another CA signs by now."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from handsel.link.messages import Signing
from handsel.pki.certificate import Certificate

_EARLIEST, _LATEST = 1 / 2, 2 / 3
_FOR_RETRIES = 1 / 10
_LONGEST_WAVE = timedelta(minutes=5)
_WAVE, _YOUNGEST = 1 / 10, 1 / 5
"""After another CA has taken over, a fleet renews within the first part of a certificate's life; but none younger than
the second, which bounds how often it is done while a server does not know of the other CA yet."""


def due(leaf: Certificate, renew_before_end: timedelta | None, signing: Signing | None = None) -> datetime:
    """The moment from which the certificate is to be renewed.

    The place between half and two thirds of life comes from the serial number, so that it is the same after a restart
    and spread over a fleet. `renew_before_end`, for tests, says how long before the end instead. `signing`: the CA that
    signs now; what another one signed is renewed soon, spread in the same way.
    """
    life = leaf.not_after - leaf.not_before
    spread = int.from_bytes(hashlib.sha256(leaf.serial.encode()).digest()[:4], "big") / 2**32
    if renew_before_end is not None:
        usual = leaf.not_after - renew_before_end
    else:
        usual = leaf.not_before + life * (_EARLIEST + (_LATEST - _EARLIEST) * spread)
    if signing is None or signing.key_id == leaf.authority_key_id:
        return usual
    in_wave = signing.since + min(life * _WAVE, _LONGEST_WAVE) * spread
    old_enough = leaf.not_before + min(life * _YOUNGEST, 2 * _LONGEST_WAVE)
    return min(usual, max(in_wave, old_enough))


def is_overdue(leaf: Certificate, now: datetime) -> bool:
    """Whether a certificate should have been renewed by now: less than a third of its life is left, less a tenth.

    Renewal is due at two thirds of life at the latest; the rest is for what fails once.
    """
    return leaf.not_after - now < (leaf.not_after - leaf.not_before) * (1 - _LATEST - _FOR_RETRIES)


def backoff(failures: int, longest: timedelta = timedelta(seconds=30)) -> timedelta:
    """How long to wait after so many failures in a row: half a second, doubling, up to `longest`."""
    return min(longest, timedelta(seconds=0.5 * 2 ** min(failures - 1, 10)))
