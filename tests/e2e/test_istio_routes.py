"""Istio's words and Kubernetes' own, from YAML to real proxies: nothing of this mesh is said in any other way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.asking import ask, share
from tests.e2e.hosts import Hosts, hosts
from tests.e2e.mesh_process import free_port, wait_for

pytestmark = pytest.mark.e2e

PROGRAM = f"{sys.executable} {Path(__file__).parent / 'programs' / 'tells_all.py'}"
GATEWAY = "istio-ingressgateway"
WORKLOADS = ("productpage-v1", "reviews-v1", "reviews-v2", "ratings-vm")


def deployment(name: str, version: str, port: int) -> str:
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}-{version}}}
spec:
  template:
    metadata: {{labels: {{app: {name}, version: {version}}}}}
    spec:
      serviceAccountName: bookinfo-{name}
      containers: [{{name: {name}, image: {name}, ports: [{{name: web, containerPort: {port}}}]}}]
---"""


def resources(ports: dict[str, int], reviews: str) -> str:
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {GATEWAY}}}
spec: {{template: {{metadata: {{labels: {{istio: ingressgateway}}}}, spec: {{serviceAccountName: {GATEWAY}}}}}}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: front}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
    - port: {{number: {ports[GATEWAY]}, name: http, protocol: HTTP}}
      hosts: [shop.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop}}
spec:
  hosts: [shop.example.com]
  gateways: [front]
  http:
    - match: [{{uri: {{prefix: /ratings}}}}]
      route: [{{destination: {{host: ratings.shop.internal}}}}]
    - match: [{{uri: {{prefix: /v1}}}}]
      route: [{{destination: {{host: reviews, subset: v1}}}}]
---
{deployment("productpage", "v1", ports["productpage-v1"])}
{deployment("reviews", "v1", ports["reviews-v1"])}
{deployment("reviews", "v2", ports["reviews-v2"])}
apiVersion: v1
kind: Service
metadata: {{name: reviews}}
spec: {{selector: {{app: reviews}}, ports: [{{name: http, port: 9080, targetPort: web}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews}}
spec:
  host: reviews
  subsets:
    - {{name: v1, labels: {{version: v1}}}}
    - {{name: v2, labels: {{version: v2}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews}}
spec:
  hosts: [reviews]
  http:
{reviews}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: ratings}}
spec:
  hosts: [ratings.shop.internal]
  location: MESH_INTERNAL
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  workloadSelector: {{labels: {{app: ratings}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: ratings-vm}}
spec: {{address: 127.0.0.1, labels: {{app: ratings}}, serviceAccount: ratings, ports: {{http: {ports["ratings-vm"]}}}}}
"""


BY_HEADER_AND_WEIGHT = """\
    - match: [{headers: {end-user: {exact: jason}}, uri: {prefix: /}}, {queryParams: {user: {regex: "ja[sm]+in.*"}}}]
      route: [{destination: {host: reviews, subset: v2}}]
      headers: {request: {set: {x-route: jason}}}
    - match: [{uri: {exact: /gone}}]
      redirect: {uri: /new, redirectCode: 307}
    - route:
        - {destination: {host: reviews.default.svc.cluster.local, subset: v1, port: {number: 9080}}, weight: 3}
        - {destination: {host: reviews, subset: v2}, weight: 1}
"""


@dataclass(frozen=True)
class Shop:
    """The running mesh, and where its gateway is."""

    hosts: Hosts
    front: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    written = tmp_path_factory.mktemp("istio") / "all.yaml"
    ports = {name: free_port() for name in (*WORKLOADS, GATEWAY)}
    written.write_text(resources(ports, BY_HEADER_AND_WEIGHT))
    with hosts(f"include: [{written}]\n") as running:
        running.join("a", *WORKLOADS, GATEWAY)
        for name in WORKLOADS:
            running.program("a", name, f"{PROGRAM} {name}")
        yield Shop(running, f"http://127.0.0.1:{ports[GATEWAY]}")


def _answers(url: str, path: str, **headers: str) -> bool:
    try:
        return ask(url, path, **headers).status == 200
    except OSError:  # closed, while nobody answers behind the proxy
        return False


@pytest.fixture(scope="module")
def reviews(running) -> str:
    url = f"http://127.0.0.1:{running.hosts.callee_port('a', 'productpage-v1', 'reviews')}"
    wait_for(lambda: all(_answers(url, "/", end_user=user) for user in ("jason", *["anna"] * 20)), what="reviews")
    return url


def test_a_header_leads_to_a_subset(reviews):
    assert share(reviews, 10, end_user="jason") == {"reviews-v2": 10}
    told = ask(reviews, "/x", end_user="jason").told
    assert told["headers"]["x-route"] == "jason"


def test_a_regex_is_of_the_whole_text(reviews):
    assert {ask(reviews, "/?user=jasmine").told["name"] for _ in range(8)} == {"reviews-v2"}
    assert {ask(reviews, "/?user=anjasmine").told["name"] for _ in range(40)} == {"reviews-v1", "reviews-v2"}


def test_weights_are_shares(reviews):
    found = share(reviews, 400)
    assert found["reviews-v1"] > 2 * found["reviews-v2"] > 20


def test_a_redirect(reviews):
    answer = ask(reviews, "/gone")
    assert (answer.status, answer.headers["location"].endswith("/new")) == (307, True)


def test_an_entry_of_the_mesh_leads_to_a_workload_entry(running):
    url = f"http://127.0.0.1:{running.hosts.callee_port('a', 'reviews-v1', 'ratings')}"
    wait_for(lambda: _answers(url, "/"), what="ratings")
    assert ask(url, "/").told["name"] == "ratings-vm"


def test_a_gateway_takes_what_it_lists_and_leads_by_the_rules_there(running):
    shop = {"Host": "shop.example.com"}
    for path, name in (("/ratings/1", "ratings-vm"), ("/v1/2", "reviews-v1")):
        wait_for(lambda path=path: _answers(running.front, path, **shop), what=path)
        assert {ask(running.front, path, **shop).told["name"] for _ in range(8)} == {name}
    assert ask(running.front, "/other", **shop).status == 404
    assert ask(running.front, "/v1", Host="other.example.com").status == 404
