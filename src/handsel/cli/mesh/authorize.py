"""`handsel mesh authorize`: whether a call is allowed, and what says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from handsel.cli import common
from handsel.errors import UsageError


@click.command()
@common.config_option
@click.option("--from", "caller", default="", help="The service that calls. Left out: a program outside the mesh.")
@click.option("--to", "callee", required=True, help="The service that is called, or a name that leads to some.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port at which its program listens. The main one.")
@click.option("--method", default="GET", show_default=True, help="The method of the request.")
@click.option("--path", default="/", show_default=True, help="Its path.")
@click.option("--host", default="", help="Its Host header. The callee's name when left out.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header of it.")
@click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="A claim of the valid token it brings; "
              "of a list each value by itself.")  # fmt: skip
@click.option("--ip", default="", help="The address from which it comes.")
@click.option("--demo", is_flag=True, help="The voting application that comes with handsel.")
@common.output_option
def command(config: Path, output: str, *, demo: bool, **call: Any) -> None:
    """Say whether a call would be allowed, and by which rule of which file. Needs no server; asks no proxy.

    -f names the mesh file, or a folder with Istio's resources. Exits with 0 when it is allowed, 1 when it is denied.

    \b
    Examples:
      handsel mesh authorize --from web --to emoji
      handsel mesh authorize --from web --to emoji --method POST --path /votes --claim sub=ann --claim role=admin
      handsel mesh authorize -f istio/ --from bot --to store --ip 10.1.2.3 -o json
    """
    from handsel.mesh.authorize import Call, authorize
    from handsel.wiring.mesh_files import load_mesh

    mesh = load_mesh(common.demo_file() if demo else config)
    described = Call(
        call["caller"],
        call["callee"],
        call["port"] or 0,
        call["method"],
        call["path"],
        call["host"],
        {name: values[-1] for name, values in _pairs(call["headers"], "--header").items()},
        _claims(call["claims"]),
        _address(call["ip"]),
    )
    verdict = authorize(mesh, described)
    content = {
        "apiVersion": "handsel/v1",
        "kind": "Authorization",
        "from": described.caller or None,
        "to": described.callee,
        "allowed": verdict.allowed,
        "rule": verdict.rule or None,
        "place": str(verdict.origin) if verdict.origin.file else None,
        "why": verdict.why,
    }
    if output == "json":
        click.echo(json.dumps(content, indent=2))
    elif output == "yaml":
        common.print_yaml(content)
    else:
        place = f" ({content['place']})" if content["place"] else ""
        click.echo(f"{'allowed' if verdict.allowed else 'denied'}: {verdict.why}{place}")
    raise SystemExit(0 if verdict.allowed else 1)


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {text!r}: write NAME=VALUE")
        found.setdefault(name, []).append(value)
    return found


def _claims(texts: tuple[str, ...]) -> dict[str, Any] | None:
    """Claims as a token has them; dots in a name lead into claims that have claims."""
    if not texts:
        return None
    claims: dict[str, Any] = {}
    for name, values in _pairs(texts, "--claim").items():
        *above, last = [name] if name.startswith(("http:", "https:")) else name.split(".")
        inner = claims
        for step in above:
            inner = inner.setdefault(step, {})
            if not isinstance(inner, dict):
                raise UsageError(f"--claim {name}: {step} has a value already")
        inner[last] = values[0] if len(values) == 1 else values
    return claims


def _address(text: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise UsageError(f"--ip {text!r} is no IP address") from None
