"""Files of a state folder: private, whole or absent, held by one process."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from handsel.errors import StateError, StateInUse
from handsel.store.adapters.files import hold_lock, make_folder, write_file
from tests.support import as_nobody


def _mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def open_umask():
    """Nothing below may rest on a umask that happens to be strict."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_folder_is_private_and_a_second_call_leaves_it_alone(tmp_path):
    folder = tmp_path / "state"
    make_folder(folder)
    make_folder(folder)
    assert _mode(folder) == 0o700


def test_a_folder_that_is_open_to_others_is_refused(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    make_folder(folder)
    folder.chmod(0o750)
    with pytest.raises(StateError, match="open to others"):
        make_folder(folder)


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root: somebody else's folder must be made first")
    with as_nobody() as folder:
        make_folder(folder)
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, 65534, 65534)
    with pytest.raises(StateError, match="somebody else"):
        make_folder(theirs)


def test_a_folder_below_one_that_cannot_be_written_is_refused():
    with as_nobody() as above:
        make_folder(above / "before")
        above.chmod(0o500)
        with pytest.raises(StateError, match="cannot be made"):
            make_folder(above / "after")


def test_a_file_is_private_and_replaced_as_a_whole(tmp_path):
    path = tmp_path / "key.pem"
    write_file(path, b"old")
    before = path.stat().st_ino
    with path.open("rb") as reader:
        write_file(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert path.stat().st_ino != before
    assert _mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_content_is_on_the_disk_before_it_takes_the_place_of_the_old(tmp_path, monkeypatch):
    path = tmp_path / "key.pem"
    write_file(path, b"old")
    synced: list[bytes] = []
    sync = os.fsync

    def note(descriptor: int) -> None:
        assert path.read_bytes() == b"old"
        synced.append(Path(f"/proc/self/fd/{descriptor}").read_bytes())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write_file(path, b"new")
    assert synced == [b"new"]


def test_what_a_crash_left_of_a_write_disturbs_nobody(tmp_path):
    path = tmp_path / "key.pem"
    write_file(path, b"old")
    (tmp_path / ".key.pem.new").write_bytes(b"half of something much longer")
    assert path.read_bytes() == b"old"
    write_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_write_that_fails_leaves_the_old_file():
    with as_nobody() as folder:
        write_file(folder / "key.pem", b"old")
        folder.chmod(0o500)
        with pytest.raises(OSError, match="denied"):
            write_file(folder / "key.pem", b"new")
        assert (folder / "key.pem").read_bytes() == b"old"


HOLDER = """
import sys
from pathlib import Path
from pathlib import Path
from handsel.store.adapters.files import hold_lock
with hold_lock(Path(sys.argv[1]), "server"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_held_by_one_process_and_ends_with_it(tmp_path):
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StateInUse, match=f"server, pid {other.pid}"), hold_lock(lock, "agent"):
            pass
        other.kill()
    with hold_lock(lock, "agent"):
        assert lock.read_text() == f"agent, pid {os.getpid()}\n"


def test_a_lock_is_free_again_after_it_was_held(tmp_path):
    for _ in range(2):
        with hold_lock(tmp_path / "lock", "server"):
            assert _mode(tmp_path / "lock") == 0o600


def test_a_lock_in_a_folder_that_cannot_be_written_is_refused_in_order():
    with as_nobody() as folder:
        with hold_lock(folder / "before", "server"):
            pass
        folder.chmod(0o500)
        with pytest.raises(StateError, match="cannot be written"), hold_lock(folder / "after", "server"):
            pass
