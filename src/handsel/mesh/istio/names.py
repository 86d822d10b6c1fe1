"""The names in the graph of what resources declare.

A resource of the namespace `default` keeps its name, so that `calls: [bank]` means what it seems; one of another
namespace has it at the end, `bank-payments`. Names never depend on what else there is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from handsel.documents.yaml import Path
from handsel.mesh.istio.findings import SAME_NAME
from handsel.mesh.istio.reading import AnyFound, Findings
from handsel.model.included import Around

LONGEST = 63  # a label of a host name (RFC 1123, section 2.1)
_OTHERS = re.compile(r"[^a-z0-9]+")


def graph_name(name: str, namespace: str, *parts: str) -> str:
    """The name of a workload or a callee; `parts` tell apart what one resource declares."""
    space = [] if namespace == "default" else [namespace]
    return label("-".join([name, *(part for part in parts if part), *space]))


def label(text: str) -> str:
    """A text as a label: what is too long keeps its beginning and gets a mark of its own."""
    short = _OTHERS.sub("-", text.lower()).strip("-")
    if len(short) <= LONGEST:
        return short or "x"
    mark = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return f"{short[: LONGEST - 9].rstrip('-')}-{mark}"


class Names:
    """The names that are taken. A workload may have the name of that behind which it stands, and of nothing else."""

    def __init__(self, findings: Findings, around: Around) -> None:
        self._findings = findings
        self._workloads: dict[str, str] = {}
        self._addresses: dict[tuple[str, int], str] = {}
        self._short = {(each.name, 80): f"service {each.name} ({each.origin})" for each in around.services}
        # A service of the mesh file is called by its name. That it is not declared twice is for its reader to say.
        self._native = {each.name for each in around.services}
        self._callees = {each.name: f"service {each.name} ({each.origin})" for each in around.services}

    def workload(self, name: str, found: AnyFound) -> bool:
        """Whether a workload may have this name; if not, that is found."""
        return self._take(name, found, (), self._workloads)

    def callee(self, name: str, found: AnyFound, path: Path) -> bool:
        """Whether a Service may be called by this name."""
        return self._take(name, found, path, self._callees)

    def external(self, name: str, found: AnyFound, path: Path) -> bool:
        """Whether something outside may have this name."""
        return self._take(name, found, path, self._workloads) and (
            name in self._native or self._take(name, found, path, self._callees)
        )

    def short(self, alias: str, port: int, found: AnyFound) -> None:
        """A name without a dot, which other namespaces may have for something of theirs, and a host may not be."""
        self._short.setdefault((alias, port), f"{found.subject} ({found.origin})")

    def addresses(self, hosts: Iterable[str], port: int, found: AnyFound, path: Path) -> bool:
        """Whether these hosts at this port can mean this. Each name has one meaning for whoever writes it."""
        wanted = [(host, port) for host in hosts]
        firsts = (self._addresses.get(each) or self._short.get(each) for each in wanted)
        first = next((each for each in firsts if each), None)
        if first is not None:
            text = f"{first} has {wanted[0][0]}:{port} already"
            self._findings.add(found, path, SAME_NAME, text)
            return False
        self._addresses |= dict.fromkeys(wanted, f"{found.subject} ({found.origin})")
        return True

    def _take(self, name: str, found: AnyFound, path: Path, names: dict[str, str]) -> bool:
        first = names.setdefault(name, f"{found.subject} ({found.origin})")
        if first == f"{found.subject} ({found.origin})":
            return True
        self._findings.add(found, path or ("metadata", "name"), SAME_NAME, f"{first} is called {name!r} here already")
        return False
