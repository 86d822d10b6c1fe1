"""Whatever is done to resources: they are refused or compiled, and what is compiled Envoy accepts."""

from __future__ import annotations

import random

import pytest

from handsel.errors import InvalidFile
from tests.mesh import anything
from tests.mesh.validating import Secrets, secrets_of, static, validate

_BATCHES, _MESHES_A_BATCH = 6, 40


@pytest.fixture(scope="module")
def secrets(authority) -> Secrets:
    return secrets_of(authority)


def test_the_resources_to_begin_with_are_good():
    mesh = anything.read(anything.GOOD)
    assert not [str(each) for each in mesh.findings if each.severity.name == "ERROR"]
    assert set(anything.rendered(mesh)) >= {"reviews-v1", "reviews-v2", "productpage"}


@pytest.mark.parametrize("batch", range(_BATCHES))
def test_changed_resources_are_refused_or_compiled_and_accepted_by_envoy(batch, secrets, tmp_path):
    refused = accepted = 0
    for number in range(_MESHES_A_BATCH):
        chance = random.Random(1000 * batch + number)
        resources = anything.changed(chance)
        try:
            mesh = anything.read(resources)
        except InvalidFile:
            refused += 1
            continue
        made = anything.rendered(mesh)
        accepted += 1
        if not made:
            continue
        name = chance.choice(sorted(made))
        said = validate(static(made[name], secrets, tmp_path), tmp_path)
        assert said.returncode == 0, f"seed {1000 * batch + number}, {name}: {said.stderr[-1500:]}"
    assert refused
    assert accepted
