"""Probes that ask the sidecar, in the words that Istio uses for them."""

from __future__ import annotations

import json
from typing import Any

from tests.mesh.inject.manifests import injected, notes, pod

SPEC = """\
initContainers:
  - {name: cache, image: app, restartPolicy: Always, readinessProbe: {tcpSocket: {port: 6379}}}
containers:
  - name: app
    image: app
    ports: [{name: web, containerPort: 8080}]
    livenessProbe: {exec: {command: [ok]}}
    readinessProbe: {httpGet: {path: /r, port: web, host: localhost}, failureThreshold: 2}
    startupProbe: {httpGet: {path: /s, port: 8080, host: other.example}}
    lifecycle: {postStart: {exec: {command: [hi]}}, preStop: {httpGet: {path: /bye, port: web}}}
"""


def _containers(annotations: str = "a: b") -> dict[str, Any]:
    value: Any = injected(pod(annotations, spec=SPEC))[0].value
    return {each["name"]: each for key in ("initContainers", "containers") for each in value["spec"][key]}


def _originals(containers: dict[str, Any]) -> Any:
    environment = {each["name"]: each.get("value") for each in containers["handsel-sidecar"]["env"]}
    return json.loads(environment.get("HANDSEL_APP_PROBES", "{}"))


def test_probes_over_the_network_of_the_pod_ask_the_sidecar():
    containers = _containers()
    app = containers["app"]
    assert app["readinessProbe"] == {
        "httpGet": {"path": "/app-health/app/readyz", "port": 15020},
        "failureThreshold": 2,
    }
    assert app["lifecycle"]["preStop"] == {"httpGet": {"path": "/app-lifecycle/app/prestopz", "port": 15020}}
    assert containers["cache"]["readinessProbe"] == {"httpGet": {"path": "/app-health/cache/readyz", "port": 15020}}
    assert _originals(containers) == {
        "/app-health/app/readyz": {"httpGet": {"path": "/r", "port": 8080}, "timeoutSeconds": 1},
        "/app-health/cache/readyz": {"tcpSocket": {"port": 6379}, "timeoutSeconds": 1},
        "/app-lifecycle/app/prestopz": {"httpGet": {"path": "/bye", "port": 8080}},
    }


def test_what_does_not_come_over_it_stays():
    app = _containers()["app"]
    assert app["livenessProbe"] == {"exec": {"command": ["ok"]}}
    assert app["startupProbe"] == {"httpGet": {"path": "/s", "port": 8080, "host": "other.example"}}
    assert app["lifecycle"]["postStart"] == {"exec": {"command": ["hi"]}}
    (note,) = notes(pod(spec=SPEC))
    assert "startupProbe.httpGet.host: this asks another host, and is left as it is" in note


def test_nothing_is_led_to_the_sidecar_when_the_pod_says_so():
    containers = _containers('sidecar.istio.io/rewriteAppHTTPProbers: "false"')
    assert containers["app"]["readinessProbe"]["httpGet"]["port"] == "web"
    assert _originals(containers) == {}
