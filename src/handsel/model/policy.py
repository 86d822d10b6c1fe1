"""The policy: rules that say who may have which names. `handsel.authority.policy` decides by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from handsel.model.name_patterns import Pattern


@dataclass(frozen=True)
class Rule:
    """One rule. `where` is its place as file:line.

    The others say for whom it is, each empty for everybody: names of profiles, ids of ACME accounts, ids of external
    account keys, names of attestors.
    """

    allows: bool
    names: tuple[Pattern, ...]
    where: str
    profiles: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    external_keys: tuple[str, ...] = ()
    attestors: tuple[str, ...] = ()

    @property
    def conditions(self) -> Mapping[str, tuple[str, ...]]:
        """For whom it is, by the words of the mesh file; what is left out there is left out here."""
        said = {
            "profile": self.profiles, "account": self.accounts, "eab": self.external_keys, "attestor": self.attestors,
        }  # fmt: skip
        return {word: values for word, values in said.items() if values}

    def __str__(self) -> str:
        return f"the {'allow' if self.allows else 'deny'} rule at {self.where}"


Policy = tuple[Rule, ...] | None
"""Every rule in the order of the file; None when no policy was written, which is not the same as one without rules."""
