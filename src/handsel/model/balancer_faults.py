"""What is wrong with `balancers:` in the mesh file beyond its form: every fault at once, each with its path."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterator

from handsel.documents.yaml import Path
from handsel.model.balancer import ClientMode, HttpMode, Preset
from handsel.model.balancer_file import ApplicationFile, BalancerFile, worker
from handsel.model.certificate_files import ReadFile, bundle_faults
from handsel.model.endpoint_faults import Files, allowlist_faults, clients_faults, endpoints_faults
from handsel.model.faults import HOST, NAME, did_you_mean
from handsel.model.mapping_faults import mappings_faults
from handsel.pki.names import TrustDomain

_MOST_ENDPOINTS = 100
_MOST_APPLICATIONS = 500
_LONGEST_TIMEOUT_SECONDS = 3600
_LARGEST_PAYLOAD = 4 << 30

Faults = Iterator[tuple[Path, str]]


def balancers_faults(
    content: dict[str, BalancerFile],
    trust_domain: TrustDomain,
    callees: Collection[str] | None,
    absolute: Callable[[str], str],
    read: ReadFile,
) -> Faults:
    """What only the whole can tell, each with its path below `balancers`.

    `callees`: what may be called by name; None: not known now.
    """
    files = Files(lambda path: absolute(path) if path else "", read)
    for name, each in content.items():
        yield from _name(name, each, trust_domain)
        for path, message in _balancer(each, callees, files):
            yield (name, *path), message


def _name(name: str, said: BalancerFile, trust_domain: TrustDomain) -> Faults:
    if not NAME.fullmatch(name):
        yield (
            (name,),
            "a name has lower-case letters, digits and -: it is a label of a host name (RFC 1123, section 2.1)",
        )
    elif name.startswith("internal-"):
        yield (
            (name,),
            "the name of a load balancer does not begin with internal-, as that of its private addresses does",
        )
    try:
        trust_domain.workload(said.namespace, name)
    except ValueError as error:
        yield (name, "namespace"), str(error)


def _balancer(said: BalancerFile, callees: Collection[str] | None, files: Files) -> Faults:
    yield from _limits(said)
    yield from _listening(said)
    yield from allowlist_faults(("ip_allowlist",), said.ip_allowlist, said.http_mode)
    for name, each in said.applications.items():
        for path, message in _application(name, each, callees, files):
            yield ("applications", name, *path), message
    yield from ((("mappings", *path), text) for path, text in mappings_faults(said.mappings, said.applications))
    yield from ((("ssl_endpoints", *path), text) for path, text in endpoints_faults(said, files))
    yield from clients_faults(said.verify_client_mode, said.client_cert, said.revocation_list, files)
    yield from _shared(said) if said.preset is Preset.SHARED else _dedicated(said)


def _limits(said: BalancerFile) -> Faults:
    if not 1 <= said.proxy_read_timeout.total_seconds() <= _LONGEST_TIMEOUT_SECONDS:
        yield ("proxy_read_timeout",), "must be between 1s and 1h"
    if not 1 <= said.payload_limit < _LARGEST_PAYLOAD:
        yield ("payload_limit",), "must be between 1B and 4095MB"
    if len(said.ssl_endpoints) > _MOST_ENDPOINTS:
        yield ("ssl_endpoints",), f"at most {_MOST_ENDPOINTS}"
    if len(said.applications) > _MOST_APPLICATIONS:
        yield ("applications",), f"at most {_MOST_APPLICATIONS}"


def _listening(said: BalancerFile) -> Faults:
    if said.http_port == said.https_port:
        yield ("https_port",), f"{said.https_port} is the plain port already"
    if said.bind and not _is_address(said.bind):
        yield ("bind",), f"{said.bind[:60]!r} is no IP address"
    if said.ssl_endpoints and said.default_ssl_endpoint >= len(said.ssl_endpoints):
        yield ("default_ssl_endpoint",), f"there is no ssl_endpoints[{said.default_ssl_endpoint}]: they count from 0"
    if not said.ssl_endpoints and said.http_mode is HttpMode.OFF:
        yield ("http_mode",), "with http off and no ssl_endpoints nothing would listen"
    if not said.ssl_endpoints and said.http_mode is HttpMode.REDIRECT:
        yield ("http_mode",), "there are no ssl_endpoints to redirect to"


def _shared(said: BalancerFile) -> Faults:
    if not HOST.fullmatch(said.domain.lower()):
        yield ("domain",), "the shared preset needs the domain of its applications, such as apps.example.com"
    if len(said.ssl_endpoints) > 1:
        yield ("ssl_endpoints", 1), "the shared preset has one certificate: that of its domain"
    if said.mappings or any(each.mappings for each in said.ssl_endpoints):
        yield ("mappings",), "the shared preset has no rules of its own: an application is found by its host name"
    if said.verify_client_mode is not ClientMode.OFF:
        yield ("verify_client_mode",), "the shared preset asks for no client certificates"


def _dedicated(said: BalancerFile) -> Faults:
    if said.domain:
        yield ("domain",), "is for the shared preset; here names are those of the certificates"
    served = [each.mappings or said.mappings for each in said.ssl_endpoints] or [said.mappings]
    if not all(served):
        yield ("mappings",), "is missing: without a rule every request would be answered with 404"


def _application(name: str, said: ApplicationFile, callees: Collection[str] | None, files: Files) -> Faults:
    if not NAME.fullmatch(name):
        yield (), "the name of an application is a label of a host name (RFC 1123, section 2.1)"
    for index, text in enumerate(said.workers):
        if worker(text) is None:
            yield ("workers", index), f"{text[:60]!r} is no address, perhaps with a port: 10.0.0.1, or [::1]:8091"
    if said.workers and name in (callees or ()):
        yield (), "a service or an external has this name already: leave its workers out, or give it another name"
    elif not said.workers and callees is not None and name not in callees:
        hint = did_you_mean(name, callees)
        yield (), f"there is no service or external {name!r}: say its workers{hint and ', or '}{hint}"
    if not said.workers and (said.http_port or said.https_port or said.ca_certificates or said.server_name):
        yield (), "how a callee of the mesh is reached is not said here: ports and TLS are for workers"
    for key in ("interval", "timeout"):
        if not 0.1 <= getattr(said.health, key).total_seconds() <= _LONGEST_TIMEOUT_SECONDS:
            yield ("health", key), "must be between 100ms and 1h"
    yield from files.faults(("ca_certificates",), said.ca_certificates, bundle_faults)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
