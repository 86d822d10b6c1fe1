"""Where things are, decided from an environment that is handed in."""

from __future__ import annotations

from pathlib import Path

from handsel.settings import runtime_folder, state_folder


def test_the_state_folder_follows_xdg_and_ends_with_the_trust_domain():
    named = state_folder("shop.internal", {"XDG_STATE_HOME": "/var/lib/x"})
    usual = state_folder("shop.internal", {})
    assert named == Path("/var/lib/x/handsel/shop.internal")
    assert usual.relative_to(Path.home()).parts[-1] == "shop.internal"


def test_a_socket_below_the_runtime_folder_has_a_path_that_fits_however_deep_the_state_is():
    deep = Path("/") / "/".join(["a-rather-long-folder-name"] * 8)
    folder = runtime_folder(deep, {"HANDSEL_RUNTIME_DIR": "/run/user/1000"})
    assert len(bytes(deep)) > 107
    assert len(bytes(folder / "0123456789.ads")) <= 107


def test_two_states_never_share_sockets_and_one_state_always_finds_its_own():
    environment = {"HANDSEL_RUNTIME_DIR": "/run/user/1000"}
    one, other = (runtime_folder(Path(name), environment) for name in ("/a", "/b"))
    assert one != other
    assert one == runtime_folder(Path("/a"), environment)
