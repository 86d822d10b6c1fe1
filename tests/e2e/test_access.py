"""`mesh authorize` and the real proxies agree about every request, and a refusal names its rule."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

from handsel.mesh.authorize import Call, authorize
from handsel.model.graph import Mesh as Graph
from handsel.pki.certificate import to_pem
from handsel.wiring.mesh_files import load_mesh
from tests.e2e.mesh_process import HTTP_PROGRAM, TCP_PROGRAM, Mesh, fetch, free_port, mesh, wait_for
from tests.support import TestAuthority, write_pair

pytestmark = pytest.mark.e2e

KEY = ECKey.import_key(ec.generate_private_key(ec.SECP256R1()), {"kid": "1", "use": "sig", "alg": "ES256"})
OTHER = ECKey.import_key(ec.generate_private_key(ec.SECP256R1()), {"kid": "1", "use": "sig", "alg": "ES256"})
ISSUER = "https://id.example"


KEYS = json.dumps({"keys": [KEY.as_dict(private=False)]})
AUDIT = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: watched}
spec: {selector: {matchLabels: {app: tokens}}, action: AUDIT, rules: [{to: [{operation: {paths: [/anybody]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: beside}
spec:
  selector: {matchLabels: {app: emoji}}
  rules:
  - {from: [{source: {serviceAccounts: [prod/ops]}}], to: [{operation: {paths: [/account]}}]}
  - {from: [{source: {trustDomains: [access.*], notNamespaces: [default]}}], to: [{operation: {paths: [/domain]}}]}
  - {from: [{source: {principals: ["*"]}}], to: [{operation: {paths: [/anyone], notMethods: [PUT]}}]}
  - {when: [{key: source.principal, notValues: ["*/sa/web"]}, {key: "request.headers[x-when]", values: ["*-on"]}]}
"""


def _text(folder: Path, identity_port: int) -> str:
    emoji, plain, store, tokens, remote = (free_port() for _ in range(5))
    (folder / "audit.yaml").write_text(AUDIT)
    return f"""
trust_domain: access.internal
include: [{folder}/audit.yaml]
external:
  identity:
    host: id.example
    endpoints: ["127.0.0.1:{identity_port}"]
    tls: {{ca_certificates: {folder}/ca.pem}}
services:
  web: {{calls: [emoji, plain, store, tokens, remote]}}
  bot: {{calls: [emoji, plain, store, tokens, remote]}}
  emoji:
    port: {emoji}
    command: {HTTP_PROGRAM}
    allow:
      - {{from: [web], methods: [GET, HEAD], paths: [/api/*, "/v1/{{*}}/items"]}}
      - {{from: [bot], paths: ["*.json"]}}
      - {{methods: [POST], hosts: ["*.example", EMOJI]}}
      - {{headers: {{x-team: [blue, "green-*"]}}, not_headers: {{x-debug: "*"}}}}
      - {{namespaces: ["pro*"], paths: [/space]}}
      - {{paths: [/forwarded], when: [{{key: remote.ip, values: [192.0.2.0/24]}}]}}
      - {{paths: [/near], ip_blocks: [127.0.0.0/8]}}
      - {{paths: [/far], not_ip_blocks: [127.0.0.0/8]}}
    deny:
      - {{paths: [/api/admin*], not_from: ["*/sa/root"]}}
      - {{methods: [DELETE]}}
  ops: {{namespace: prod, calls: [emoji]}}
  plain:
    port: {plain}
    command: {HTTP_PROGRAM}
    deny: [{{from: [bot]}}]
  tokens:
    port: {tokens}
    command: {HTTP_PROGRAM}
    tokens: [{{issuer: "{ISSUER}", audiences: [shop], jwks: '{KEYS}'}}]
    allow:
      - {{paths: [/anybody]}}
      - {{paths: [/any-token], token_principals: ["*"]}}
      - {{paths: [/ann], token_principals: ["{ISSUER}/ann"]}}
      - {{paths: [/admins], claims: {{roles: [admin]}}}}
      - {{paths: [/scoped], claims: {{scope: ["write"]}}}}
      - {{paths: [/deep], claims: {{org.unit: ["r-*"]}}}}
  remote:
    port: {remote}
    command: {HTTP_PROGRAM}
    tokens: [{{issuer: "{ISSUER}", jwks_uri: "https://id.example/keys", claim_headers: {{x-subject: sub}}}}]
    allow: [{{token_principals: ["*/ann"]}}]
  store:
    port: {store}
    protocol: tcp
    command: {TCP_PROGRAM}
    allow: [{{from: [web], ip_blocks: [127.0.0.0/8], not_ip_blocks: [127.9.0.0/16]}}]
"""


class _Keys(http.server.BaseHTTPRequestHandler):
    """An issuer that hands out its keys."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(KEYS)))
        self.end_headers()
        self.wfile.write(KEYS.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def _issuer(folder: Path) -> Iterator[int]:
    """Its port. It shows a certificate of a CA of its own."""
    authority = TestAuthority.make(datetime.now(UTC))
    pair = authority.pair(authority.trust_domain.workload("default", "id"), dns_names=("id.example",))
    (folder / "ca.pem").write_bytes(to_pem((authority.issuer.root,)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_pair(folder, "id", pair))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Keys)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("access")
    with _issuer(folder) as port, mesh(_text(folder, port)) as up:
        yield up


@pytest.fixture(scope="module")
def graph(running: Mesh) -> Graph:
    return load_mesh(running.folder / "handsel.yaml")


@dataclass(frozen=True)
class Asked:
    """A request of a program, and what is expected of both."""

    caller: str
    callee: str
    allowed: bool
    path: str = "/"
    method: str = "GET"
    host: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Any] | None = None


ANN = {"iss": ISSUER, "sub": "ann", "aud": "shop"}
REQUESTS = [
    Asked("web", "emoji", True, "/api/x"),
    Asked("web", "emoji", True, "/api/x", "HEAD"),
    Asked("web", "emoji", True, "/api/x?q=/api/admin"),
    Asked("web", "emoji", True, "//api//x"),
    Asked("web", "emoji", True, "/%61pi/x"),
    Asked("web", "emoji", False, "/API/x"),
    Asked("web", "emoji", False, "/apix"),
    Asked("web", "emoji", False, "/api/x", "PUT"),
    Asked("web", "emoji", False, "/api/admin"),
    Asked("web", "emoji", False, "/api/./admin/x"),
    Asked("web", "emoji", False, "/api/y/../admin"),
    Asked("web", "emoji", False, "/api/y/%2e%2e/admin"),
    Asked("web", "emoji", False, "/api/y%2fx"),
    Asked("web", "emoji", False, "/api/y%5Cx"),
    Asked("web", "emoji", True, "/v1/7/items"),
    Asked("web", "emoji", False, "/v1/7/8/items"),
    Asked("web", "emoji", False, "/v1/7/items/8"),
    Asked("web", "emoji", True, "/api/b/."),
    Asked("web", "emoji", True, "/api\\x"),
    Asked("web", "emoji", True, "/../api/x"),
    Asked("web", "emoji", False, "/api/.."),
    Asked("ops", "emoji", True, "/space"),
    Asked("web", "emoji", False, "/space"),
    Asked("ops", "emoji", True, "/account"),
    Asked("bot", "emoji", False, "/account"),
    Asked("ops", "emoji", True, "/domain"),
    Asked("web", "emoji", False, "/domain"),
    Asked("bot", "emoji", True, "/anyone"),
    Asked("bot", "emoji", False, "/anyone", "PUT"),
    Asked("bot", "emoji", True, "/", headers={"x-when": "is-on"}),
    Asked("bot", "emoji", False, "/", headers={"x-when": "is-off"}),
    Asked("web", "emoji", False, "/", headers={"x-when": "is-on"}),
    Asked("bot", "emoji", True, "/deep/down.json"),
    Asked("bot", "emoji", False, "/api/x"),
    Asked("web", "emoji", False, "/down.json"),
    Asked("bot", "emoji", True, "/", "POST", "shop.example"),
    Asked("bot", "emoji", True, "/", "POST", "SHOP.Example"),
    Asked("bot", "emoji", True, "/", "POST", "emoji"),
    Asked("bot", "emoji", False, "/", "POST", "emoji.else"),
    Asked("web", "emoji", True, "/", headers={"X-Team": "blue"}),
    Asked("web", "emoji", True, "/", headers={"x-team": "green-1"}),
    Asked("web", "emoji", False, "/", headers={"x-team": "red"}),
    Asked("web", "emoji", False, "/", headers={"x-team": "blue", "x-debug": "1"}),
    Asked("web", "emoji", False, "/", "DELETE", headers={"x-team": "blue"}),
    Asked("web", "emoji", True, "/forwarded", headers={"x-forwarded-for": "10.0.0.1, 192.0.2.7"}),
    Asked("web", "emoji", False, "/forwarded", headers={"x-forwarded-for": "192.0.2.7, 10.0.0.1"}),
    Asked("web", "emoji", True, "/near"),
    Asked("web", "emoji", False, "/far"),
    Asked("web", "plain", True),
    Asked("bot", "plain", False),
    Asked("web", "tokens", True, "/anybody"),
    Asked("web", "tokens", False, "/any-token"),
    Asked("web", "tokens", True, "/any-token", claims=ANN),
    Asked("web", "tokens", True, "/ann", claims=ANN),
    Asked("web", "tokens", False, "/ann", claims={**ANN, "sub": "bob"}),
    Asked("web", "tokens", False, "/anybody", claims={**ANN, "iss": "https://else.example"}),
    Asked("web", "tokens", False, "/anybody", claims={**ANN, "aud": "else"}),
    Asked("web", "tokens", True, "/admins", claims={**ANN, "roles": ["user", "admin"]}),
    Asked("web", "tokens", True, "/admins", claims={**ANN, "roles": "admin"}),
    Asked("web", "tokens", False, "/admins", claims={**ANN, "roles": ["user"]}),
    Asked("web", "tokens", True, "/scoped", claims={**ANN, "scope": "read write"}),
    Asked("web", "tokens", False, "/scoped", claims={**ANN, "scope": "read writer"}),
    Asked("web", "tokens", True, "/deep", claims={**ANN, "org": {"unit": "r-1"}}),
    Asked("web", "tokens", False, "/deep", claims={**ANN, "org": {"unit": "s-1"}}),
]


def _token(claims: dict[str, Any], key: ECKey = KEY) -> str:
    return jwt.encode({"alg": "ES256", "kid": "1"}, {"exp": int(time.time()) + 300, **claims}, key)


def _send(running: Mesh, asked: Asked, token: str = "") -> int:
    port = running.workload(asked.caller)["ports"]["callees"][asked.callee]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"Host": asked.host or asked.callee, **asked.headers}
    if asked.claims is not None:
        headers["Authorization"] = f"Bearer {token or _token(asked.claims)}"
    try:
        connection.request(asked.method, asked.path, headers=headers)
        return connection.getresponse().status
    except (http.client.HTTPException, ConnectionError):
        return 0  # a caller whose name is refused gets no answer at all
    finally:
        connection.close()


@pytest.fixture(scope="module")
def up(running: Mesh) -> Mesh:
    for asked in (REQUESTS[0], REQUESTS[-2], Asked("web", "plain", True)):
        wait_for(lambda asked=asked: _send(running, asked) == 200, what=str(asked))
    return running


def test_the_proxies_answer_as_authorize_says(up: Mesh, graph: Graph) -> None:
    wrong = []
    for asked in REQUESTS:
        call = Call(
            asked.caller,
            asked.callee,
            0,
            asked.method,
            asked.path,
            asked.host,
            asked.headers,
            asked.claims,
            "127.0.0.1",
        )
        verdict = authorize(graph, call)
        status = _send(up, asked)
        if (verdict.allowed, status == 200) != (asked.allowed, asked.allowed):
            wrong.append((asked, verdict, status))
    assert wrong == []
    assert len([each for each in REQUESTS if not each.allowed]) >= 15


def test_a_token_that_another_key_signed_is_refused(up: Mesh) -> None:
    asked = Asked("web", "tokens", True, "/anybody", claims=ANN)
    assert _send(up, asked) == 200
    assert _send(up, asked, _token(ANN, OTHER)) == 401
    assert _send(up, asked, _token({**ANN, "exp": int(time.time()) - 600})) == 401


def test_keys_are_fetched_from_the_issuer_over_verified_tls(up: Mesh) -> None:
    wait_for(lambda: _send(up, Asked("web", "remote", True, claims=ANN)) == 200, what="keys that were fetched")
    assert _send(up, Asked("web", "remote", False)) == 403
    assert _send(up, Asked("web", "remote", False, claims={**ANN, "sub": "bob"})) == 403
    assert _send(up, Asked("web", "remote", False, claims=ANN), _token(ANN, OTHER)) == 401


def test_what_is_audited_is_named_in_the_log_and_gets_through(up: Mesh) -> None:
    assert _send(up, Asked("web", "tokens", True, "/anybody?audited")) == 200
    assert _send(up, Asked("web", "tokens", False, "/not-audited")) == 403

    def audited(path: str) -> list[object]:
        return [line["audit"] for line in up.access_log("tokens") if line.get("path") == path]

    wait_for(lambda: audited("/anybody?audited") == ["default/watched#0"], what="the rule in the log")
    wait_for(lambda: audited("/not-audited") == [None], what="no rule in the log")


def test_the_log_of_a_refusal_names_the_rule(up: Mesh) -> None:
    assert _send(up, Asked("web", "emoji", False, "/api/admin/named")) == 403
    assert _send(up, Asked("web", "emoji", False, "/no/rule/fits")) == 403

    def details(path: str) -> str:
        lines = [line for line in up.access_log("emoji") if line.get("path") == path]
        return str(lines[-1]["details"]) if lines else ""

    wait_for(lambda: "default/emoji-deny#0" in details("/api/admin/named"), what="the rule in the log")
    wait_for(lambda: details("/no/rule/fits") == "rbac_access_denied_matched_policy[none]", what="that none fits")


def test_a_server_that_speaks_first_says_nothing_to_whom_no_rule_names(up: Mesh, graph: Graph) -> None:
    def banner(caller: str) -> bytes:
        port = up.workload(caller)["ports"]["callees"]["store"]
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
            stream.settimeout(3)
            try:
                return stream.recv(100)
            except (TimeoutError, ConnectionError):
                return b""

    assert wait_for(lambda: banner("web"))
    assert banner("bot") == b""
    for caller, address, allowed in (
        ("web", "127.0.0.1", True),
        ("web", "127.9.0.1", False),
        ("bot", "127.0.0.1", False),
    ):
        assert authorize(graph, Call(caller, "store", address=address)).allowed is allowed


def test_a_port_of_names_alone_stays_layer_4(up: Mesh) -> None:
    fetch(up.url("web", "plain"))
    events = {line["event"] for line in up.access_log("plain")}
    assert "inbound_connected" in events
    assert "inbound_request" not in events
