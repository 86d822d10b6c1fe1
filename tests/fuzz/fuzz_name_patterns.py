"""Patterns of names: any text is a pattern or is refused, and a pattern that covers a name also touches it."""

from __future__ import annotations

import ipaddress

from handsel.model.name_patterns import parse
from handsel.pki.names import dns_name


def fuzz(data: bytes) -> None:
    """The first line is a pattern, the others are names."""
    text, *names = data.decode(errors="replace").split("\n")[:20]
    try:
        pattern = parse(text)
    except ValueError:
        return
    for name in names:
        try:
            if pattern.kind == "dns":
                dns_name(name)
            if pattern.kind == "ip":
                ipaddress.ip_address(name)
        except ValueError:
            continue  # names are canonical when they come here
        if pattern.covers(name) and not pattern.touches(name):
            raise AssertionError(f"{pattern} covers {name} and does not touch it")
