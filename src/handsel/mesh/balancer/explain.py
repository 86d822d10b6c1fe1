"""What a load balancer does with a URL, in words: which endpoint and which rule take it, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass

from handsel.mesh.balancer.mapping import Lost, Rule, decide, rules
from handsel.mesh.balancer.names import endpoint_for
from handsel.mesh.balancer.normal import normal
from handsel.model.balancer import Balancer, ClientMode, HttpMode, SslEndpoint


@dataclass(frozen=True)
class Url:
    """What is asked for. `server_name`: that of TLS (SNI); `path` is with its query."""

    scheme: str
    host: str
    path: str
    server_name: str
    websocket: bool = False

    @property
    def is_tls(self) -> bool:
        return self.scheme in ("https", "wss")


@dataclass(frozen=True)
class Explained:
    """What becomes of a URL. `status` 0: an application answers, which sees `path`. `why`: one line on the whole.

    `rule` None: no rule takes it.
    """

    port: int
    endpoint: str = ""
    endpoint_why: str = ""
    client_certificate: str = "off"
    rule: Rule | None = None
    path: str = ""
    status: int = 0
    why: str = ""
    lost: tuple[Lost, ...] = ()


def explain(balancer: Balancer, url: Url) -> Explained:
    """What becomes of a request."""
    if not balancer.started:
        return Explained(0, why="the load balancer is stopped: it listens at no port")
    if not url.is_tls and balancer.http_mode is HttpMode.OFF:
        return Explained(0, why="http_mode is off: nobody listens at the plain port")
    if not url.is_tls and balancer.http_mode is HttpMode.REDIRECT:
        port = "" if balancer.https_port == 443 else f":{balancer.https_port}"
        where = f"https://{url.host.partition(':')[0]}{port}{url.path}"
        return Explained(balancer.http_port, status=301, why=f"the plain port sends it to {where}")
    if url.is_tls and not balancer.endpoints:
        return Explained(0, why="it has no ssl_endpoints: nobody listens for TLS")
    if not url.is_tls:
        return _at(balancer, balancer.plain, balancer.http_port, "what the plain port serves", url)
    index, why = endpoint_for(balancer, url.server_name)
    return _at(balancer, balancer.endpoints[index], balancer.https_port, why, url)


def _at(balancer: Balancer, endpoint: SslEndpoint, port: int, why: str, url: Url) -> Explained:
    mode = endpoint.clients.mode if url.is_tls else ClientMode.OFF
    try:
        path = normal(url.path, keep_url_encoding=balancer.keep_url_encoding)
    except ValueError as error:
        return Explained(port, endpoint.name, why, mode, status=400, why=str(error))
    verdict = decide(rules(endpoint.mappings, balancer.applications, endpoint.names), url.host, path)
    status, reason = _outcome(balancer, verdict.rule, url)
    return Explained(port, endpoint.name, why, mode, verdict.rule, verdict.path, status, reason, verdict.lost)


def _outcome(balancer: Balancer, rule: Rule | None, url: Url) -> tuple[int, str]:
    if rule is None:
        return 404, "no rule takes it"
    name = f"rule {rule.number} ({rule.mapping.input_uri})"
    if not rule.app:
        return 404, f"{name} takes it, and no application has the name {rule.mapping.app_name}"
    protocol = rule.mapping.protocol
    if url.websocket and not protocol.is_websocket:
        return 403, f"{name} takes it, whose upstream_protocol {protocol} lets no WebSocket through"
    application = balancer.application(rule.app)
    if application and not application.workers:
        return 0, f"{name} takes it: {rule.app}, a callee of the mesh"
    return 0, f"{name} takes it: {rule.app} by {protocol}"
