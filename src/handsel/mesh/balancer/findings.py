"""What a person should know of load balancers: rules that never count, and what is weaker than it looks."""

from __future__ import annotations

from collections.abc import Iterator

from handsel.mesh.balancer.mapping import rules
from handsel.mesh.balancer.normal import normal
from handsel.mesh.balancer.shadows import never_taken
from handsel.model.balancer import Balancer, CipherSet, ClientMode, HttpMode, Preset, SslEndpoint
from handsel.model.finding import Finding, Known, Severity
from handsel.model.graph import Mesh
from handsel.model.origin import Origin
from handsel.model.uri_pattern import UriPattern

_INFO, _LOW, _MEDIUM, _HIGH, _ERROR = Severity

SHADOWED = Known("HM-401", _HIGH, "Put it before those that take its requests, or take it out.")
NEVER_SEEN_SO = Known("HM-402", _HIGH, "Write the path as it is compared, or say keep_url_encoding: true.")
CLIENTS_WITHOUT_TLS = Known("HM-403", _HIGH, "Say http_mode: redirect, or off.")
FAILED_ADMITTED = Known("HM-404", _HIGH, "Take forward_failed out, or let every application refuse what is FAILED.")
CLIENT_CERT_UNUSED = Known("HM-405", _MEDIUM, "Say verify_client_mode: on, or optional.")
OLD_TLS = Known("HM-406", _HIGH, "Take tlsv1 out: clients know TLS 1.2.")
NO_FORWARD_SECRECY = Known("HM-407", _HIGH, "Use NewDefault-v1, or EcdheEcdsaRsa.")
OLD_SUITES = Known("HM-408", _MEDIUM, "Use NewDefault-v1, or EcdheEcdsaRsa.")
PLAIN_SERVED = Known("HM-409", _MEDIUM, "Say http_mode: redirect.")
ADDRESS_BELIEVED = Known("HM-410", _MEDIUM, "Let nobody but the proxy before it reach its ports.")
MANY_CERTIFICATES = Known("HM-411", _INFO, "Nothing, if it stays here: CloudHub 2.0 takes fewer.")
NO_COMMON_NAME = Known("HM-412", _INFO, "Nothing, if it stays here: MuleSoft names endpoints by their CN.")

_MOST_CERTIFICATES = 10
"""TLS contexts, as CloudHub 2.0 has it."""

Found = Iterator[tuple[Origin, Known, str]]


def findings(mesh: Mesh) -> list[Finding]:
    """The findings of every load balancer, in the order of the file."""
    return [each for balancer in mesh.balancers for each in of_balancer(balancer)]


def of_balancer(balancer: Balancer) -> list[Finding]:
    """The findings of one load balancer. Rules that several endpoints have are said once."""
    served = [*balancer.endpoints, *([balancer.plain] if balancer.http_mode is HttpMode.ON else [])]
    found = {
        (place.line, known.code): Finding(
            place.file, place.line, 1, known.code, known.severity, message, "", f"balancer {balancer.name}", known.fix
        )
        for part in (*(_of_endpoint(balancer, each) for each in reversed(served)), _of_whole(balancer))
        for place, known, message in part
    }
    return sorted(found.values())


def _of_endpoint(balancer: Balancer, endpoint: SslEndpoint) -> Found:
    yield from _of_rules(balancer, endpoint)
    clients, place, has_tls = endpoint.clients, endpoint.origin, bool(endpoint.certificates)
    if clients.mode is ClientMode.ON and not has_tls:
        message = f"{endpoint.name} wants client certificates, and the plain port serves the same to everybody"
        yield place, CLIENTS_WITHOUT_TLS, message
    if clients.mode is not ClientMode.OFF and clients.forward_failed and has_tls:
        message = f"a certificate that anybody made reaches the applications of {endpoint.name}, marked FAILED"
        yield place, FAILED_ADMITTED, message
    if clients.mode is ClientMode.OFF and clients.ca and has_tls:
        yield (
            place,
            CLIENT_CERT_UNUSED,
            f"client_cert is not used at {endpoint.name}: nobody is asked for a certificate",
        )
    if not endpoint.has_common_name:
        yield place, NO_COMMON_NAME, f"the certificate has no CN: it is called {endpoint.name} here"


def _of_rules(balancer: Balancer, endpoint: SslEndpoint) -> Found:
    mappings = endpoint.mappings
    for number, takers in never_taken(rules(mappings, balancer.applications, endpoint.names)).items():
        before = ", ".join(f"{each} ({mappings[each - 1].input_uri})" for each in takers)
        why = f"rule {before} takes all of it" if takers else f"no name of {endpoint.name or 'it'} has a {{subdomain}}"
        mapping = mappings[number - 1]
        yield mapping.origin, SHADOWED, f"rule {number} ({mapping.input_uri}) never takes a request: {why}"
    for number, mapping in enumerate(mappings, 1):
        seen = mapping.input_uri if balancer.keep_url_encoding else _seen(mapping.input_uri)
        if seen != mapping.input_uri:
            why = f"such a path is compared as {seen}"
            yield mapping.origin, NEVER_SEEN_SO, f"rule {number} ({mapping.input_uri}) never takes a request: {why}"


def _seen(input_uri: str) -> str:
    """How a path that begins so is compared; the same where that depends on what follows."""
    if UriPattern.parse(input_uri).variables or input_uri.rpartition("/")[2] in (".", ".."):
        return input_uri
    try:
        return normal(input_uri, keep_url_encoding=False)
    except ValueError:
        return "an error (400)"


def _of_whole(balancer: Balancer) -> Found:
    place = balancer.origin
    if balancer.tls_1_0:
        yield place, OLD_TLS, "TLS 1.0 and 1.1 are spoken, which are broken (RFC 8996)"
    if balancer.ciphers is CipherSet.RESTRICT:
        message = "the suites of RestrictCiphers have no forward secrecy: who gets the key reads all that was recorded"
        yield place, NO_FORWARD_SECRECY, message
    elif balancer.ciphers is CipherSet.OLD_DEFAULT:
        yield place, OLD_SUITES, "OldDefault has suites with CBC, and some without forward secrecy"
    if balancer.http_mode is HttpMode.ON and balancer.preset is Preset.DEDICATED and balancer.endpoints:
        yield place, PLAIN_SERVED, "the plain port serves the default endpoint without encryption"
    if balancer.proxy_protocol or balancer.trusted_hops:
        yield place, ADDRESS_BELIEVED, "whoever reaches its ports himself can say that he is any address"
    if len(balancer.endpoints) > _MOST_CERTIFICATES:
        message = f"{len(balancer.endpoints)} certificates are more than the {_MOST_CERTIFICATES} of CloudHub 2.0"
        yield place, MANY_CERTIFICATES, message
