"""Two trust domains, each with a real server: a workload of one gets the other's bundle, and every change of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.authority_process import Authority, authority
from tests.e2e.mesh_process import Handsel, Mesh, end_everything_in, free_port, mesh, run, short_folder, wait_for
from tests.e2e.test_two_servers import two_servers
from tests.e2e.test_workload_api import WATCH, client, lines, part_of, token_of
from tests.postgres import empty_database

pytestmark = pytest.mark.e2e

THEIRS = """
trust_domain: theirs.internal
services: {bank: {}}
authority: {root_notice: 1s}
spiffe: {jwt_lifetime: 30s, jwt_key_lifetime: 12s, refresh_hint: 1s}
"""
OURS = f"""
trust_domain: ours.internal
services:
  web: {{command: "{WATCH}"}}
  alone: {{federates_with: []}}
"""
BANK = "spiffe://theirs.internal/ns/default/sa/bank"
NAME = "theirs.internal"


@contextmanager
def _theirs(port: int) -> Iterator[Authority]:
    """Their server, and a host of theirs with `bank`."""
    with authority(THEIRS, "--listen", f"127.0.0.1:{port}") as running:
        try:
            ticket = running.run("agent", "ticket", "--services", "bank").stdout.strip()
            joined = run("join", "--ticket", ticket, "--state", str(running.folder / "host"))
            assert joined.returncode == 0, joined.stderr
            Handsel(running.folder, "agent", "agent", "run", "--state", "host").wait_for("agent ")
            yield running
        finally:
            end_everything_in(running.folder)


def _entry(profile: str, theirs: Authority, folder: Path, port: int) -> str:
    """What our mesh file says of them."""
    url = f"https://localhost:{port}/spiffe/bundle"
    if profile == "https_web":
        (folder / "their-roots.pem").write_text(theirs.roots.read_text())
        return f"{{url: '{url}', profile: https_web, roots: {folder}/their-roots.pem}}"
    shown = theirs.run("ca", "bundle", "--format", "spiffe")
    assert shown.returncode == 0, shown.stderr
    (folder / "their-bundle.json").write_text(shown.stdout)
    endpoint = f"spiffe://{NAME}/handsel/server"
    return f"{{url: '{url}', profile: https_spiffe, endpoint_id: '{endpoint}', bundle: {folder}/their-bundle.json}}"


def _federation(ours: Mesh, *arguments: str) -> Any:
    done = run("ca", "federation", *arguments, "--state", str(ours.state), "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _watched(ours: Mesh, kind: str) -> dict[str, list[str]]:
    """The bundles that `web` was told last, by trust domain."""
    told = lines(ours.state / "programs" / "web.log", kind)
    return told[-1]["bundles"] if told else {}


@pytest.mark.parametrize("profile", ["https_web", "https_spiffe"])
def test_a_bundle_appears_changes_and_is_kept_when_somebody_else_shows_another(profile: str) -> None:
    port = free_port()
    with (
        short_folder() as folder,
        _theirs(port) as theirs,
        mesh(f"{OURS}federation: {{{NAME}: {_entry(profile, theirs, folder, port)}}}\n") as ours,
    ):
        _appears_and_changes(ours, theirs)
        _is_kept(ours, theirs, port)


def _appears_and_changes(ours: Mesh, theirs: Authority) -> None:
    roots = wait_for(lambda: _watched(ours, "x509").get(NAME), 20, "their roots")
    assert roots == [theirs.roots.read_text()]
    assert _watched(ours, "x509")["ours.internal"] != roots  # two bundles, never one
    keys = wait_for(lambda: _watched(ours, "jwt").get(NAME), 5, "their JWT keys")
    told = wait_for(lambda: (now := _watched(ours, "jwt")[NAME]) != keys and now, 20, "another JWT key of theirs")
    assert set(told) & set(keys) or len(told) == 1

    token = token_of(theirs.folder / "host", "bank", "web.ours")
    wait_for(lambda: part_of(token, 0)["kid"] in _watched(ours, "jwt")[NAME], 5, "the key of their token")
    believed = client(ours.state, "web", "validate", token, "web.ours")
    assert believed.returncode == 0, believed.stderr
    assert json.loads(believed.stdout) == {"id": BANK, "library": BANK}
    stranger = client(ours.state, "alone", "validate", token, "web.ours")  # it federates with nobody
    assert stranger.returncode != 0

    assert theirs.run("ca", "rotate", "root").returncode == 0
    both = wait_for(lambda: len(now := _watched(ours, "x509")[NAME]) == 2 and now, 20, "their next root")
    assert roots[0] in both
    (found,) = _federation(ours, "list")["trustDomains"]
    assert found["problem"] == ""
    assert len(found["x509Authorities"]) == 2
    assert found["services"] == ["web"]


def _is_kept(ours: Mesh, theirs: Authority, port: int) -> None:
    """Somebody else at their address, with a CA of their own for the same trust domain, is not listened to."""
    before = _federation(ours, "show", NAME)
    theirs.server.stop()
    away = wait_for(lambda: _federation(ours, "show", NAME)["problem"], 10, "their server is away")
    assert "does not answer" in away
    with authority(THEIRS, "--listen", f"127.0.0.1:{port}") as impostor:
        other = wait_for(
            lambda: "is not the server" in (told := _federation(ours, "show", NAME)["problem"]) and told,
            15,
            "a refusal",
        )
        assert "CERTIFICATE_VERIFY_FAILED" in other
        refused = run("ca", "federation", "refresh", NAME, "--state", str(ours.state))
        assert refused.returncode != 0
        assert "is not the server" in refused.stderr
        kept = _federation(ours, "show", NAME)
        assert impostor.roots.read_text() not in _watched(ours, "x509")[NAME]
        assert len(_watched(ours, "x509")[NAME]) == len(kept["x509Authorities"]) >= 1
        assert kept["sequence"] >= before["sequence"]
    theirs.start()  # the control: the same address, and it is them again
    wait_for(lambda: _federation(ours, "show", NAME)["problem"] == "", 15, "they are back")
    assert run("ca", "federation", "refresh", NAME, "--state", str(ours.state)).returncode == 0


async def test_two_servers_of_a_database_show_the_same_bundle_with_the_keys_of_both(postgres) -> None:
    async with two_servers(empty_database(postgres)) as two:

        def shown(name: str) -> dict[str, Any]:
            done = run("ca", "bundle", "--format", "spiffe", "--state", str(two.folder / name))
            return json.loads(done.stdout) if done.returncode == 0 else {"keys": [done.stderr, name]}

        def both() -> dict[str, Any] | None:
            first, second = shown("a"), shown("b")
            if first != second:
                return None
            return first if len([each for each in first["keys"] if each["use"] == "jwt-svid"]) == 2 else None

        before = await asyncio.to_thread(wait_for, both, 20, "one bundle at both")
        two.servers.pop("a").stop()  # the other one keeps it from here on
        two.start("a")
        after = await asyncio.to_thread(wait_for, both, 20, "the same after a restart")
        assert after == before
