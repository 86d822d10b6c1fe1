"""The agent's folder: what is saved is loaded, and what a crash left half done is asked for again."""

from __future__ import annotations

import json
import stat
from dataclasses import replace

import pytest

from handsel.agent.adapters.files import AgentFolder
from handsel.agent.layout import Layout
from handsel.agent.model import Enrolment, Holdings
from handsel.errors import StateError, StateInUse
from handsel.link.messages import Bundle, Resources
from handsel.pki.certificate import to_pem
from handsel.pki.keys import PrivateKey
from handsel.store.adapters.files import write_file
from tests.agent.things import PORTS, assigned, holdings, identity, workload
from tests.support import TRUST_DOMAIN, TestAuthority, as_nobody


def _folder(base) -> AgentFolder:
    folder = AgentFolder(Layout(base / "state", base / "runtime"))
    folder.prepare()
    return folder


@pytest.fixture
def folder(tmp_path) -> AgentFolder:
    return _folder(tmp_path)


def _plain(there: Holdings) -> object:
    """Holdings as something that can be compared: two private keys are equal when their halves are."""
    return (
        there.roots,
        there.sequence,
        {
            name: (
                each.assigned,
                each.ports,
                each.resources,
                each.key_pair and (each.key_pair.chain, each.key_pair.key.pin()),
            )
            for name, each in there.workloads.items()
        },
    )


def _full(authority) -> Holdings:
    web = workload(authority.pair(identity("web")))
    bare = replace(workload(ports=None, resources=None), assigned=assigned("emoji", callees=()))
    return holdings(authority, bare, web, sequence=7)


NOTHING = Holdings(Bundle(()))


def test_what_was_saved_is_loaded(authority, folder):
    full = _full(authority)
    folder.save(NOTHING, full)
    assert _plain(folder.load()) == _plain(full)


def test_a_change_is_saved_too(authority, folder):
    full = _full(authority)
    folder.save(NOTHING, full)
    web = replace(
        full.workloads["web"],
        assigned=assigned(callees=("bank",)),
        ports=replace(PORTS, mesh=9, callees={"bank": 10}),
        key_pair=authority.pair(identity("web")),
        resources=Resources((), ("ROOTCA",)),
    )
    roots = (TestAuthority.make().issuer.root, authority.issuer.root)
    changed = replace(full.with_workload(web), bundle=Bundle(roots), sequence=8)
    folder.save(full, changed)
    assert _plain(folder.load()) == _plain(changed)


def test_a_workload_that_went_leaves_nothing_behind(authority, folder):
    full = _full(authority)
    folder.save(NOTHING, full)
    without = replace(full, workloads={"emoji": full.workloads["emoji"]})
    folder.save(full, without)
    assert _plain(folder.load()) == _plain(without)
    assert not folder.layout.of("web").folder.exists()


def test_resources_that_were_taken_away_stay_away(authority, folder):
    full = _full(authority)
    folder.save(NOTHING, full)
    without = replace(full.with_workload(replace(full.workloads["web"], resources=None)), sequence=8)
    folder.save(full, without)
    assert folder.load().workloads["web"].resources is None


def test_a_certificate_of_another_identity_is_not_loaded(authority, folder):
    full = _full(authority)
    folder.save(NOTHING, full)
    renamed = replace(full.workloads["web"], assigned=replace(assigned(), identity=identity("web-2")), key_pair=None)
    folder.save(full, replace(full.with_workload(renamed), sequence=8))
    assert folder.load().workloads["web"].key_pair is None


def test_everything_is_for_its_owner_alone(authority, folder):
    folder.save(NOTHING, _full(authority))
    folder.save_own(authority.pair(TRUST_DOMAIN.agent("a1")))
    paths = list(folder.layout.state.rglob("*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}
    assert any(path.suffix == ".key" for path in paths)


def test_a_pair_that_was_half_written_is_asked_for_again(authority, folder):
    full = _full(authority)
    folder.save(NOTHING, full)
    place = folder.layout.of("web")
    # A crash between the two files of a renewal: the new key beside the old chain.
    write_file(place.key, PrivateKey.generate().pem().reveal())
    loaded = folder.load()
    assert loaded.workloads["web"].key_pair is None
    assert loaded.workloads["web"].resources == full.workloads["web"].resources
    assert loaded.sequence == full.sequence


@pytest.mark.parametrize("name", ["key", "chain"])
@pytest.mark.parametrize("damage", [None, b"", b"nonsense"])
def test_a_pair_that_cannot_be_read_is_asked_for_again(authority, folder, name, damage):
    folder.save(NOTHING, _full(authority))
    path = getattr(folder.layout.of("web"), name)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert folder.load().workloads["web"].key_pair is None


@pytest.mark.parametrize("name", ["assigned", "resources", "ports"])
@pytest.mark.parametrize("damage", [b"\xff\xff", b"{}", b"[1]"])
def test_a_workload_that_cannot_be_read_is_asked_for_again_with_everything_else(authority, folder, name, damage):
    folder.save(NOTHING, _full(authority))
    getattr(folder.layout.of("web"), name).write_bytes(damage)
    loaded = folder.load()
    assert set(loaded.workloads) == {"emoji"}
    assert loaded.sequence == 0  # the server sends everything from the start


def test_a_workload_whose_assignment_was_not_yet_written_is_asked_for_again(authority, folder):
    folder.save(NOTHING, _full(authority))
    folder.layout.of("web").assigned.unlink()
    assert folder.load().sequence == 0


@pytest.mark.parametrize("damage", [None, b"", b"nonsense", b'{"sequence": "x"}', b"[]"])
def test_a_sequence_that_cannot_be_read_starts_from_the_beginning(authority, folder, damage):
    full = _full(authority)
    folder.save(NOTHING, full)
    if damage is None:
        folder.layout.watch.unlink()
    else:
        folder.layout.watch.write_bytes(damage)
    assert _plain(folder.load()) == _plain(replace(full, sequence=0))


def test_what_a_crash_left_of_a_write_disturbs_nobody(authority, folder):
    full = _full(authority)
    folder.save(NOTHING, full)
    place = folder.layout.of("web")
    for path in (place.key, place.resources, folder.layout.roots, folder.layout.watch):
        path.with_name(f".{path.name}.new").write_bytes(b"half of")
    assert _plain(folder.load()) == _plain(full)


def test_a_folder_that_can_no_longer_be_written_is_told(authority):
    with as_nobody() as base:
        folder = _folder(base)
        folder.save(NOTHING, holdings(authority, sequence=1))
        folder.layout.state.chmod(0o500)
        with pytest.raises(StateError, match="cannot write"):
            folder.save(holdings(authority, sequence=1), holdings(authority, sequence=2))


ENROLMENT = Enrolment("https://10.0.0.5:8443", TRUST_DOMAIN, "a1", ("https://10.0.0.6:8443",))


def test_an_enrolment_is_remembered_with_its_key(authority, folder):
    assert folder.enrolment() is None
    pair = authority.pair(TRUST_DOMAIN.agent("a1"))
    folder.save_enrolment(ENROLMENT, pair, holdings(authority))
    assert folder.enrolment() == ENROLMENT
    assert folder.own().key.pin() == pair.key.pin()
    assert folder.own().chain == pair.chain
    assert folder.load().roots == (authority.issuer.root,)
    # As the first release wrote it.
    content = {"url": ENROLMENT.url, "trust_domain": str(TRUST_DOMAIN), "agent_id": "a1"}
    write_file(folder.layout.enrolment, json.dumps(content).encode())
    assert folder.enrolment() == replace(ENROLMENT, others=())


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[]", b'{"url": "x", "trust_domain": "Not A Domain", "agent_id": "a"}']
)
def test_an_enrolment_that_cannot_be_read_is_told(authority, folder, damage):
    folder.save_enrolment(ENROLMENT, authority.pair(TRUST_DOMAIN.agent("a1")), holdings(authority))
    folder.layout.enrolment.write_bytes(damage)
    with pytest.raises(StateError, match="cannot be read"):
        folder.enrolment()


def test_a_key_of_the_agent_that_does_not_fit_is_told(authority, folder):
    folder.save_own(authority.pair(TRUST_DOMAIN.agent("a1")))
    write_file(folder.layout.certificate, to_pem(authority.pair(TRUST_DOMAIN.agent("a1")).chain))
    with pytest.raises(StateError, match="cannot be read"):
        folder.own()


def test_a_folder_is_held_by_one_agent(folder):
    with folder.hold(), pytest.raises(StateInUse), folder.hold():
        pass
    with folder.hold():
        pass
