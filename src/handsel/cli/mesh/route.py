"""`handsel mesh route`: which rule takes a URL, and why the others do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import click

from handsel.cli import common
from handsel.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from handsel.mesh.balancer.explain import Explained
    from handsel.model.balancer import Balancer
    from handsel.model.graph import Mesh

_SCHEMES = ("http", "https", "ws", "wss")


@click.command()
@click.argument("url")
@common.config_option
@click.option(
    "--balancer", default="", metavar="NAME", help="The load balancer that is asked. The one that has the name."
)
@click.option("--from", "caller", default="", metavar="SERVICE", help="The service that calls, for rules of the mesh.")
@click.option("--method", default="GET", show_default=True, help="The method of the request.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header of it.")
@click.option("--sni", metavar="NAME", help="The server name of TLS. The host of the URL when left out.")
@common.output_option
def command(url: str, config: Path, balancer: str, caller: str, method: str, headers: tuple[str, ...],
            sni: str | None, output: str) -> None:  # fmt: skip
    """Say which rule of a load balancer, or of `routes`, takes a request, and why the others do not.

    Needs no server; asks no proxy. Exits with 0 when somebody answers it, 1 when nobody does.

    \b
    Examples:
      handsel mesh route https://shop.example.com/v1/eu/orders/7
      handsel mesh route https://shop.example.com/chat -H upgrade=websocket -o json
      handsel mesh route https://10.0.0.1/ -H host=shop.example.com --sni partner.example.com --balancer front
      handsel mesh route http://emoji/list --from web -H x-version=2
    """
    from handsel.wiring.mesh_files import load_mesh

    parts, said = _split(url), _headers(headers)
    mesh = load_mesh(config)
    chosen = _choose(mesh, balancer, parts, said)
    content = (
        _of_routes(mesh, parts, said, method, caller) if chosen is None else _of_balancer(chosen, parts, said, sni)
    )
    if output == "json":
        click.echo(json.dumps(content, indent=2))
    elif output == "yaml":
        common.print_yaml(content)
    else:
        _print(content)
    raise SystemExit(ExitCode.OK if content["answered"] else ExitCode.FAILED)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"{url[:200]!r} is no URL: {error}") from error
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise UsageError(
            f"{url[:200]!r} is no URL of http or https", next_step="such as https://shop.example.com/orders"
        )
    if not all(" " < each <= "~" for each in parts.path + parts.query):
        raise UsageError("a path has visible characters of ASCII only", next_step="write the others as %XX")
    return parts


def _headers(texts: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--header {text!r}: write NAME=VALUE")
        found[name.lower()] = value
    return found


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _host(parts: SplitResult, headers: dict[str, str]) -> str:
    return headers.get("host") or parts.netloc.rpartition("@")[2]


def _choose(mesh: Mesh, name: str, parts: SplitResult, headers: dict[str, str]) -> Balancer | None:
    """The load balancer that is meant; None when none is, and the host is one of the mesh."""
    from handsel.mesh.balancer.names import fits

    known = {each.name: each for each in mesh.balancers}
    if name:
        if name not in known:
            raise UsageError(f"there is no load balancer {name!r}", next_step=f"known: {', '.join(known) or 'none'}")
        return known[name]
    host = _host(parts, headers)
    having = [each for each in known.values() if any(fits(e.names, host) for e in (*each.endpoints, each.plain))]
    if having or (len(known) == 1 and not _rules_for(mesh, parts.hostname or "")):
        return having[0] if having else next(iter(known.values()))
    return None


def _of_balancer(balancer: Balancer, parts: SplitResult, headers: dict[str, str], sni: str | None) -> dict[str, Any]:
    from handsel.mesh.balancer.explain import Url, explain
    from handsel.mesh.balancer.findings import of_balancer

    server_name = (parts.hostname or "") if sni is None else sni
    if sni is None and not server_name.strip("0123456789.:"):
        server_name = ""  # an address is no server name (RFC 6066, section 3)
    websocket = parts.scheme in ("ws", "wss") or headers.get("upgrade", "").lower() == "websocket"
    url = Url(parts.scheme, _host(parts, headers), _path(parts), server_name, websocket)
    found = explain(balancer, url)
    never = [str(each) for each in of_balancer(balancer) if each.code in ("HM-401", "HM-402")]
    return {**_content(balancer, found), "findings": never}


def _content(balancer: Balancer, found: Explained) -> dict[str, Any]:
    rule = found.rule
    return {
        "apiVersion": "handsel/v1",
        "kind": "Route",
        "balancer": balancer.name,
        "answered": (rule is not None and not found.status) or found.status == 301,
        "why": found.why,
        "port": found.port or None,
        "endpoint": found.endpoint or None,
        "endpointWhy": found.endpoint_why or None,
        "clientCertificate": str(found.client_certificate),
        "status": found.status or None,
        "rule": rule.number if rule else None,
        "place": str(rule.mapping.origin) if rule else None,
        "application": rule.app or None if rule else None,
        "protocol": str(rule.mapping.protocol) if rule else None,
        "path": found.path if rule and rule.app else None,
        "others": [{"rule": each.number, "why": each.reason} for each in found.lost],
    }


def _rules_for(mesh: Mesh, host: str) -> list[Any]:
    """What is said of the requests to a host of the mesh."""
    return [each for each in mesh.routes if host in each.hosts or host in each.callees]


def _of_routes(mesh: Mesh, parts: SplitResult, headers: dict[str, str], method: str, caller: str) -> dict[str, Any]:
    from handsel.mesh.router import Request, route

    host = parts.hostname or ""
    said = _rules_for(mesh, host)
    if not said:
        known = sorted({name for each in mesh.routes for name in each.hosts} | {each.name for each in mesh.balancers})
        raise UsageError(
            f"no load balancer and no routes know {host}", next_step=f"known: {', '.join(known) or 'none'}"
        )
    service = mesh.services.get(caller)
    if caller and service is None:
        raise UsageError(f"there is no service {caller!r}", next_step=f"known: {', '.join(mesh.services)}")
    (routes, *_) = said
    request = Request(
        _path(parts), method.upper(), _host(parts, headers), parts.scheme, headers,
        parts.port or (443 if parts.scheme == "https" else 80),
        dict(service.labels) if service else {}, service.namespace if service else "default",
    )  # fmt: skip
    verdict = route(routes.http, request)
    taken = routes.http[verdict.rule] if verdict.rule is not None else None
    targets = (
        ", ".join(f"{each.callee}{f'.{each.subset}' if each.subset else ''}" for each in taken.to) if taken else ""
    )
    name = f"rule {verdict.rule + 1} of {routes.name}" if verdict.rule is not None else ""
    return {
        "apiVersion": "handsel/v1",
        "kind": "Route",
        "routes": routes.name,
        "answered": taken is not None,
        "why": f"{name} takes it{f': {targets}' if targets else ''}" if taken else "no rule takes it (404)",
        "rule": verdict.rule + 1 if verdict.rule is not None else None,
        "place": str(taken.origin) if taken else None,
        "others": [{"rule": index + 1, "why": "; ".join(why)} for index, why in enumerate(verdict.refused)],
        "findings": [],
    }


def _print(content: dict[str, Any]) -> None:
    place = f" ({content['place']})" if content.get("place") else ""
    click.echo(content["why"] + place)
    if content.get("endpoint"):
        certificate = content["clientCertificate"]
        click.echo(
            f"  load balancer {content['balancer']}, port {content['port']}, endpoint {content['endpoint']}: "
            f"{content['endpointWhy']}; client certificate: {certificate}"
        )
    if content.get("path"):
        click.echo(f"  the application sees {content['path']}")
    for each in content["others"]:
        click.echo(f"  rule {each['rule']}: {each['why']}")
    for each in content["findings"]:
        click.echo(f"  {each}")
