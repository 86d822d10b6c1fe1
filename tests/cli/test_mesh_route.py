"""`handsel mesh route`: which rule takes a URL, from the file alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from handsel.cli.main import root
from handsel.errors import UsageError

TEXT = """\
services: {web: {calls: [orders]}, orders: {}, orders-v2: {}}
balancers:
  front:
    http_mode: redirect
    https_port: 8443
    ssl_endpoints:
      - {public_key: /a.pem, private_key: /a.key, names: [shop.example.com, "*.shop.example.com"]}
      - {public_key: /b.pem, private_key: /b.key, names: [partner.example.com], verify_client_mode: "on"}
    client_cert: /c.pem
    mappings:
      - {input_uri: /chat, app_name: orders, upstream_protocol: ws}
      - {input_uri: "/v1/{app}/", app_name: "{app}", app_uri: /api/}
      - {input_uri: /v1/old/x, app_name: old}
    applications: {orders: {}, old: {workers: [10.0.0.1]}}
routes:
  orders:
    - {when: {path: /v2}, to: orders-v2}
    - {to: orders}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("route") / "handsel.yaml"
    path.write_text(TEXT)
    return path


def _route(config: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(root, ["mesh", "route", *arguments, "-f", str(config)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_the_rule_the_endpoint_and_the_losers_are_told(config: Path):
    code, said = _route(config, "https://eu.shop.example.com/v1/orders/7?x=1")
    assert code == 0
    assert said.splitlines() == [
        f"rule 2 (/v1/{{app}}/) takes it: orders, a callee of the mesh ({config}:12)",
        (
            "  load balancer front, port 8443, endpoint shop.example.com: *.shop.example.com is a name of its certificate; "
            "client certificate: off"
        ),
        "  the application sees /api/7?x=1",
        "  rule 1: the path does not begin with /chat",
        "  rule 3: the path does not begin with /v1/old/x",
        f"  {config}:13: rule 3 (/v1/old/x) never takes a request: rule 2 (/v1/{{app}}/) takes all of it",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "wanted"),
    [
        (["https://shop.example.com/v1/nobody/7"], 1, {"status": 404, "rule": 2, "application": None}),
        (["https://shop.example.com/"], 1, {"status": 404, "rule": None}),
        (["https://shop.example.com/a/../v1/old/1"], 0, {"application": "old", "protocol": "http", "path": "/api/1"}),
        (["http://shop.example.com/x"], 0, {"status": 301, "why": "the plain port sends it to "
                                            "https://shop.example.com:8443/x"}),
        (["https://shop.example.com/chat", "-H", "upgrade=websocket"], 0, {"rule": 1, "protocol": "ws"}),
        (["https://shop.example.com/v1/old/", "-H", "Upgrade=websocket"], 1, {"status": 403, "rule": 2}),
        (["https://10.0.0.9/chat", "--sni", "partner.example.com"], 0, {"endpoint": "partner.example.com",
                                                                        "clientCertificate": "on"}),
        (["https://10.0.0.9/chat"], 0, {"endpoint": "shop.example.com"}),
        (["https://x.test/chat", "--balancer", "front"], 0, {"endpointWhy": "the default endpoint, since no "
                                                             "certificate has x.test"}),
        (["https://shop.example.com/%00"], 1, {"status": 400}),
        (["http://orders/v2/x", "--from", "web"], 0, {"rule": 1, "why": "rule 1 of orders takes it: orders-v2"}),
        (["http://orders/x", "--from", "web"], 0, {"rule": 2}),
    ],
)  # fmt: skip
def test_what_becomes_of_a_url(config: Path, arguments: list[str], code: int, wanted: dict[str, object]):
    exit_code, said = _route(config, *arguments, "-o", "json")
    content = json.loads(said)
    assert {key: content[key] for key in wanted} == wanted
    assert exit_code == code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shop.example.com"], "no URL"), (["ftp://shop.example.com/"], "no URL"), (["https://[::1/"], "no URL"),
        (["https://a:99999/"], "no URL"), (["https://shop.example.com/ü"], "ASCII"),
        (["https://shop.example.com/", "--balancer", "back"], "no load balancer 'back'"),
        (["https://shop.example.com/", "-H", "x"], "NAME=VALUE"), (["http://orders/", "--from", "wep"], "no service"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_so(config: Path, arguments: list[str], message: str):
    with pytest.raises(UsageError, match=message):
        _route(config, *arguments)
