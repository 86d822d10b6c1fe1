"""What the agent holds, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.agent import holdings as held
from handsel.agent.layout import Layout
from handsel.agent.model import Ports, Workload
from handsel.errors import Bug, ProtocolError
from handsel.link.messages import AssignedWorkload, Bundle, Frame, Resources, ping
from handsel.link.report import Rejection
from handsel.xds.resources import CLUSTER, ENDPOINT, LISTENER, SECRET, resource
from tests.agent.things import PORTS, RESOURCES, assigned, assignment, counting, holdings, identity, published, workload
from tests.support import NOW, TRUST_DOMAIN, TestAuthority


def _frame(sequence: int, resources: Resources | None, key: str = "web") -> Frame:
    return Frame(sequence, Resources.KIND, key, resources.encode() if resources else b"")


def test_frames_build_up_what_is_held(authority):
    other = TestAuthority.make().issuer.root
    frames = [assignment(1, assigned()), _frame(2, RESOURCES), Frame(3, Bundle.KIND, "", Bundle((other,)).encode())]
    after = holdings(authority)
    for frame in frames:
        after = held.take(after, frame)
    assert after.workloads["web"].resources == RESOURCES
    assert (after.roots, after.sequence) == ((other,), 3)


def test_a_ping_and_a_kind_that_a_newer_server_has_change_nothing_but_the_sequence(authority):
    before = holdings(authority, workload(), sequence=4)
    assert held.take(before, ping(NOW)) == before
    later = held.take(before, Frame(5, "later", "x", b"\xff"))
    assert later == replace(before, sequence=5, digests=later.digests)


def test_resources_of_a_workload_that_is_not_here_are_left_alone(authority):
    before = holdings(authority, workload())
    assert held.take(before, _frame(5, RESOURCES, "nobody")).workloads == before.workloads


def test_resources_can_be_taken_away(authority):
    after = held.take(holdings(authority, workload()), _frame(5, None))
    assert after.workloads["web"].resources is None


@pytest.mark.parametrize("kind", ["assignment", "bundle", "resources"])
def test_a_frame_that_makes_no_sense_is_a_protocol_error(authority, kind):
    with pytest.raises(ProtocolError):
        held.take(holdings(authority, workload()), Frame(5, kind, "web", b"\xff"))


def test_an_assignment_keeps_what_is_known_of_a_workload_and_drops_those_it_no_longer_names(authority):
    pair = authority.pair(identity("web"))
    before = holdings(authority, workload(pair), replace(workload(), assigned=assigned("bot")))
    after = held.take(before, assignment(5, assigned(callees=("emoji", "bank")), assigned("emoji")))
    assert set(after.workloads) == {"web", "emoji"}
    web = after.workloads["web"]
    assert (web.ports, web.key_pair, web.resources) == (PORTS, pair, RESOURCES)
    assert web.assigned.callees == ("emoji", "bank")


def test_a_workload_with_a_new_identity_loses_the_certificate_of_the_old_one(authority):
    before = holdings(authority, workload(authority.pair(identity("web"))))
    renamed = replace(assigned(), identity=identity("web-2"))
    assert held.take(before, assignment(5, assigned())).workloads["web"].key_pair
    assert held.take(before, assignment(5, renamed)).workloads["web"].key_pair is None


def test_every_port_is_chosen_once_and_stays():
    first = held.choose_ports(workload(ports=None), counting())
    assert sorted(first.ports.all()) == [9000, 9001, 9002, 9003]
    assert held.choose_ports(first, counting(7000)) == first


def test_a_port_that_a_person_wrote_is_taken_as_it_is():
    chosen = held.choose_ports(replace(workload(ports=None), assigned=assigned(port=80)), counting())
    assert chosen.ports.application == 80
    moved = held.choose_ports(replace(chosen, assigned=assigned(port=81)), counting(7000))
    assert moved.ports == replace(chosen.ports, application=81)


def test_a_new_callee_gets_a_port_and_one_that_is_gone_gives_its_own_back():
    changed = held.choose_ports(replace(workload(), assigned=assigned(callees=("emoji", "bank"))), counting())
    assert dict(changed.ports.callees) == {"emoji": 8004, "bank": 9000}
    fewer = held.choose_ports(replace(changed, assigned=assigned(callees=("bank",))), counting())
    assert dict(fewer.ports.callees) == {"bank": 9000}


@given(st.sets(st.sampled_from(["inbound", "proxy", "outbound.emoji", "outbound.nobody", "something"])))
def test_only_the_ports_that_were_refused_change(refused):
    after = held.replace_ports(workload(), refused, counting()).ports
    moved = {
        "inbound": after.mesh != PORTS.mesh,
        "proxy": after.proxy != PORTS.proxy,
        "outbound.emoji": after.callees["emoji"] != PORTS.callees["emoji"],
    }
    assert moved == {name: name in refused for name in moved}
    assert after.application == PORTS.application
    assert len(after.all()) == 4


def test_only_a_listener_whose_port_is_taken_is_a_matter_of_ports():
    reason = "x: cannot bind '127.0.0.1:80': Address already in use"
    assert held.cannot_bind(Rejection(LISTENER, ("x",), reason))
    assert not held.cannot_bind(Rejection(CLUSTER, ("x",), reason))
    assert not held.cannot_bind(Rejection(LISTENER, ("x",), "bad filter"))


FILES = {
    name: resource(SECRET, name, b"from a file") for name in ("file-cert:/c~/k", "file-root:/r", "file-root:/other")
}


def _names(snapshot) -> set[tuple[str, str]]:
    kinds = {SECRET: "secret", CLUSTER: "cluster", ENDPOINT: "endpoint", LISTENER: "listener"}
    return {(kinds[kind], name) for kind, name in snapshot.resources}


def test_a_proxy_gets_everything_once_every_secret_is_there(authority):
    web = workload(authority.pair(identity("web")))
    snapshot = held.proxy_snapshot(web, holdings(authority, web), FILES, NOW)
    assert _names(snapshot) == {
        ("secret", "default"), ("secret", "ROOTCA"), ("secret", "file-cert:/c~/k"), ("secret", "file-root:/r"),
        ("cluster", "_application"), ("cluster", "emoji"), ("cluster", "bank"), ("endpoint", "emoji"),
        ("listener", "inbound"), ("listener", "proxy"),
    }  # fmt: skip


PLAIN = {("cluster", "_application"), ("listener", "proxy")}


@pytest.mark.parametrize(
    ("has_pair", "files", "moment", "missing"),
    [
        (
            False,
            FILES,
            NOW,
            {("secret", "default"), ("cluster", "emoji"), ("endpoint", "emoji"), ("listener", "inbound")},
        ),
        (True, {}, NOW, {("secret", "file-cert:/c~/k"), ("secret", "file-root:/r"), ("cluster", "bank")}),
        (
            True,
            FILES,
            NOW + timedelta(hours=1),
            {("secret", "default"), ("cluster", "emoji"), ("endpoint", "emoji"), ("listener", "inbound")},
        ),
    ],
)
def test_what_needs_a_secret_that_is_not_there_is_held_back_and_the_rest_goes_out(
    authority, has_pair, files, moment, missing
):
    whole = workload(authority.pair(identity("web"), now=NOW))
    everything = _names(held.proxy_snapshot(whole, holdings(authority, whole), FILES, NOW))
    web = whole if has_pair else workload()
    snapshot = held.proxy_snapshot(web, holdings(authority, web), files, moment)
    assert everything - _names(snapshot) == missing
    assert _names(snapshot) >= PLAIN


def test_a_proxy_gets_no_file_that_its_configuration_does_not_name(authority):
    resources = Resources((published(CLUSTER, "_application"),), ("ROOTCA", "file-root:/r"))
    web = workload(authority.pair(identity("web")), resources=resources)
    snapshot = held.proxy_snapshot(web, holdings(authority, web), FILES, NOW)
    files = {name for kind, name in _names(snapshot) if name.startswith("file-")}
    assert files == {"file-root:/r"}
    assert "file-cert:/c~/k" in FILES


def test_a_proxy_that_somebody_configured_by_hand_gets_its_own_secrets_and_no_more(authority):
    web = workload(authority.pair(identity("web")), resources=None)
    snapshot = held.proxy_snapshot(web, holdings(authority, web), FILES, NOW)
    assert _names(snapshot) == {("secret", "ROOTCA"), ("secret", "default")}
    assert held.wanted_files(web) == []


def test_only_files_that_are_named_are_read():
    assert held.wanted_files(workload()) == ["file-cert:/c~/k", "file-root:/r"]


_LAYOUT = Layout(Path("/s"), Path("/r"))


def test_a_report_says_what_was_chosen_and_how_it_is(authority):
    layout, pair = _LAYOUT, authority.pair(identity("web"))
    rejection = Rejection(CLUSTER, ("emoji",), "no")
    said = held.report(workload(pair), layout, "10.0.0.7", in_sync=True, rejections=(rejection,))
    assert (said.service, said.address, said.in_sync, said.rejections) == ("web", "10.0.0.7", True, (rejection,))
    assert (said.application_port, said.mesh_port, said.proxy_port) == (8001, 8002, 8003)
    assert dict(said.callee_ports) == {"emoji": 8004}
    assert (said.certificate_serial, said.certificate_not_after) == (pair.leaf.serial, pair.leaf.not_after)
    assert held.report(workload(ports=None), layout, "x", in_sync=False, rejections=()) is None


def test_a_program_finds_its_own_port_and_its_callees():
    ports = Ports(8001, 8002, 8003, {"emoji": 8004, "user-data": 8005})
    variables = held.environment(workload(ports=ports), _LAYOUT)
    assert variables["PORT"] == "8001"
    assert (variables["EMOJI_ADDR"], variables["EMOJI_URL"]) == ("127.0.0.1:8004", "http://127.0.0.1:8004")
    assert variables["USER_DATA_ADDR"] == "127.0.0.1:8005"
    assert variables["http_proxy"] == "http://127.0.0.1:8003"
    assert "127.0.0.1" in variables["no_proxy"]
    assert (variables["HANDSEL_IDENTITY"], variables["HANDSEL_ROOTS"]) == ("/s/workloads/web", "/s/roots.crt")
    with pytest.raises(Bug):
        held.environment(workload(ports=None), _LAYOUT)


def test_a_program_inherits_no_proxy_and_finds_our_python_first():
    inherited = {"HTTPS_PROXY": "http://x", "http_proxy": "http://x", "ALL_PROXY": "x", "PATH": "/bin", "LANG": "C"}
    whole = held.program_environment(inherited, {"http_proxy": "http://127.0.0.1:8003"}, Path("/venv/bin"))
    assert whole == {"http_proxy": "http://127.0.0.1:8003", "PATH": "/venv/bin:/bin", "LANG": "C"}


def test_callees_of_one_name_share_an_address_and_each_of_its_names_leads_there():
    assigned = AssignedWorkload(
        "web", TRUST_DOMAIN.workload("default", "web"), 0, ("shop", "shop-9090", "bank"),
        hosts={"shop": "shop shop.default", "shop-9090": "shop shop.default", "bank": "bank.example"},
    )  # fmt: skip
    ports, addresses = iter(range(20000, 20100)), iter(f"127.80.0.{number}" for number in range(1, 100))
    chosen = held.choose_ports(Workload(assigned), lambda: next(ports), lambda: next(addresses))
    assert chosen.ports is not None
    assert chosen.ports.addresses == {"shop": "127.80.0.1", "shop-9090": "127.80.0.1", "bank": "127.80.0.2"}
    assert held.callee_names(chosen) == {
        "shop": "127.80.0.1", "shop.default": "127.80.0.1", "bank.example": "127.80.0.2"
    }  # fmt: skip
    again = held.replace_ports(chosen, ["name.shop-9090"], lambda: next(ports))
    moved = held.choose_ports(again, lambda: next(ports), lambda: next(addresses)).ports
    assert moved is not None
    assert moved.addresses == {"shop": "127.80.0.3", "shop-9090": "127.80.0.3", "bank": "127.80.0.2"}
