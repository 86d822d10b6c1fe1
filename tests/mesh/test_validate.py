"""The real Envoy accepts what was recorded, as a static configuration with the secrets written in."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from handsel.envoy.adapters import binary
from handsel.mesh.stages import Stage
from handsel.pki.certificate import to_pem
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER
from tests.mesh.cases import GOLDEN
from tests.support import TRUST_DOMAIN

RECORDED = {
    f"{path.stem}:{workload}": proxy
    for path in sorted((GOLDEN / Stage.XDS / "out").glob("*.yaml"))
    for workload, proxy in yaml.safe_load(path.read_text()).items()
}


@pytest.fixture(scope="module")
def secrets(authority) -> dict[str, dict[str, Any]]:
    """A secret of each kind, as Envoy's static configuration has them."""
    pair = authority.pair(TRUST_DOMAIN.workload("default", "web"))
    certificate = {
        "certificateChain": {"inlineString": to_pem(pair.chain).decode()},
        "privateKey": {"inlineString": pair.key.pem().reveal().decode()},
    }
    roots = {"trustedCa": {"inlineString": to_pem((authority.issuer.root,)).decode()}}
    return {"tlsCertificate": certificate, "validationContext": roots}


def _static(proxy: dict[str, Any], secrets: dict[str, dict[str, Any]], folder: Path) -> dict[str, Any]:
    """The bootstrap that says statically what the proxy would learn by ADS."""
    proxy = copy.deepcopy(proxy)
    named: dict[str, str] = {}
    _write_in(proxy, named, str(folder / "access.log"))
    for name, cluster in proxy[CLUSTER].items():
        if cluster["type"] == "EDS":
            del cluster["edsClusterConfig"]
            cluster |= {"type": "STATIC", "loadAssignment": proxy[ENDPOINT][name]}
    return {
        "static_resources": {
            "clusters": list(proxy[CLUSTER].values()),
            "listeners": list(proxy[LISTENER].values()),
            "secrets": [{"name": name, kind: secrets[kind]} for name, kind in named.items()],
        }
    }


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


def _validate(bootstrap: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    config = folder / "envoy.json"
    config.write_text(json.dumps(bootstrap))
    command = [binary.find(None), "--mode", "validate", "--config-path", config, "--log-level", "error"]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", RECORDED)
def test_envoy_accepts_what_was_recorded(name, secrets, tmp_path):
    result = _validate(_static(RECORDED[name], secrets, tmp_path), tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]


def _first_filter(bootstrap: dict[str, Any]) -> dict[str, Any]:
    return bootstrap["static_resources"]["listeners"][0]["filterChains"][0]["filters"][0]


def _context(bootstrap: dict[str, Any]) -> dict[str, Any]:
    chain = bootstrap["static_resources"]["listeners"][0]["filterChains"][0]
    return chain["transportSocket"]["typedConfig"]["commonTlsContext"]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda b: b["static_resources"]["secrets"].clear(), id="secrets that are not there"),
        pytest.param(lambda b: _first_filter(b).update(name="nobody", typedConfig={}), id="a filter nobody knows"),
        pytest.param(lambda b: _context(b)["tlsParams"].update(ecdhCurves=["X25519MLKEM999"]), id="an unknown group"),
        pytest.param(lambda b: b["static_resources"]["listeners"][0].update(later=1), id="a field nobody knows"),
    ],
)
def test_envoy_refuses_what_is_wrong(spoil, secrets, tmp_path):
    """Otherwise the test above would prove nothing."""
    bootstrap = _static(RECORDED["http_layer_4:host-a/emoji"], secrets, tmp_path)
    assert _validate(bootstrap, tmp_path).returncode == 0
    spoil(bootstrap)
    assert _validate(bootstrap, tmp_path).returncode != 0
