"""When to renew: between half and two thirds of a certificate's life, each workload at its own moment."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from handsel.pki.certificate import Certificate

_EARLIEST, _LATEST = 1 / 2, 2 / 3


def due(leaf: Certificate, renew_before_end: timedelta | None) -> datetime:
    """The moment from which the certificate is to be renewed.

    The place between half and two thirds of life comes from the serial number, so that it is the same after a restart
    and spread over a fleet. `renew_before_end`, for tests, says how long before the end instead.
    """
    if renew_before_end is not None:
        return leaf.not_after - renew_before_end
    spread = int.from_bytes(hashlib.sha256(leaf.serial.encode()).digest()[:4], "big") / 2**32
    life = leaf.not_after - leaf.not_before
    return leaf.not_before + life * (_EARLIEST + (_LATEST - _EARLIEST) * spread)


def backoff(failures: int) -> timedelta:
    """How long to wait after so many failures in a row: half a second, doubling, at most half a minute."""
    return timedelta(seconds=min(30.0, 0.5 * 2 ** min(failures - 1, 10)))
