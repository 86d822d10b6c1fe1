"""Kubernetes' quantities: `100m`, `0.5`, `128Mi`, `1e3`."""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})([num]|[kMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def parse_quantity(text: str) -> Decimal:
    """The number, above 0. Raises `ValueError`."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError('no quantity of Kubernetes, such as "100m" of a CPU or "128Mi"')
    number, suffix = Decimal(found[1]), found[2] or ""
    if suffix in _BINARY:
        number *= Decimal(2) ** _BINARY[suffix]
    elif suffix:
        number = number.scaleb(_DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:]))
    if number <= 0:
        raise ValueError("must be more than 0")
    return number
