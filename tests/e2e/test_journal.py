"""The journal and the directory of a running server, asked by the real command."""

from __future__ import annotations

import sqlite3

import pytest

from handsel.errors import ExitCode
from tests.e2e.authority_process import authority
from tests.e2e.mesh_process import run

pytestmark = pytest.mark.e2e


@pytest.fixture
def running():
    with authority() as started:
        yield started


def test_the_journal_holds_until_somebody_touches_it(running):
    kept = running.folder / "kept.txt"
    kept.write_text(running.run("ca", "journal", "checkpoint").stdout)
    key = running.folder / "journal.pub"
    key.write_text(running.run("ca", "journal", "key").stdout)
    verify = ("ca", "journal", "verify", "--key", str(key), "--checkpoint", str(kept))
    assert running.run(*verify).returncode == ExitCode.OK
    with sqlite3.connect(running.state / "server" / "handsel.db") as database:
        database.execute("DELETE FROM journal WHERE number = (SELECT max(number) FROM journal)")
        database.execute("DELETE FROM checkpoints")
    touched = running.run(*verify)
    assert (touched.returncode, "the end was cut off" in touched.stdout) == (ExitCode.FINDINGS, True)


def test_the_proof_of_a_certificate_needs_no_server(running):
    (certificate,) = running.json("cert", "list", "--profile", "server")["certificates"]
    proof, key = running.folder / "proof.json", running.folder / "journal.pub"
    proof.write_text(running.run("ca", "journal", "prove", certificate["serial"]).stdout)
    key.write_text(running.run("ca", "journal", "key").stdout)
    running.server.stop()
    shown = run("ca", "journal", "check", str(proof), "--key", str(key))
    assert (shown.returncode, certificate["sha256"] in shown.stdout) == (ExitCode.OK, True)
    proof.write_text(proof.read_text().replace(certificate["serial"], "1" * 32))
    forged = run("ca", "journal", "check", str(proof), "--key", str(key))
    assert forged.returncode == ExitCode.FINDINGS
    assert "proves nothing" in forged.stderr


def test_a_certificate_that_was_never_issued_has_no_proof(running):
    missing = running.run("ca", "journal", "prove", "abc")
    assert (missing.returncode, missing.stdout) == (ExitCode.FINDINGS, "")


def test_the_directory_is_searched_and_forecast(running):
    (found,) = running.json("cert", "list", "--name", "server.handsel.*", "--standing", "valid")["certificates"]
    assert running.json("cert", "list", "--serial", found["serial"].upper())["certificates"] == [found]
    assert running.json("cert", "list", "--standing", "revoked")["certificates"] == []
    first, *_ = running.json("cert", "forecast", "--by", "1d")["spans"]
    assert first["by_profile"]["server"] == 1
    wrong = running.run("cert", "list", "--expires-within", "soon")
    assert (wrong.returncode, "HS-C002 --expires-within" in wrong.stderr) == (ExitCode.USAGE, True)
