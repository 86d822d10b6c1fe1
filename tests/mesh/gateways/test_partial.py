"""A listener opens the doors whose secrets are there, and no others."""

from __future__ import annotations

import pytest

from handsel.mesh.render import protos
from handsel.mesh.stages import Stage
from handsel.xds.partial import without_chains
from handsel.xds.resources import LISTENER, resource
from tests.mesh.cases import CASES, compiled

SHOP = "file-cert:/etc/shop/certs/shop.pem~/etc/shop/certs/shop.key"
CLIENTS = "file-root:/etc/shop/certs/clients.pem~/etc/shop/certs/clients.crl"


@pytest.fixture(scope="module")
def listener():
    content = compiled("gateway_ingress", Stage.XDS)["host-b/front"][LISTENER]["front.9444"]
    return resource(LISTENER, "front.9444", protos.serialise(LISTENER, content))


@pytest.mark.parametrize(
    ("there", "names"),
    [
        ({SHOP, CLIENTS, "more"}, ["shop.example.com", "*.partner.example.com"]),
        ({SHOP}, ["shop.example.com"]),
    ],
)
def test_chains_stay_whose_secrets_are_there(listener, there, names):
    found = without_chains(listener, there)
    chains = protos.to_json(LISTENER, found.body)["filterChains"]
    assert [name for chain in chains for name in chain["filterChainMatch"]["serverNames"]] == names
    assert (found.version == listener.version) == (len(names) == 2)


def test_without_any_there_is_no_listener(listener):
    assert without_chains(listener, {CLIENTS}) is None


@pytest.mark.parametrize("case", [each for each in CASES if each.startswith("gateway")])
def test_what_is_rendered_fits_envoys_api(case):
    for proxy in compiled(case, Stage.XDS).values():
        for kind, resources in proxy.items():
            for content in resources.values():
                assert protos.serialise(kind, content)
