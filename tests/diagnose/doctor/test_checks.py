"""The doctor's checks over facts: each fault beside its control."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from handsel.diagnose.doctor import environment, folder, ports, reach, trust
from handsel.diagnose.doctor.environment import Disk, Environment, Envoy
from handsel.diagnose.doctor.folder import Entry, Folder, Record, UnixSocket
from handsel.diagnose.doctor.model import Check, Mend, Report, Result
from handsel.diagnose.doctor.ports import Listener, Wanted
from handsel.diagnose.doctor.reach import Agent, Server, Service
from handsel.diagnose.doctor.trust import Clock, Held
from tests.support import NOW

WELL = Environment(
    python=(3, 11, 7), openssl=(3, 5, 0), openssl_text="OpenSSL 3.5.0", variables={}, encoding="utf-8",
    files=(65536, 65536), disks=(Disk("/var", 10 << 30, 10_000),),
    envoy=Envoy("/bin/envoy", "envoy  version: abc/1.40.0/Clean/RELEASE/BoringSSL"), user=0, capabilities=2**41 - 1,
    programs=frozenset({"ip", "nft"}),
)  # fmt: skip


def bad(checks: list[Check]) -> dict[str, Result]:
    """The checks that are neither well nor left out."""
    return {check.name: check.result for check in checks if check.result not in (Result.OK, Result.SKIPPED)}


@pytest.mark.parametrize(
    ("change", "name", "result"),
    [
        ({"python": (3, 10, 9)}, "python", Result.FAILURE),
        ({"openssl": (3, 0, 19)}, "openssl", Result.WARNING),
        ({"envoy": Envoy("/e", "envoy  version: abc/1.32.9/Clean/RELEASE/BoringSSL")}, "envoy", Result.FAILURE),
        ({"envoy": Envoy("/e", "usage: e")}, "envoy", Result.FAILURE),
        ({"envoy": Envoy(problem="there is no Envoy")}, "envoy", Result.FAILURE),
        ({"variables": {"http_proxy": "http://p:3128"}}, "proxies", Result.WARNING),
        ({"variables": {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "localhost"}}, "proxies", Result.WARNING),
        ({"encoding": "ascii"}, "encoding", Result.WARNING),
        ({"files": (1024, 1048576)}, "open files", Result.WARNING),
        ({"disks": (Disk("/var", 10 << 20, 10_000),)}, "disk", Result.FAILURE),
        ({"disks": (Disk("/var", 10 << 30, 3),)}, "disk", Result.FAILURE),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_with_the_environment_is_told(change, name, result):
    assert bad(environment.checks(WELL)) == {}
    found = environment.checks(replace(WELL, **change))
    assert bad(found) == {name: result}
    (told,) = (check for check in found if check.name == name)
    assert told.what
    assert told.why
    assert told.next_step


@pytest.mark.parametrize(
    "variables",
    [
        {"http_proxy": "http://p", "no_proxy": "localhost, 127.0.0.1,.internal"},
        {"http_proxy": "http://p", "no_proxy": "*"},
        {"http_proxy": ""},
    ],
    ids=["named", "all", "empty"],
)
def test_a_proxy_that_leaves_loopback_alone_is_fine(variables):
    assert bad(environment.checks(replace(WELL, variables=variables))) == {}


def test_rights_that_are_missing_are_told_and_no_fault():
    found = environment.checks(replace(WELL, user=1000, capabilities=0))
    skipped = {check.name for check in found if check.result is Result.SKIPPED}
    assert skipped == {"low ports", "users", "network namespaces"}
    assert bad(found) == {}
    only_bind = environment.checks(replace(WELL, user=1000, capabilities=1 << 10))
    assert {check.name for check in only_bind if check.result is Result.SKIPPED} == skipped - {"low ports"}


@pytest.mark.parametrize(
    ("capabilities", "programs", "lacking"),
    [(WELL.capabilities, {"ip"}, "nft"), (1 << 10 | 1 << 12, {"ip", "nft"}, "CAP_SYS_ADMIN, CAP_SETPCAP")],
    ids=["program", "rights"],
)
def test_what_strict_lacks_is_named(capabilities: int, programs: set[str], lacking: str):
    found = environment.checks(replace(WELL, capabilities=capabilities, programs=frozenset(programs)))
    (check,) = [each for each in found if each.name == "network namespaces"]
    assert check.result is Result.SKIPPED
    assert check.what.endswith(f"its sidecar: needs {lacking}")
    assert [each.result for each in environment.checks(WELL) if each.name == check.name] == [Result.OK]


FINE = Folder(
    "/s", (Entry("/s", 0o700, 1000, 1000, True), Entry("/s/k", 0o600, 1000, 1000, False)), "/run/handsel/abc", 14,
    (UnixSocket("/run/handsel/abc/control.sock", True),), (Record("/s/e.pid", "envoy", "web", 5, True),),
    frozenset({"agent"}),
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "wrong", "mends"),
    [
        ({"entries": (FINE.entries[0], Entry("/s/k", 0o644, 1000, 1000, False))}, {"modes": "failure"}, {Mend("/s/k", 0o600)}),
        ({"entries": (Entry("/s", 0o755, 1000, 1000, True),)}, {"modes": "failure"}, {Mend("/s", 0o711)}),
        ({"entries": (FINE.entries[0], Entry("/s/k", 0o600, 0, 0, False))}, {"owner": "failure"}, set()),
        ({"runtime": "/run/" + "x" * 88}, {"socket paths": "failure"}, set()),
        ({"sockets": (UnixSocket("/r/a.ads", False),)}, {"sockets": "warning"}, {Mend("/r/a.ads")}),
        ({"records": (Record("/s/e.pid", "envoy", "web", 5, False),)}, {"records": "warning"}, {Mend("/s/e.pid")}),
        ({"running": frozenset()}, {"processes": "warning"}, set()),
        ({"records": (Record("/s/w.pid", "program", "web", 6, True),)}, {"processes": "failure"}, set()),
    ],
    ids=["file", "folder", "owner", "long path", "dead socket", "dead record", "lonely envoy", "left program"],
)  # fmt: skip
def test_what_is_wrong_with_a_folder_is_told_with_what_mends_it(change, wrong, mends):
    assert bad(folder.checks(FINE)) == {}
    report = Report(tuple(folder.checks(replace(FINE, **change))))
    assert bad(list(report.checks)) == wrong
    assert set(report.mends) == mends
    assert report.ok is ("failure" not in wrong.values())


@pytest.mark.parametrize(
    ("path", "mode", "group", "is_folder", "mended"),
    [
        ("/s", 0o711, 1000, True, None),
        ("/s", 0o775, 1000, True, 0o711),
        ("/s/web", 0o750, 70_001, True, None),
        ("/s/web", 0o750, 1000, True, 0o710),
        ("/s/web", 0o770, 70_001, True, 0o750),
        ("/s/identity.key", 0o640, 70_001, False, None),
        ("/s/identity.key", 0o640, 1000, False, 0o600),
        ("/s/identity.key", 0o644, 70_001, False, 0o640),
        ("/s/roots.crt", 0o644, 1000, False, None),
        ("/s/roots.crt", 0o664, 1000, False, 0o644),
        ("/s/hosts", 0o644, 1000, False, None),
        ("/s/handsel.db", 0o644, 1000, False, 0o600),
    ],
)
def test_others_see_what_is_theirs_or_public_and_no_more(path, mode, group, is_folder, mended):
    entries = (FINE.entries[0], Entry(path, mode, 1000, group, is_folder))
    found = Report(tuple(folder.checks(replace(FINE, entries=entries))))
    assert found.mends == (() if mended is None else (Mend(path, mended),))


def test_the_longest_path_that_fits_is_fine():
    fits = "/run/" + "x" * (folder.LONGEST_SOCKET_PATH - len("/run/") - 1 - FINE.longest_socket_name)
    assert bad(folder.checks(replace(FINE, runtime=fits))) == {}
    assert bad(folder.checks(replace(FINE, runtime=fits + "x"))) == {"socket paths": "failure"}


def test_under_up_everything_that_runs_has_its_place():
    programs = (Record("/s/w.pid", "program", "web", 6, True),)
    assert bad(folder.checks(replace(FINE, records=programs, running=frozenset({"up", "agent"})))) == {}


def test_without_a_folder_nothing_is_said_of_it():
    assert [check.result for check in folder.checks(Folder("/s"))] == [Result.SKIPPED]


ENVOY = Listener("127.0.0.1", 9000, 1, 10, 10, "envoy")


@pytest.mark.parametrize(
    ("other", "trapped"),
    [
        (Listener("127.0.0.1", 9000, 2, 20, 20, "envoy"), True),
        (Listener("0.0.0.0", 9000, 2, 20, 20, "nc"), True),
        (Listener("127.0.0.1", 9000, 2), True),
        (Listener("127.0.0.1", 9000, 2, 11, 10, "worker"), False),
        (Listener("127.0.0.2", 9000, 2, 20, 20, "nc"), False),
        (Listener("::1", 9000, 2, 20, 20, "nc"), False),
        (Listener("127.0.0.1", 9001, 2, 20, 20, "nc"), False),
    ],
    ids=["stranger", "everywhere", "unknown", "worker", "other address", "other family", "other port"],
)
def test_two_owners_of_one_port_are_found_and_workers_of_one_program_are_not(other, trapped):
    wanted = [Wanted(9000, "web, mesh")]
    assert bad(ports.checks(wanted, [ENVOY])) == {}
    assert bad(ports.checks(wanted, [ENVOY, other])) == ({"port 9000": "failure"} if trapped else {})


def test_a_port_that_up_needs_is_free_or_told():
    taken = Wanted(9000, "web's program", starts=True)
    assert bad(ports.checks([taken], [])) == {}
    assert bad(ports.checks([taken], [ENVOY])) == {"port 9000": "failure"}
    assert bad(ports.checks([replace(taken, runs=True)], [ENVOY])) == {}
    assert bad(ports.checks([replace(taken, starts=False)], [ENVOY])) == {}


LEAF = Held("web", "/s/web.crt", NOW - timedelta(minutes=10), NOW + timedelta(minutes=50))
ROOT = Held("root", "/s/root.crt", NOW - timedelta(days=10), NOW + timedelta(days=100), is_ca=True)


@pytest.mark.parametrize(
    ("held", "wrong"),
    [
        (LEAF, {}),
        (ROOT, {}),
        (replace(LEAF, not_before=NOW + timedelta(minutes=1)), {"certificates": "failure"}),
        (replace(LEAF, not_after=NOW), {"certificates": "failure"}),
        (replace(LEAF, not_after=NOW + timedelta(minutes=3)), {"certificates": "warning"}),
        (replace(ROOT, not_after=NOW + timedelta(days=1)), {"certificates": "warning"}),
        (replace(ROOT, not_after=NOW + timedelta(days=2)), {}),
    ],
    ids=["leaf", "root", "too early", "ended", "not renewed", "CA near its end", "CA with time left"],
)
def test_certificates_outside_of_their_time_or_near_its_end(held, wrong):
    assert bad(trust.checks(Clock(NOW, synchronized=True), [held])) == wrong


@pytest.mark.parametrize(("seconds", "wrong"), [(29, False), (31, True), (-29, False), (-31, True)])
def test_a_clock_that_differs_from_the_servers(seconds, wrong):
    clock = Clock(NOW, NOW - timedelta(seconds=seconds), synchronized=True)
    found = trust.checks(clock, [])
    assert bad(found) == ({"clock of the server": "failure"} if wrong else {})
    if wrong:
        assert ("ahead of" if seconds > 0 else "behind") in next(c.what for c in found if c.name in bad(found))


def test_a_clock_that_nobody_keeps_is_a_warning_and_an_unknown_one_is_not():
    assert bad(trust.checks(Clock(NOW, synchronized=False), [])) == {"clock": "warning"}
    assert bad(trust.checks(Clock(NOW, synchronized=None), [])) == {}


UNIT = Service("/u", True, "/s", "text", "text", "/s")


@pytest.mark.parametrize(
    ("agent", "server", "unit", "wrong"),
    [
        (Agent(True, "a"), Server("https://s"), UNIT, {}),
        (Agent(False), Server("https://s"), replace(UNIT, text=None), {}),
        (Agent(True, "a", "refused"), Server("https://s"), UNIT, {"agent": "failure"}),
        (Agent(True, "a", "", "away"), Server("https://s", "refused"), UNIT, {"agent": "warning", "server": "failure"}),
        (Agent(True, "a"), Server("https://s", "self-signed", False), UNIT, {"server": "failure"}),
        (Agent(True, "a"), Server("https://s"), replace(UNIT, text="edited"), {"systemd": "warning"}),
        (Agent(True, "a"), Server("https://s"), replace(UNIT, unit_state="/t"), {}),
    ],
    ids=["well", "not joined", "agent away", "server away", "impostor", "edited unit", "unit of another folder"],
)
def test_what_does_not_answer_and_a_unit_that_is_not_ours(agent, server, unit, wrong):
    assert bad(reach.checks(agent, (server,), unit)) == wrong
