"""Resources to start from, and ways to change them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml as pyyaml

from handsel.documents import yaml
from handsel.link.report import WorkloadReport
from handsel.mesh.ir import WorkloadPlan
from handsel.mesh.istio.read import read
from handsel.mesh.scope import Scope
from handsel.mesh.translate import plan
from handsel.model.included import Around, Included
from handsel.pki.names import TrustDomain
from tests.support import read_mesh

ENTRY = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: bank
spec:
  hosts:
    - bank.example.com
  location: MESH_EXTERNAL
  ports:
    - number: 80
      name: http
      protocol: HTTP
      targetPort: 443
  resolution: DNS
"""
RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: bank-tls
spec:
  host: bank.example.com
  trafficPolicy:
    tls:
      mode: SIMPLE
"""
VIRTUAL_SERVICE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: bank-routes
spec:
  hosts:
    - bank.example.com
  http:
    - route:
        - destination:
            host: bank.example.com
            port:
              number: 80
      timeout: 5s
"""
GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata:
  name: front
spec:
  selector:
    istio: ingressgateway
  servers:
    - port:
        number: 443
        name: https
        protocol: HTTPS
      hosts:
        - shop.example.com
      tls:
        mode: SIMPLE
        credentialName: shop-cert
"""
SHOP = (Path(__file__).parents[2] / "golden" / "istio" / "in" / "bookinfo.yaml").read_text()
"""Every kind, and nothing wrong with it."""
EVERYTHING: list[dict[str, Any]] = [each for each in pyyaml.safe_load_all(SHOP) if each]


def loaded(text: str) -> dict[str, Any]:
    return pyyaml.safe_load(text)


def dumped(content: dict[str, Any]) -> str:
    return pyyaml.safe_dump(content, sort_keys=False)


def resource(kind: str, name: str, spec: Any, /, namespace: str = "default", **metadata: Any) -> str:
    """A resource of a networking kind, or of Kubernetes'."""
    version = _VERSIONS.get(kind, "networking.istio.io/v1")
    said = {"name": name, "namespace": namespace, **metadata}
    return dumped({"apiVersion": version, "kind": kind, "metadata": said, "spec": spec})


_VERSIONS = {
    "Service": "v1",
    "Namespace": "v1",
    "Pod": "v1",
    "Deployment": "apps/v1",
    "PeerAuthentication": "security.istio.io/v1",
}


def deployment(name: str, labels: dict[str, str], ports: dict[str, int] | None = None, **keys: Any) -> str:
    """A Deployment of one container."""
    account, namespace = keys.pop("account", None), keys.pop("namespace", "default")
    named = [{"name": port, "containerPort": number} for port, number in (ports or {}).items()]
    pod: dict[str, Any] = {"containers": [{"name": "app", "ports": named}]}
    if account:
        pod["serviceAccountName"] = account
    template = {"metadata": {"labels": labels, **keys}, "spec": pod}
    return resource("Deployment", name, {"template": template}, namespace)


def service(
    name: str, selector: dict[str, str], *ports: dict[str, Any], namespace: str = "default", **keys: Any
) -> str:
    """A Kubernetes Service."""
    spec = {"selector": selector, "ports": list(ports) or [{"port": 80, "name": "http"}]}
    return resource("Service", name, spec, namespace, **keys)


def together(*texts: str) -> Included:
    """What these resources say together."""
    return read_text("---\n".join(texts))


def found(included: Included, code: str) -> list[str]:
    """What was found under a code."""
    return [each.message for each in included.findings if each.code == code]


def codes(included: Included) -> list[str]:
    """What was found, by code."""
    return [each.code for each in included.findings]


def plan_of(included: Included, service_name: str) -> WorkloadPlan:
    """The plan of a workload that is on some host with everything else that resources declare."""
    mesh = replace(
        read_mesh("services: {}\n"),
        services={each.name: each for each in included.services},
        externals={each.name: each for each in included.externals},
        groups={each.name: each for each in included.groups},
        routes=included.routes,
        traffic=included.traffic,
        gateways=included.gateways,
        tls=included.tls,
    )
    places = {
        "host": {
            each.name: WorkloadReport(
                each.name, "127.0.0.1", each.port, 20000 + number, 21000 + number,
                {callee: 22000 + index for index, callee in enumerate(each.calls)}, "/log",
            )
            for number, each in enumerate(included.services)
        }
    }  # fmt: skip
    return plan(Scope(mesh, places, {}).view("host", service_name))


def entry(**keys: Any) -> str:
    return dumped({**loaded(ENTRY), **keys})


def rule(tls: dict[str, Any] | None = None, *, policy: dict[str, Any] | None = None) -> str:
    content = loaded(RULE)
    if tls is not None or policy is not None:
        content["spec"]["trafficPolicy"] = {"tls": tls} if policy is None else policy
    return dumped(content)


def changed(text: str, path: str, value: Any) -> str:
    """The resource with another value at `path`, such as `spec.ports.0.number`."""
    content = loaded(text)
    *above, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = content
    for step in above:
        place = place[step]
    if isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return dumped(content)


def read_files(files: dict[str, str]) -> Included:
    """All documents of these files, read together, in a folder `/mesh`."""
    documents = [document for name, text in files.items() for document in yaml.parse(text.encode(), name)]
    around = Around(TrustDomain("mesh.internal"))
    return read(documents, around, lambda path: path if path.startswith("/") else f"/mesh/{path}")


def read_text(*texts: str) -> Included:
    """The same, with the files called a.yaml, b.yaml, …"""
    return read_files({f"{'abcdefgh'[index]}.yaml": text for index, text in enumerate(texts)})


def notes_of(included: Included) -> tuple[str, ...]:
    """What a person is told, each with its place."""
    return tuple(str(each) for each in included.findings)
