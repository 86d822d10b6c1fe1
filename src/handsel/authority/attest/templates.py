"""Templates: from selectors to services and identities, in one pass, so that no value is read as a template.

What comes out is a service's name or a SPIFFE ID or it is refused: a slash, a dot path, a star or a brace in a value
never means anything. With several placeholders in a row of words a dash in a value would: `{a}-{b}` gives the same for
`x-y`, `z` and for `x`, `y-z`. So such values have none.
"""

from __future__ import annotations

import re

from handsel.authority.attest.model import Selectors
from handsel.errors import Refused
from handsel.model.faults import NAME
from handsel.model.placeholders import PLACEHOLDER, fault_of
from handsel.pki.names import SpiffeId, TrustDomain

_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MOST = 64


def services(template: str, selectors: Selectors) -> tuple[str, ...]:
    """The services that a template gives, one for each value. Raises `Refused`."""
    filled = tuple(dict.fromkeys(_fill(template, selectors)))
    for name in filled:
        if not NAME.fullmatch(name):
            raise Refused(f"{template!r} gives {name[:80]!r}, which is no service's name")
    return filled


def identities(template: str, selectors: Selectors, trust_domain: TrustDomain) -> tuple[SpiffeId, ...]:
    """The identities that a template gives. Raises `Refused`."""
    known = {**selectors, "trust_domain": (str(trust_domain),)}
    found: list[SpiffeId] = []
    for filled in dict.fromkeys(_fill(template, known, between="/")):
        try:
            identity = SpiffeId.parse(filled)
        except ValueError as error:
            raise Refused(f"{template!r} gives {filled[:80]!r}: {error}") from error
        if identity.trust_domain != trust_domain or identity.is_reserved:
            raise Refused(f"{template!r} gives {identity}, which is not a workload of {trust_domain}")
        found.append(identity)
    return tuple(found)


def _fill(template: str, selectors: Selectors, between: str = "") -> list[str]:
    """The template filled in; with one placeholder once for each of its values. Raises `Refused`."""
    fault = fault_of(template)
    if fault:
        raise Refused(fault)
    names = PLACEHOLDER.findall(template)
    for name in names:
        _check_values(name, selectors.get(name, ()), template)
    if len(set(names)) == 1:
        # No function of the pattern's own: a backslash in a value would mean something to it.
        return [value.join(PLACEHOLDER.split(template)[::2]) for value in selectors[names[0]]]
    for name in names:
        if len(selectors[name]) > 1:
            raise Refused(f"{template!r} has several placeholders, and there are several values of {name}")
    _check_told_apart(template, selectors, between)
    return [PLACEHOLDER.sub(lambda match: selectors[match[1]][0], template)]


def _check_values(name: str, values: tuple[str, ...], template: str) -> None:
    if not values:
        raise Refused(f"{template!r} needs {name}, and there is none")
    if len(values) > _MOST:
        raise Refused(f"there are more than {_MOST} values of {name}")
    for value in values:
        if not _SEGMENT.fullmatch(value) or value in (".", ".."):
            raise Refused(f"the {name} {value[:80]!r} cannot be part of a name")


def _check_told_apart(template: str, selectors: Selectors, between: str) -> None:
    """Placeholders that share a word must not be mixed up. `between` parts words: a slash, in identities."""
    for word in template.split(between) if between else [template]:
        names = PLACEHOLDER.findall(word)
        if len(names) < 2:
            continue
        if any(part.isalnum() or not part for part in PLACEHOLDER.split(word)[2:-1:2]):
            raise Refused(f"{template!r} has two placeholders with no dash, dot or underscore between")
        for name in names:
            if not selectors[name][0].isalnum():
                raise Refused(
                    f"the {name} {selectors[name][0][:80]!r} has more than letters and digits, beside another "
                    f"placeholder of {template!r}: where one ends could not be told"
                )
