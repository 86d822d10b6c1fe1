"""Who may do what: on the admin socket, and from elsewhere with a certificate and a role."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request

import pytest

from handsel.errors import ExitCode
from tests.e2e.authority_process import authority
from tests.e2e.mesh_process import run

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def running():
    with authority() as started:
        yield started


def add(running, name: str, role: str):
    folder = running.folder / name
    done = running.run("ca", "admin", "add", name, "--role", role, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def at(folder, *arguments: str) -> int:
    return run(*arguments, "--state", str(folder)).returncode


def test_each_role_may_do_what_it_is_for_and_no_more(running):
    viewer, operator, head = (add(running, name, name) for name in ("viewer", "operator", "administrator"))
    for folder in (viewer, operator, head):
        assert at(folder, "agent", "list") == ExitCode.OK
    assert at(viewer, "agent", "ticket") == ExitCode.UNREACHABLE
    assert at(operator, "agent", "ticket") == ExitCode.OK
    another = ("ca", "admin", "add", "x", "--role", "viewer", "--out", str(running.folder / "x"))
    assert at(operator, *another) == ExitCode.UNREACHABLE
    assert at(head, *another) == ExitCode.OK


def test_a_role_that_was_taken_away_ends_at_once(running):
    folder = add(running, "leaver", "operator")
    assert at(folder, "agent", "list") == ExitCode.OK
    assert running.run("ca", "admin", "remove", "leaver").returncode == ExitCode.OK
    refused = run("agent", "list", "--state", str(folder))
    assert (refused.returncode, "HS-L002" in refused.stderr) == (ExitCode.UNREACHABLE, True)


def test_without_a_certificate_the_door_shows_nothing(running):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(running.roots)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    assert opener.open(f"{running.url}/healthz").status == 200
    with pytest.raises(urllib.error.HTTPError) as refused:
        opener.open(f"{running.url}/admin/v1/status")
    assert refused.value.code == 401
    assert b"needs an administrator's client certificate" in refused.value.read()


def test_who_did_it_is_in_the_journal_and_the_list(running):
    add(running, "first", "administrator")
    done = run("ca", "admin", "add", "second", "--role", "viewer", "--out", str(running.folder / "second"), "--state",
               str(running.folder / "first"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    added_by = {each["name"]: each["added_by"] for each in running.json("ca", "admin", "list")["administrators"]}
    assert (added_by["first"], added_by["second"]) == ("local", "administrator/first")


def test_names_and_folders_that_cannot_be_are_refused_in_one_line(running):
    for name in ("../x", "A", "", "x" * 80):
        done = running.run("ca", "admin", "add", name, "--role", "viewer", "--out", str(running.folder / "never"))
        assert done.returncode in (ExitCode.USAGE, ExitCode.FAILED)
        assert len(done.stderr.splitlines()) <= 4
        assert "Traceback" not in done.stderr
    taken = running.run("ca", "admin", "add", "y", "--role", "viewer", "--out", str(running.folder))
    assert (taken.returncode, "is there already" in taken.stderr) == (ExitCode.USAGE, True)
