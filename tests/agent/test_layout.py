"""Where an agent keeps what: socket paths always fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from handsel.agent.layout import Layout
from handsel.errors import StateError


def test_the_sockets_of_a_service_fit_however_long_its_name_is():
    layout = Layout(Path("/state"), Path("/run/handsel/0123456789ab"))
    sockets = [layout.of(name).sockets for name in ("web", "w" * 63, "emoji")]
    paths = [path for each in sockets for path in (each.ads, each.admin)]
    assert len(set(paths)) == 6
    assert all(len(bytes(path)) <= 107 for path in paths)


@pytest.mark.parametrize("choose", [lambda layout: layout.control, lambda layout: layout.of("web").sockets])
def test_a_runtime_folder_that_is_too_deep_is_told_with_a_way_out(choose):
    assert choose(Layout(Path("/state"), Path("/" + "r" * 80)))
    with pytest.raises(StateError, match="longer than 107") as caught:
        choose(Layout(Path("/state"), Path("/" + "r" * 107)))
    assert "HANDSEL_RUNTIME_DIR" in caught.value.next_step
