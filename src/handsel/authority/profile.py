"""The profiles that every authority has. Who may have which name is said by the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from handsel.model.authority import Profile
from handsel.pki.keys import KeyType


@dataclass(frozen=True)
class Lifetimes:
    """How long the mesh's own certificates live.

    `leaf`: a workload's (1 h by default: short enough that a stolen key is soon worthless).
    `agent`: an agent's own (24 h: a host may be off for a night and still renew).
    """

    leaf: timedelta = timedelta(hours=1)
    agent: timedelta = timedelta(hours=24)


@dataclass(frozen=True)
class Profiles:
    """Every profile by name: the three of the mesh, `default` for ACME, and what the mesh file adds or changes."""

    by_name: Mapping[str, Profile] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Profile:
        return self.by_name[name]

    def for_acme(self) -> tuple[Profile, ...]:
        """What ACME clients may order, in the order of definition."""
        return tuple(profile for profile in self.by_name.values() if profile.acme)


WORKLOAD, AGENT, SERVER, DEFAULT = "workload", "agent", "server", "default"
ADMINISTRATOR = "administrator"
_ADMINISTRATOR_LIFETIME = timedelta(days=30)


def profiles(lifetimes: Lifetimes, written: Mapping[str, Profile] | None = None) -> Profiles:
    """The built-in profiles and the written ones, which may replace `default`."""
    own = (
        Profile(WORKLOAD, lifetimes.leaf, keys=frozenset({KeyType.P256}), description="an identity of the mesh"),
        Profile(AGENT, lifetimes.agent, keys=frozenset({KeyType.P256}), description="a host's agent"),
        Profile(SERVER, lifetimes.agent, keys=frozenset({KeyType.P256}), description="handsel's own door"),
        Profile(
            ADMINISTRATOR, _ADMINISTRATOR_LIFETIME, extended_usages=("client_auth",), pointers=False,
            description="somebody who administers this authority",
        ),
        Profile(DEFAULT, timedelta(hours=24), acme=True, description="what a client gets that asks for nothing else"),
    )
    return Profiles({**{profile.name: profile for profile in own}, **(written or {})})
