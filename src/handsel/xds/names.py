"""Which secret a name means on one socket, and which names are refused. Default deny.

The socket is the identity: only its own certificate, the roots that it is to trust, and the files granted to it can be
had there. The names are those of the servers that people come from: Istio's agent (`default`, `ROOTCA`, `file-cert:`,
`file-root:`), SPIRE's (SPIFFE IDs, `ALL`), step-sds (DNS names, `trusted_ca`, `validation_context`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from handsel.xds import secret
from handsel.xds.resources import SECRET, Resource
from handsel.xds.snapshot import EMPTY, Snapshot

ALL = "ALL"
"""The bundles of our trust domain and of every federated one, for Envoy's SPIFFE validator (as SPIRE has it)."""

_TRUST_ALIASES = (secret.TRUST, "trusted_ca", "validation_context")
_MOST_NAMES_TOLD = 8
_MOST_CHARACTERS_TOLD = 120


class Denial(StrEnum):
    """Why a name is refused."""

    UNKNOWN = "unknown"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True)
class Decision:
    """Whether a client may have a name: the secret that it means, or why it is refused."""

    name: str
    means: str = ""
    denial: Denial | None = None
    reason: str = ""

    @property
    def granted(self) -> bool:
        return self.denial is None


@dataclass(frozen=True)
class Names:
    """What one socket may serve. Everything empty, it serves nothing.

    `identity` is a SPIFFE ID as text, `dns_names` those that its certificate has or will have, `federated` the names of
    other trust domains (their bundles lie in the snapshot as `spiffe://<name>`), `files` names of secrets in files.
    """

    identity: str = ""
    dns_names: tuple[str, ...] = ()
    trust_domain: str = ""
    federated: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def means(self, name: str) -> str | None:
        """The secret that a granted name means."""
        return self._meanings.get(name)

    def decide(self, name: str) -> Decision:
        """Which secret this name means here, or why it is refused."""
        if (granted := self._granted.get(name)) is not None:
            return granted
        if name.startswith("spiffe://") and name.removeprefix("spiffe://").partition("/")[2]:
            return self._refuse(name, Denial.FORBIDDEN, "belongs to another identity")
        if name.startswith(("file-cert:", "file-root:")):
            return self._refuse(name, Denial.FORBIDDEN, "is not granted")
        return self._refuse(name, Denial.UNKNOWN, "is not known")

    def bundles(self) -> dict[str, str]:
        """The secret with the bundle of each trust domain, by the domain's name."""
        return {self.trust_domain: secret.TRUST, **{domain: f"spiffe://{domain}" for domain in self.federated}}

    @cached_property
    def _meanings(self) -> dict[str, str]:
        meanings = {name: name for name in self.files}
        if self.trust_domain:
            meanings |= {f"spiffe://{domain}": means for domain, means in self.bundles().items()}
            meanings |= {**dict.fromkeys(_TRUST_ALIASES, secret.TRUST), ALL: ALL}
        if self.identity:
            meanings |= dict.fromkeys((*self.dns_names, secret.IDENTITY, self.identity), secret.IDENTITY)
        return meanings

    @cached_property
    def _granted(self) -> dict[str, Decision]:
        reasons = {name: f"{_short(name)} means {_short(means)} here" for name, means in self._meanings.items()}
        return {name: Decision(name, means, reason=reasons[name]) for name, means in self._meanings.items()}

    def _refuse(self, name: str, denial: Denial, why: str) -> Decision:
        told = [_short(each) for each in reversed(self._meanings)][:_MOST_NAMES_TOLD]
        more = len(self._meanings) - len(told)
        names = ", ".join(told) + (f" and {more} more" if more else "") if told else "no secret"
        whose = f"this socket is that of {_short(self.identity)}" if self.identity else "this socket has no identity"
        return Decision(name, denial=denial, reason=f"{_short(name)} {why}: {whose} and serves {names}")


@dataclass(frozen=True)
class Served(Snapshot):
    """A snapshot whose secrets are had under the names that `allowed` grants; without it, under their own.

    An alias is made when it is first asked for, and kept for as long as its secret stays the same.
    """

    allowed: Names | None = None
    _aliases: dict[tuple[str, str], Resource] = field(default_factory=dict, compare=False, repr=False)
    _found: dict[str, Resource] = field(default_factory=dict, compare=False, repr=False)

    def after(self, snapshot: Snapshot, allowed: Names | None) -> Served:
        """The same door with another snapshot. Aliases of secrets that stayed are not made anew."""
        served = Served(snapshot.resources, allowed)
        for (_version, name), alias in self._aliases.items():
            key = served._key(name)
            if key in self._aliases:
                served._aliases[key] = alias
        return served

    def decide(self, name: str) -> Decision:
        """Whether a client may have this secret, be it there already or not."""
        if self.allowed is not None:
            return self.allowed.decide(name)
        if (SECRET, name) in self.resources:
            return Decision(name, name, reason=f"{_short(name)} is served here")
        return Names().decide(name)

    def get(self, type_url: str, name: str) -> Resource | None:
        """What a client gets that asks for this name. None when it is not there yet, or refused."""
        if type_url != SECRET or self.allowed is None:
            return self.resources.get((type_url, name))
        found = self._found.get(name)
        if found is None and (found := self._find(name)) is not None:
            self._found[name] = found
        return found

    def awaits(self, type_url: str, name: str) -> bool:
        """Whether this is a secret that is granted, but not there yet."""
        return type_url == SECRET and self.decide(name).granted and self.get(type_url, name) is None

    @cached_property
    def _by_type(self) -> dict[str, dict[str, Resource]]:
        by_type: dict[str, dict[str, Resource]] = {}
        for (kind, name), resource in self.resources.items():
            if kind != SECRET or self.decide(name).granted:
                by_type.setdefault(kind, {})[name] = resource
        return by_type

    def _find(self, name: str) -> Resource | None:
        sources = self._sources(name)
        if not sources or name in sources:
            return sources.get(name)
        key = self._key(name)
        if key not in self._aliases:
            self._aliases[key] = self._alias(name, sources)
        return self._aliases[key]

    def _sources(self, name: str) -> dict[str, Resource]:
        """The secrets of the snapshot that this name is made of; none when it is refused or not there yet."""
        means = self.allowed.means(name) if self.allowed else None
        if self.allowed is None or means is None:
            return {}
        wanted = self.allowed.bundles().values() if means == ALL else (means,)
        found = {each: self.resources[SECRET, each] for each in wanted if (SECRET, each) in self.resources}
        # A partner's bundle that is not there yet holds up nobody; our own does.
        return found if means != ALL or secret.TRUST in found else {}

    def _alias(self, name: str, sources: dict[str, Resource]) -> Resource:
        if name != ALL or self.allowed is None:
            return secret.renamed(next(iter(sources.values())), name)
        bundles = self.allowed.bundles()
        return secret.spiffe_validator(
            ALL, {domain: sources[means] for domain, means in bundles.items() if means in sources}
        )

    def _key(self, name: str) -> tuple[str, str]:
        return " ".join(f"{each.name}={each.version}" for each in self._sources(name).values()), name


NOTHING = Served(EMPTY.resources)


def _short(name: str) -> str:
    """A name as it may stand in a message: what came from outside is cut, and has no control characters."""
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)
    return shown if len(shown) <= _MOST_CHARACTERS_TOLD else f"{shown[:_MOST_CHARACTERS_TOLD]}…"
