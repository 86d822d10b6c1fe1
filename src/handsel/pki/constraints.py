"""Name constraints (RFC 5280, section 4.2.1.10): which names a CA may sign for, as its own issuers have said.

Each certificate of a chain is asked on its own, the root among them: a name must lie within a permitted subtree of its
kind, if there is one, and outside every excluded one. Where the standard says nothing, the stricter reading is taken;
`openssl verify` may allow what is refused here, never the other way round.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography import x509

from handsel.pki.certificate import Certificate
from handsel.pki.names import Names

# Readers differ about where a host ends that neither a slash nor the end follows.
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(?=/|$)")
_KINDS: dict[type[x509.GeneralName], str] = {
    x509.DNSName: "dns",
    x509.IPAddress: "ip",
    x509.UniformResourceIdentifier: "uri",
    x509.RFC822Name: "mail",
}


@dataclass(frozen=True)
class Subtrees:
    """A set of names. What is written in each: a host, an address with its mask, a host of URIs, a mailbox or host."""

    dns: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()
    uri: tuple[str, ...] = ()
    mail: tuple[str, ...] = ()
    directory: tuple[x509.Name, ...] = ()
    """Beginnings of subjects."""
    others: int = 0
    """How many are of kinds that no leaf of ours has, and that therefore say nothing about it."""

    @classmethod
    def of(cls, names: Iterable[x509.GeneralName] | None) -> Subtrees:
        """What one half of the extension says."""
        found: dict[str, list[str]] = {kind: [] for kind in _KINDS.values()}
        directory: list[x509.Name] = []
        others = 0
        for name in names or ():
            if isinstance(name, x509.DirectoryName):
                directory.append(name.value)
            elif (kind := _KINDS.get(type(name))) is not None:
                found[kind].append(str(name.value))
            else:
                others += 1
        lists = {kind: tuple(values) for kind, values in found.items()}
        return cls(**lists, directory=tuple(directory), others=others)


@dataclass(frozen=True)
class NameConstraints:
    """What one CA certificate says. Nothing permitted of a kind: that kind is not restricted."""

    permitted: Subtrees = Subtrees()
    excluded: Subtrees = Subtrees()
    owner: str = field(default="", compare=False)
    """Whose they are, for the reason of a refusal."""


@lru_cache(maxsize=256)
def constraints_of(certificate: Certificate) -> NameConstraints | None:
    """The constraints that a certificate carries, or None."""
    try:
        found = certificate.parsed.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None
    permitted, excluded = Subtrees.of(found.permitted_subtrees), Subtrees.of(found.excluded_subtrees)
    return NameConstraints(permitted, excluded, certificate.subject)


def forbidden(names: Names, subject: x509.Name, chain: Sequence[Certificate]) -> str | None:
    """Why the chain of an issuer, its root included, does not let it sign this; None when it does."""
    for certificate in chain:
        constraints = constraints_of(certificate)
        reason = violation(names, subject, constraints) if constraints is not None else None
        if reason is not None:
            return reason
    return None


def violation(names: Names, subject: x509.Name, constraints: NameConstraints) -> str | None:
    """Why one certificate's constraints forbid these names, or None."""
    for kind, name in names:
        reason = name_violation(kind, name, constraints)
        if reason is not None:
            return reason
    # An empty subject is no name (RFC 5280, section 4.2.1.10).
    return _subject_violation(subject, constraints) if subject.rdns else None


def name_violation(kind: str, name: str, constraints: NameConstraints) -> str | None:
    """The same for one name."""
    permitted: tuple[str, ...] = getattr(constraints.permitted, kind)
    excluded: tuple[str, ...] = getattr(constraints.excluded, kind)
    owner = f"the name constraints of {_show(constraints.owner)}"
    if kind == "uri" and (permitted or excluded) and _host_of(name) is None:
        return f"{name} has no host that {owner} could be compared with"
    for base in excluded:
        if _within(kind, name, base, excluded=True):
            return f"{name} is excluded by {owner} ({kind} {_show(base) or 'any'})"
    if permitted and not any(_within(kind, name, base, excluded=False) for base in permitted):
        return f"{name} is outside {owner} ({kind} {', '.join(_show(base) for base in permitted[:5])})"
    return None


def _show(text: str) -> str:
    """What a certificate says, fit for a line of text."""
    return text if text.isprintable() else ascii(text)


def _within(kind: str, name: str, base: str, *, excluded: bool) -> bool:
    match kind:
        case "dns":
            return dns_within(name, base) or (excluded and _stands_for(name, base))
        case "ip":
            return _ip_within(name, base)
        case "uri":
            host = _host_of(name)
            return host is not None and _host_within(host, base, excluded=excluded)
        case _:
            return _mail_within(name, base, excluded=excluded)


def dns_within(name: str, base: str) -> bool:
    """Whether a name is the base or below it; of a base with a leading dot, below it. An empty base is everything."""
    name, base = name.lower(), base.lower()
    if not base:
        return True
    if base.startswith("."):
        return name.endswith(base) and len(name) > len(base)
    return name == base or name.endswith(f".{base}")


def _stands_for(name: str, base: str) -> bool:
    """Whether a wildcard stands, among others, for the base: `*.a.internal` for `b.a.internal`."""
    return name.startswith("*.") and base.lower().partition(".")[2] == name.removeprefix("*.").lower()


def _ip_within(name: str, base: str) -> bool:
    return ipaddress.ip_address(name) in ipaddress.ip_network(base)  # never in one of the other version


def _host_of(uri: str) -> str | None:
    """The host of a URI when it is a DNS name, which it must be to be compared."""
    found = _AUTHORITY.match(uri)
    # A name of a user before it is no part of the host; it is not used here, and readers differ about it.
    if found is None or "@" in found[1] or "[" in found[1]:
        return None
    host = found[1].partition(":")[0].lower()
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host or None
    return None


def _host_within(host: str, base: str, *, excluded: bool) -> bool:
    """Of a base without a leading dot that host alone. An empty one is not defined: it excludes all, permits none."""
    base = base.lower()
    if not base:
        return excluded
    return host.endswith(base) and len(host) > len(base) if base.startswith(".") else host == base


def _mail_within(name: str, base: str, *, excluded: bool) -> bool:
    mailbox, _, host = name.rpartition("@")
    if "@" not in base:
        return _host_within(host.lower(), base, excluded=excluded)
    wanted, _, wanted_host = base.rpartition("@")
    if host.lower() != wanted_host.lower():
        return False
    # Section 7.5: mailboxes are compared exactly, though hosts do not; nobody gets around an exclusion by a capital.
    return mailbox == wanted or (excluded and mailbox.lower() == wanted.lower())


def _subject_violation(subject: x509.Name, constraints: NameConstraints) -> str | None:
    owner = f"the name constraints of {_show(constraints.owner)}"
    shown = _show(subject.rfc4514_string())
    for base in constraints.excluded.directory:
        if _begins_with(subject, base):
            return f"the subject {shown} is excluded by {owner} ({_show(base.rfc4514_string()) or 'any'})"
    permitted = constraints.permitted.directory
    if permitted and not any(_begins_with(subject, base) for base in permitted):
        return f"the subject {shown} is outside {owner} ({_show(permitted[0].rfc4514_string())})"
    return None


def _begins_with(subject: x509.Name, base: x509.Name) -> bool:
    """Whether the base is the beginning of a subject, compared as section 7.1 asks: case and runs of spaces are one."""
    wanted = [_canonical(each) for each in base.rdns]
    return [_canonical(each) for each in subject.rdns[: len(wanted)]] == wanted


def _canonical(part: x509.RelativeDistinguishedName) -> frozenset[tuple[str, str]]:
    return frozenset((each.oid.dotted_string, " ".join(str(each.value).split()).lower()) for each in part)
