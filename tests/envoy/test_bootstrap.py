"""The bootstrap: accepted by the real Envoy, and private."""

from __future__ import annotations

import json
import subprocess

import pytest

from handsel.envoy.adapters import binary
from handsel.envoy.bootstrap import AGENT_CLUSTER, Sockets, bootstrap


def _validate(content, folder) -> bool:
    config = folder / "envoy.json"
    config.write_text(json.dumps(content))
    command = [binary.find(None), "--mode", "validate", "--config-path", config, "--log-level", "error"]
    result = subprocess.run([str(word) for word in command], capture_output=True, timeout=60, check=False)
    return result.returncode == 0


@pytest.fixture
def content(short_folder):
    return bootstrap("web", Sockets(short_folder / "web.ads", short_folder / "web.adm"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content["dynamic_resources"]["ads_config"].update(api_type="NOBODY"),
        lambda content: content["static_resources"]["clusters"].clear(),
        lambda content: content["admin"].update(later=1),
    ],
)
def test_envoy_accepts_it_as_it_is_and_not_when_it_is_spoilt(content, short_folder, spoil):
    assert _validate(content, short_folder)
    spoil(content)
    assert not _validate(content, short_folder)


def test_nothing_of_it_listens_on_a_port(content):
    text = json.dumps(content)
    assert "socket_address" not in text
    assert "port_value" not in text


def test_the_agent_is_found_and_the_admin_door_opened_at_the_sockets_that_were_named(content, short_folder):
    (agent,) = content["static_resources"]["clusters"]
    assert agent["name"] == AGENT_CLUSTER
    assert f'"path": "{short_folder / "web.ads"}"' in json.dumps(agent)
    assert content["admin"]["address"]["pipe"] == {"path": str(short_folder / "web.adm"), "mode": 0o600}
