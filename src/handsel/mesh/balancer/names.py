"""Host names at a load balancer: which endpoint takes a connection, and what `{subdomain}` is."""

from __future__ import annotations

from collections.abc import Iterable

from handsel.model.balancer import Balancer

_LABELS_OF_A_SUBDOMAIN = 3
"""`api.example.com` has the subdomain `api`; `example.com` has none."""


def endpoint_for(balancer: Balancer, server_name: str) -> tuple[int, str]:
    """The endpoint that takes a connection with this server name (SNI), and why.

    As Envoy looks: the name itself, then the wildcard with the most labels, then the default. Other than in a
    certificate a wildcard takes several labels here, whose clients then refuse the certificate.
    """
    name = server_name.lower()
    if not name:
        return balancer.default, "the default endpoint, since there is no server name"
    taken = taken_names(balancer)
    for candidate in (name, *_wildcards(name)):
        if candidate in taken:
            return taken[candidate], f"{candidate} is a name of its certificate"
    return balancer.default, f"the default endpoint, since no certificate has {name}"


def taken_names(balancer: Balancer) -> dict[str, int]:
    """The endpoint of each name; of several with the same name the first."""
    found: dict[str, int] = {}
    for index, endpoint in enumerate(balancer.endpoints):
        for name in endpoint.names:
            found.setdefault(name, index)
    return found


def _wildcards(name: str) -> Iterable[str]:
    labels = name.split(".")
    return (f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))


def with_subdomain(names: Iterable[str]) -> tuple[str, ...]:
    """Those names of a certificate that have a subdomain: wildcards, and names of three labels or more."""
    return tuple(each for each in names if each.startswith("*.") or each.count(".") >= _LABELS_OF_A_SUBDOMAIN - 1)


def hosts_of_subdomain(names: Iterable[str], subdomain: str) -> tuple[str, ...]:
    """The hosts whose `{subdomain}` has this value."""
    found = {f"{subdomain}.{name.partition('.')[2]}" for name in with_subdomain(names) if name.startswith("*.")}
    found |= {name for name in with_subdomain(names) if name.partition(".")[0] == subdomain}
    return tuple(sorted(found))


def fits(hosts: Iterable[str], host: str) -> bool:
    """Whether a Host header, with or without a port, is one of these. A wildcard takes several labels, as in Envoy."""
    name = _without_port(host).lower()
    return any(
        name.endswith(each[1:]) and len(name) > len(each[1:]) if each[:2] == "*." else name == each for each in hosts
    )


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and not name.endswith(":") else host
