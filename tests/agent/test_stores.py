"""The key stores that an agent keeps for a program's own TLS, as keytool reads them."""

from __future__ import annotations

import shutil
import stat
import subprocess
from dataclasses import replace

import pytest

from handsel.agent.adapters.files import AgentFolder
from handsel.agent.layout import Layout
from handsel.agent.model import Holdings
from handsel.link.messages import Bundle
from tests.agent.things import assigned, holdings, identity, workload
from tests.support import TestAuthority


@pytest.fixture
def folder(tmp_path) -> AgentFolder:
    made = AgentFolder(Layout(tmp_path / "state", tmp_path / "runtime"))
    made.prepare()
    return made


def _wanting(authority, *formats: str, pair=None) -> Holdings:
    web = workload(pair or authority.pair(identity("web")))
    return holdings(authority, replace(web, assigned=replace(assigned(), stores=formats)))


def _keytool(folder: AgentFolder, name: str) -> str:
    if shutil.which("keytool") is None:
        pytest.skip("needs keytool")
    place = folder.layout.of("web")
    done = subprocess.run(
        ["keytool", "-list", "-v", "-keystore", str(place.folder / name), "-storepass:file", str(place.store_password)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def _serials(said: str) -> list[str]:
    return [line.split(":")[1].strip() for line in said.splitlines() if line.strip().startswith("Serial number:")]


@pytest.mark.parametrize(("kind", "ending"), [("pkcs12", "p12"), ("jks", "jks")])
def test_java_finds_key_chain_and_roots_and_the_new_ones_after_a_rotation(authority, folder, kind, ending):
    first = _wanting(authority, kind)
    folder.save(Holdings(Bundle(())), first)
    said = _keytool(folder, f"identity.{ending}")
    assert "Entry type: PrivateKeyEntry" in said
    assert "Certificate chain length: 2" in said
    web = first.workloads["web"].key_pair
    assert _serials(said)[0] == web.leaf.serial
    assert "Entry type: trustedCertEntry" in (trust := _keytool(folder, f"trust.{ending}"))
    assert _serials(trust) == [authority.issuer.root.serial]

    other = TestAuthority.make()
    renewed = authority.pair(identity("web"))
    second = replace(_wanting(authority, kind, pair=renewed), bundle=Bundle((authority.issuer.root, other.issuer.root)))
    folder.save(first, second)
    assert _serials(_keytool(folder, f"identity.{ending}"))[0] == renewed.leaf.serial
    assert sorted(_serials(_keytool(folder, f"trust.{ending}"))) == sorted(
        [authority.issuer.root.serial, other.issuer.root.serial]
    )


def test_they_are_for_their_owner_alone_and_go_when_nobody_wants_them(authority, folder):
    pair = authority.pair(identity("web"))
    both = _wanting(authority, "pkcs12", "jks", pair=pair)
    folder.save(Holdings(Bundle(())), both)
    place = folder.layout.of("web")
    names = {"identity.p12", "identity.jks", "trust.p12", "trust.jks", "store-password"}
    assert names <= {path.name for path in place.folder.iterdir()}
    assert {stat.S_IMODE((place.folder / name).stat().st_mode) for name in names} == {0o600}
    password = place.store_password.read_bytes()
    folder.save(both, _wanting(authority, "jks", pair=pair))
    left = {path.name for path in place.folder.iterdir()}
    assert not {"identity.p12", "trust.p12"} & left
    assert {"identity.jks", "trust.jks"} <= left
    assert place.store_password.read_bytes() == password  # running programs have it


def test_a_workload_that_wants_none_has_none(authority, folder):
    folder.save(Holdings(Bundle(())), _wanting(authority))
    assert not list(folder.layout.of("web").folder.glob("*.p12"))
    assert not folder.layout.of("web").store_password.exists()


def test_a_format_that_this_agent_does_not_know_is_left_out(authority, folder):
    folder.save(Holdings(Bundle(())), _wanting(authority, "bcfks", "pkcs12"))
    assert (folder.layout.of("web").folder / "identity.p12").exists()
