"""Istio's Gateway as it is, before real clients: several servers on one port, Secrets, and one Secret that is missing."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from handsel import settings
from tests.e2e.mesh_process import Mesh, free_port, mesh, run, short_folder, wait_for
from tests.e2e.outside import Client, plain
from tests.e2e.programs.third_parties import Authority, Files

pytestmark = pytest.mark.e2e

ECHO = f"{sys.executable} {Path(__file__).parent / 'programs' / 'headers_echo.py'}"

RESOURCES = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: shop, protocol: HTTPS}
      hosts: ["*/shop.example.com"]
      tls: {mode: SIMPLE, credentialName: shop-credential}
    - port: {number: 443, name: till, protocol: HTTPS}
      hosts: [till.example.com]
      tls: {mode: MUTUAL, credentialName: till-credential, subjectAltNames: [till.partner.example]}
    - port: {number: 443, name: late, protocol: HTTPS}
      hosts: [late.example.com]
      tls: {mode: SIMPLE, credentialName: late-credential}
    - port: {number: 15443, name: mesh, protocol: TLS}
      hosts: ["*.local"]
      tls: {mode: AUTO_PASSTHROUGH}
    - port: {number: 80, name: http, protocol: HTTP}
      hosts: [shop.example.com]
      tls: {httpsRedirect: true}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com, till.example.com, late.example.com]
  gateways: [edge]
  http:
    - match: [{uri: {prefix: /cart}, headers: {x-version: {exact: v2}}}]
      route: [{destination: {host: cart}}]
    - route: [{destination: {host: web}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  action: DENY
  rules: [{to: [{operation: {paths: [/admin*], ports: ["443"]}}]}]
"""


def _secret(name: str, **data: Path) -> str:
    values = {key: base64.b64encode(path.read_bytes()).decode() for key, path in data.items()}
    lines = "".join(f"  {key.replace('_', '.')}: {value}\n" for key, value in values.items())
    return f"---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: istio-system}}\ndata:\n{lines}"


@dataclass(frozen=True)
class Edge:
    mesh: Mesh
    https: int
    http: int
    between: int
    public: Authority
    till: Files

    @property
    def client(self) -> Client:
        return Client(self.https, self.public.root)


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with short_folder() as folder:
        public, partner = Authority(folder, "public"), Authority(folder, "partner")
        shop, till = public.issue("shop", ["shop.example.com"]), public.issue("till", ["till.example.com"])
        text = RESOURCES + _secret("shop-credential", tls_crt=shop.certificate, tls_key=shop.key)
        text += _secret("till-credential", cert=till.certificate, key=till.key)
        text += _secret("till-credential-cacert", cacert=partner.root)
        text += _secret("of-nobody", tls_crt=till.certificate, tls_key=till.key)
        (folder / "istio.yaml").write_text(text)
        https, http, between = free_port(), free_port(), free_port()
        mesh_file = f"""\
trust_domain: edge.internal
services:
  web: {{command: {ECHO} web}}
  cart: {{command: {ECHO} cart}}
gateways:
  ingressgateway:
    namespace: istio-system
    labels: {{istio: ingressgateway}}
    listen: {{443: {https}, 80: {http}, 15443: {between}}}
include: ["{folder}/istio.yaml"]
"""
        with mesh(mesh_file) as running:
            yield Edge(running, https, http, between, public, partner.issue("client", ["till.partner.example"]))


def test_servers_on_one_port_are_told_apart_by_server_name(edge: Edge) -> None:
    assert edge.client.get("shop.example.com", "/cart", **{"x-version": "v2"}).json["name"] == "cart"
    assert edge.client.get("shop.example.com", "/cart").json["name"] == "web"
    assert edge.client.refuses("till.example.com")
    shown = replace(edge.client, shows=edge.till)
    assert shown.get("till.example.com").json["name"] == "web"
    assert edge.client.get("shop.example.com", host="till.example.com").status == 421
    assert shown.get("till.example.com", host="shop.example.com").status == 421
    moved = plain(edge.http, "shop.example.com", "/x")
    assert (moved.status, moved.headers["location"]) == (301, "https://shop.example.com/x")


def test_a_policy_holds_at_the_gateway_however_the_path_is_written(edge: Edge) -> None:
    assert edge.client.get("shop.example.com", "/administrator").status == 403
    assert edge.client.get("shop.example.com", "//admin").status == 403
    assert edge.client.get("shop.example.com", "/x/../%61dmin/").status == 403
    assert edge.client.get("shop.example.com", "/other").status == 200


def test_a_server_without_its_secret_is_closed_alone_until_the_secret_is_there(edge: Edge) -> None:
    assert edge.client.refuses("late.example.com")
    assert edge.client.get("shop.example.com").status == 200
    late = edge.public.issue("late", ["late.example.com"])
    for name, path in (("tls.crt", late.certificate), ("tls.key", late.key)):
        command = ["secret", "put", f"late-credential/{name}", "--file", str(path), "--state", str(edge.mesh.state)]
        assert run(*command).returncode == 0
    wait_for(lambda: not edge.client.refuses("late.example.com"), what="the server whose secret came late")


def test_what_nobody_uses_is_delivered_to_nobody(edge: Edge) -> None:
    folder = settings.runtime_folder(edge.mesh.state) / "secrets" / "ingressgateway"
    groups = {each.name for each in folder.iterdir() if not each.name.startswith(".")}
    assert {"kubernetes.istio-system.shop-credential", "kubernetes.istio-system.till-credential"} <= groups
    assert not any("nobody" in name for name in groups)


def test_connections_between_meshes_pass_by_istios_names_with_their_own_tls(edge: Edge) -> None:
    own = edge.mesh.state / "agent" / "workloads" / "ingressgateway"
    caller = Client(edge.between, shows=Files(own / "identity.crt", own / "identity.key"))
    answer = caller.get("outbound_.80_._.web.default.svc.cluster.local", host="web")
    assert answer.json["name"] == "web"
    assert b"spiffe://edge.internal/ns/default/sa/web" in answer.certificate
    assert replace(caller, shows=None).refuses("outbound_.80_._.web.default.svc.cluster.local")
