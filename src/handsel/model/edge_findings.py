"""What a person should know of gateways and adapters of the mesh file: hops that are weak because somebody said so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from handsel.model.finding import Finding, Known, Severity
from handsel.model.gateway import Gateway, GatewayPort, Legacy
from handsel.model.graph import Service

_OLD = ("TLSv1.0", "TLSv1.1")

PLAIN_HOP = Known("HM-501", Severity.HIGH, "Put the adapter on the same host, or give the endpoint TLS.")
OLD_HOP = Known("HM-502", Severity.HIGH, "Keep it on one host or network segment, and replace the endpoint.")
UNCHECKED_HOP = Known("HM-503", Severity.HIGH, "Name its roots: ca_certificates.")
PLAIN_PORT = Known("HM-504", Severity.MEDIUM, "Give it tls, or let it redirect: redirect_from.")
OLD_PORT = Known("HM-505", Severity.HIGH, "Leave minimum out: TLSv1.2.")


def edge_findings(services: Iterable[Service], gateways: Iterable[Gateway]) -> list[Finding]:
    """The findings, in the order of the file."""
    found = [each for service in services if service.legacy for each in _of_adapter(service, service.legacy)]
    for gateway in gateways:
        for port in gateway.ports:
            found += _of_port(f"gateway {gateway.name}", port)
    return found


def _of_adapter(service: Service, legacy: Legacy) -> Iterator[Finding]:
    subject, place = f"adapter {service.name}", f"{legacy.host}:{legacy.port}"
    if legacy.tls is None:
        if not legacy.host.startswith("127.") and legacy.host not in ("localhost", "::1"):
            yield PLAIN_HOP.at(service.origin, subject, f"the hop from {service.name} to {place} is plaintext")
        return
    if legacy.minimum in _OLD:
        message = f"the hop from {service.name} to {place} may use {legacy.minimum}, which is broken (RFC 8996)"
        yield OLD_HOP.at(service.origin, subject, message)
    if legacy.tls.insecure:
        message = f"{service.name} takes whatever certificate {place} shows: who is between reads and changes all"
        yield UNCHECKED_HOP.at(service.origin, subject, message)


def _of_port(subject: str, port: GatewayPort) -> Iterator[Finding]:
    if port.tls is None and not port.https_redirect:
        yield PLAIN_PORT.at(port.origin, subject, f"port {port.number} of {subject} is plaintext")
    elif port.tls and port.tls.minimum in _OLD:
        message = f"port {port.number} of {subject} takes {port.tls.minimum}, which is broken (RFC 8996)"
        yield OLD_PORT.at(port.origin, subject, message)
