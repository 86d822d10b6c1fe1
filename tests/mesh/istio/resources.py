"""Resources to start from, and ways to change them."""

from __future__ import annotations

from typing import Any

import yaml as pyyaml

from handsel.documents import yaml
from handsel.mesh.istio.read import read
from handsel.model.included import Around, Included
from handsel.pki.names import TrustDomain

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


def loaded(text: str) -> dict[str, Any]:
    return pyyaml.safe_load(text)


def dumped(content: dict[str, Any]) -> str:
    return pyyaml.safe_dump(content, sort_keys=False)


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
