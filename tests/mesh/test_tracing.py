"""What the proxies are told of traces is what the real Envoy takes."""

from __future__ import annotations

import pytest

from handsel.mesh.render import tracing
from handsel.model.telemetry import Tracing
from tests.mesh.validating import validate


def _bootstrap(wanted: Tracing) -> dict:
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "statPrefix": "inbound",
        "routeConfig": {"virtualHosts": []},
        **tracing.manager_part(wanted, "web"),
    }
    return {
        "static_resources": {
            "clusters": [tracing.collector_cluster(wanted)],
            "listeners": [
                {
                    "name": "inbound",
                    "address": {"socketAddress": {"address": "127.0.0.1", "portValue": 0}},
                    "filterChains": [
                        {
                            "filters": [
                                {
                                    "name": "envoy.filters.network.http_connection_manager",
                                    "typedConfig": manager,
                                }
                            ]
                        }
                    ],
                }
            ],
        }
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "collector.example.com", "::1"])
def test_envoy_takes_it(host, tmp_path):
    result = validate(_bootstrap(Tracing(host, 4317, 0.5)), tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]


def test_envoy_refuses_what_it_does_not_know(tmp_path):
    """Otherwise the test above would prove nothing."""
    bootstrap = _bootstrap(Tracing("127.0.0.1", 4317, 0.5))
    chain = bootstrap["static_resources"]["listeners"][0]["filterChains"][0]
    part = chain["filters"][0]["typedConfig"]["tracing"]
    part["customTags"][0]["value"] = "%NO_SUCH_WORD%"
    assert validate(bootstrap, tmp_path).returncode != 0


def test_without_tracing_a_manager_has_no_part_of_it():
    assert tracing.manager_part(None, "web") == {}
