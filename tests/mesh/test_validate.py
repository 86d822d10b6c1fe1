"""The real Envoy accepts what was recorded, as a static configuration with the secrets written in."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from handsel.mesh.stages import Stage
from tests.mesh.cases import GOLDEN
from tests.mesh.validating import Secrets, secrets_of, static, validate

RECORDED = {
    f"{path.stem}:{workload}": proxy
    for path in sorted((GOLDEN / Stage.XDS / "out").glob("*.yaml"))
    for workload, proxy in yaml.safe_load(path.read_text()).items()
}


@pytest.fixture(scope="module")
def secrets(authority) -> Secrets:
    return secrets_of(authority)


@pytest.mark.parametrize("name", RECORDED)
def test_envoy_accepts_what_was_recorded(name, secrets, tmp_path):
    result = validate(static(RECORDED[name], secrets, tmp_path), tmp_path)
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
    bootstrap = static(RECORDED["http_layer_4:host-a/emoji"], secrets, tmp_path)
    assert validate(bootstrap, tmp_path).returncode == 0
    spoil(bootstrap)
    assert validate(bootstrap, tmp_path).returncode != 0
