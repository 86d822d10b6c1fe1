"""Bytes that must never be seen by accident."""

from __future__ import annotations

import hmac


class Secret:
    """Bytes that hide themselves in print, logs, dumps and errors. `reveal()` is the only way to them."""

    __slots__ = ("_hidden",)

    def __init__(self, hidden: bytes) -> None:
        self._hidden = hidden

    def reveal(self) -> bytes:
        """The bytes themselves. Call it at the place of use and keep no copy."""
        return self._hidden

    def __repr__(self) -> str:
        return "Secret(****)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._hidden, other._hidden)

    def __hash__(self) -> int:
        return hash(self._hidden)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")
