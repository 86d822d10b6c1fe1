"""The profiles that every authority has. Who may have which name is said by the policy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
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
    # A key of the mesh is never used for two certificates; the agents make a new one each time.
    own = (
        _own(WORKLOAD, lifetimes.leaf, "an identity of the mesh"),
        _own(AGENT, lifetimes.agent, "a host's agent"),
        _own(SERVER, lifetimes.agent, "handsel's own door"),
        replace(
            _own(ADMINISTRATOR, _ADMINISTRATOR_LIFETIME, "somebody who administers this authority"), pointers=False
        ),
        Profile(DEFAULT, timedelta(hours=24), acme=True, description="what a client gets that asks for nothing else"),
    )
    return Profiles({**{profile.name: profile for profile in own}, **(written or {})})


def _own(name: str, lifetime: timedelta, description: str) -> Profile:
    return Profile(name, lifetime, keys=frozenset({KeyType.P256}), description=description, reuse_keys=False)


def fingerprint(profile: Profile) -> str:
    """The SHA-256 of all that a profile says, in hex: it changes when its certificates would."""
    said = {**asdict(profile), "keys": sorted(profile.keys)}
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
