"""The real Envoy's word on rendered configuration: as a static bootstrap, with secrets and routes written in."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

from handsel.envoy.adapters import binary
from handsel.envoy.bootstrap import RUNTIME
from handsel.pki.certificate import to_pem
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.support import TRUST_DOMAIN, TestAuthority

Secrets = dict[str, dict[str, Any]]


def secrets_of(authority: TestAuthority) -> Secrets:
    """A secret of each kind, as Envoy's static configuration has them."""
    pair = authority.pair(TRUST_DOMAIN.workload("default", "web"))
    certificate = {
        "certificateChain": {"inlineString": to_pem(pair.chain).decode()},
        "privateKey": {"inlineString": pair.key.pem().reveal().decode()},
    }
    roots = {"trustedCa": {"inlineString": to_pem((authority.issuer.root,)).decode()}}
    return {"tlsCertificate": certificate, "validationContext": roots}


def static(proxy: dict[str, Any], secrets: Secrets, folder: Path) -> dict[str, Any]:
    """The bootstrap that says statically what the proxy would learn by ADS."""
    proxy = copy.deepcopy(proxy)
    named: dict[str, str] = {}
    _write_in(proxy, named, str(folder / "access.log"))
    _write_routes(proxy[LISTENER], proxy.get(ROUTE, {}))
    for name, cluster in proxy[CLUSTER].items():
        if cluster["type"] == "EDS":
            del cluster["edsClusterConfig"]
            cluster |= {"type": "STATIC", "loadAssignment": proxy[ENDPOINT][name]}
    return {
        "layered_runtime": RUNTIME,
        "static_resources": {
            "clusters": list(proxy[CLUSTER].values()),
            "listeners": list(proxy[LISTENER].values()),
            "secrets": [{"name": name, kind: secrets[kind]} for name, kind in named.items()],
        },
    }


def _write_routes(value: Any, routes: dict[str, Any]) -> None:
    """Routes that come by RDS. Envoy then also looks whether their clusters are there."""
    if isinstance(value, dict):
        if "rds" in value:
            name = value.pop("rds")["routeConfigName"]
            value["routeConfig"] = {**routes[name], "validateClusters": True}
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            _write_routes(each, routes)


def _write_in(value: Any, named: dict[str, str], log: str) -> None:
    """Secrets are looked up by name, and logs go to a folder that is there."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "validationContextSdsSecretConfig":
                named[each["name"]] = "validationContext"
                del each["sdsConfig"]
            elif key == "tlsCertificateSdsSecretConfigs":
                for one in each:
                    named[one["name"]] = "tlsCertificate"
                    del one["sdsConfig"]
            elif str(value.get("@type")).endswith("FileAccessLog") and key == "path":
                value[key] = log
            _write_in(value[key], named, log)
    elif isinstance(value, list):
        for each in value:
            _write_in(each, named, log)


def validate(bootstrap: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """What Envoy says of a bootstrap."""
    config = folder / "envoy.json"
    config.write_text(json.dumps(bootstrap))
    command = [binary.find(None), "--mode", "validate", "--config-path", config, "--log-level", "error"]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)
