"""What is said about a store beside its entries, each line once: how it is kept, what is weak, what is odd."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Notes:
    """Collects them."""

    _kept: dict[str, None] = field(default_factory=dict)
    _weak: dict[str, None] = field(default_factory=dict)
    _odd: dict[str, None] = field(default_factory=dict)

    def kept(self, *lines: str) -> None:
        """How it is kept."""
        self._kept.update(dict.fromkeys(lines))

    def weak(self, *lines: str) -> None:
        """What should be stronger."""
        self._weak.update(dict.fromkeys(lines))

    def odd(self, *lines: str) -> None:
        """What somebody may not expect."""
        self._odd.update(dict.fromkeys(lines))

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple({**self._kept, **self._weak, **self._odd})
