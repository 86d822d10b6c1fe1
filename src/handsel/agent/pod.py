"""A workload in a pod of Kubernetes: the ports that are fixed there, and what its programs call other programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from handsel.agent.model import Ports

_MOST_SERVERS, _MOST_DOMAINS = 3, 32  # resolv.conf(5)


def in_front_of(ports: Ports) -> Ports:
    """Each mesh port is the program's own: who calls the pod there is led to the sidecar, with TLS or without."""
    return replace(ports, mesh=ports.application, more={port: port for port in ports.more})


@dataclass(frozen=True)
class Resolving:
    """How a pod looks names up: whom it asks, and the domains that it tries behind a name."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()


def read_resolving(text: str) -> Resolving:
    """What a resolv.conf(5) says; of what has no meaning nothing."""
    servers: list[str] = []
    search: list[str] = []
    for line in text.splitlines():
        match line.split():
            case ["nameserver", server, *_]:
                servers.append(server)
            case ["search" | "domain", *domains]:
                search = domains  # the last one counts
    wanted = (each.strip(".") for each in search[:_MOST_DOMAINS])
    return Resolving(tuple(servers[:_MOST_SERVERS]), tuple(each for each in wanted if each))


def names(callees: Mapping[str, str], search: tuple[str, ...]) -> dict[str, str]:
    """The address of each callee by all that a resolver asks for when a program says its name.

    `callees`: their names, several with blanks between them. With `search` domains the resolver asks for the longer
    names first; the cluster would answer those with addresses past the sidecar.
    """
    own = {name: address for together, address in callees.items() for name in together.split()}
    return {f"{name}.{domain}": address for name, address in own.items() for domain in search} | own
