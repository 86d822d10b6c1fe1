"""The folder of a delivery on a real disk: whole for every reader, nobody else's touched, nothing lost when it is full."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from handsel.agent.adapters.delivery.folder import DeliveryFolder
from handsel.agent.delivery import NewFile
from handsel.agent.model import Owner
from handsel.errors import StateError
from tests.support import NOBODY, as_nobody

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def _files(text: str, *names: str, mode: int = 0o600, owner: str | Owner = "") -> list[NewFile]:
    return [NewFile(name, f"{text} {name}".encode(), owner, mode) for name in names or ("a", "b")]


def _content(folder: Path) -> dict[str, str]:
    return {each.name: each.read_text() for each in folder.iterdir()}


def _mark(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "above" / "tls"


def test_it_is_written_replaced_and_removed(place):
    folder = DeliveryFolder(place)
    assert folder.mark() == ""
    folder.swap(_mark(1), _files("one"))
    assert (folder.mark(), _content(place)) == (_mark(1), {"a": "one a", "b": "one b"})
    assert place.is_symlink()
    assert not place.readlink().is_absolute()  # it may be seen under another path, as in a container
    folder.swap(_mark(2), _files("two", "b", "c"))
    assert (folder.mark(), _content(place)) == (_mark(2), {"b": "two b", "c": "two c"})
    folder.remove()
    assert list(place.parent.iterdir()) == []
    folder.remove()


@contextlib.contextmanager
def _real(place: Path) -> Iterator[Path]:
    yield place.resolve()


@contextlib.contextmanager
def _held(place: Path) -> Iterator[Path]:
    descriptor = os.open(place, os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def test_a_reader_sees_one_set_whole_while_it_is_swapped(place):
    """By its real path, and by a descriptor of the folder."""
    folder = DeliveryFolder(place)
    names = [f"file{number}" for number in range(12)]
    folder.swap(_mark(0), _files("v0", *names))
    torn: list[str] = []
    seen: set[str] = set()
    done = threading.Event()

    def read(base: Callable[[], AbstractContextManager[Path]]) -> None:
        while not done.is_set():
            try:
                with base() as folder:
                    texts = [(folder / name).read_text().split()[0] for name in names]
            except OSError as error:
                torn.append(repr(error))
                continue
            seen.update(texts)
            if len(set(texts)) != 1:
                torn.append(str(texts))

    readers = [threading.Thread(target=read, args=(base,)) for base in (lambda: _real(place), lambda: _held(place))]
    for each in readers:
        each.start()
    for number in range(1, 60):
        folder.swap(_mark(number), _files(f"v{number}", *names))
        folder.prune()
    done.set()
    for each in readers:
        each.join()
    assert torn == []
    assert len(seen) > 3


def test_the_last_version_stays_and_older_ones_go_after_a_while(place):
    folder = DeliveryFolder(place)
    for number in range(4):
        folder.swap(_mark(number), _files(str(number)))
    versions = place.with_name(".tls.handsel")
    folder.prune()
    assert len(list(versions.iterdir())) == 4  # just now somebody may read them
    (versions / ".new-x").mkdir()  # as a power cut leaves it
    for each in versions.iterdir():
        os.utime(each, (time.time() - 3600, time.time() - 3600 + int(each.name[31:32] or 0)))
    folder.prune()
    assert {each.name.partition(".")[0] for each in versions.iterdir()} == {_mark(2), _mark(3)}
    assert _content(place) == {"a": "3 a", "b": "3 b"}


@pytest.mark.parametrize("what", ["folder", "file", "link", "dangling"])
def test_what_is_not_ours_is_refused_and_not_touched(place, what):
    place.parent.mkdir()
    if what == "folder":
        place.mkdir()
        (place / "mine").write_text("x")
    elif what == "file":
        place.write_text("x")
    else:
        (place.parent / "else").mkdir()
        place.symlink_to("else" if what == "link" else "nowhere")
    before = sorted(str(each) for each in place.parent.rglob("*"))
    folder = DeliveryFolder(place)
    with pytest.raises(StateError, match="not of handsel, and is left alone"):
        folder.swap(_mark(1), _files("one"))
    folder.remove()
    assert sorted(str(each) for each in place.parent.rglob("*")) == before


def test_folders_above_are_made_so_that_the_readers_get_there(tmp_path):
    before = os.umask(0o077)
    try:
        DeliveryFolder(tmp_path / "a" / "b" / "tls").swap(_mark(1), _files("x"))
        DeliveryFolder(tmp_path / "c" / "d" / "tls").swap(_mark(1), _files("x", mode=0o644))
    finally:
        os.umask(before)
    modes = [(tmp_path / each).stat().st_mode & 0o777 for each in ("a", "a/b", "c", "c/d")]
    assert modes == [0o700, 0o700, 0o755, 0o755]


def test_an_empty_folder_gives_way(place):
    place.mkdir(parents=True)
    DeliveryFolder(place).swap(_mark(1), _files("one"))
    assert _content(place) == {"a": "one a", "b": "one b"}


def test_files_have_their_modes_and_are_passed_through_to_only_where_somebody_else_reads(place):
    folder = DeliveryFolder(place)
    folder.swap(_mark(1), [*_files("x", "a"), *_files("x", "b", mode=0o400)])
    assert [(place / name).stat().st_mode & 0o777 for name in ("a", "b")] == [0o600, 0o400]
    assert place.stat().st_mode & 0o777 == place.with_name(".tls.handsel").stat().st_mode & 0o777 == 0o700
    folder.swap(_mark(2), [*_files("x", "a"), *_files("x", "b", mode=0o644)])
    assert [(place / name).stat().st_mode & 0o777 for name in ("a", "b")] == [0o600, 0o644]
    assert place.stat().st_mode & 0o777 == place.with_name(".tls.handsel").stat().st_mode & 0o777 == 0o755


def test_it_is_as_it_was_written_until_somebody_changes_it(place):
    folder, files = DeliveryFolder(place), _files("one")
    assert not folder.is_as(files)
    folder.swap(_mark(1), files)
    assert folder.is_as(files)
    for spoil in (
        (place / "a").unlink,
        lambda: (place / "a").chmod(0o644),
        (place / "c").touch,
        lambda: ((place / "a").unlink(), (place / "a").symlink_to("b")),
        place.unlink,
    ):
        spoil()
        assert not folder.is_as(files)
        folder.swap(_mark(1), files)
        assert folder.is_as(files)


@needs_root
def test_files_are_given_to_their_owners(place):
    DeliveryFolder(place).swap(
        _mark(1),
        [*_files("x", "a", owner="nobody"), *_files("x", "b", owner="0:65534"), *_files("x", "c", owner=Owner(7, 8))],
    )
    owners = [((place / name).stat().st_uid, (place / name).stat().st_gid) for name in ("a", "b", "c")]
    assert owners == [(NOBODY, NOBODY), (0, NOBODY), (7, 8)]
    # What holds the versions is ours alone: its owner may hold root's pen otherwise.
    assert {each.stat().st_uid for each in (place, place.with_name(".tls.handsel"))} == {0}


def test_without_the_right_to_give_files_away_nothing_is_delivered():
    with as_nobody() as tmp:
        place = tmp / "tls"
        folder = DeliveryFolder(place)
        folder.swap(_mark(1), _files("one"))
        with pytest.raises(StateError, match="cannot be given to 0:0: Operation not permitted; nothing was delivered"):
            folder.swap(_mark(2), [*_files("two", "a"), *_files("two", "b", owner="0:0")])
        assert _content(place) == {"a": "one a", "b": "one b"}
        assert len(list(place.with_name(".tls.handsel").iterdir())) == 1


@pytest.mark.parametrize("owner", ["nobody-of-this-name", "root:no-such-group"])
def test_an_owner_that_this_host_does_not_know_is_said(place, owner):
    folder = DeliveryFolder(place)
    with pytest.raises(StateError, match=r"there is no (user|group)"):
        folder.swap(_mark(1), _files("x", owner=owner))
    assert folder.mark() == ""


@contextlib.contextmanager
def _small_disk(path: Path) -> Iterator[None]:
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "none", path], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("needs mount")
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


@needs_root
def test_on_a_full_disk_what_was_there_stays_whole(tmp_path):
    with _small_disk(tmp_path / "disk"):
        place = tmp_path / "disk" / "tls"
        folder = DeliveryFolder(place)
        folder.swap(_mark(1), _files("one"))
        large = [NewFile("a", b"x" * 20_000, "", 0o600), NewFile("b", b"x" * 90_000, "", 0o600)]
        with pytest.raises(StateError, match="No space left on device; what was there stays"):
            folder.swap(_mark(2), large)
        assert (folder.mark(), _content(place)) == (_mark(1), {"a": "one a", "b": "one b"})
        assert len(list(place.with_name(".tls.handsel").iterdir())) == 1
        folder.swap(_mark(3), _files("three"))  # nothing is left that takes the room
        assert _content(place) == {"a": "three a", "b": "three b"}


@needs_root
@pytest.mark.parametrize("trap", ["link", "others", "open"])
def test_whoever_may_write_beside_it_leads_us_nowhere(place, tmp_path, trap):
    """The folder above belongs to the program's user; we are root."""
    place.parent.mkdir()
    os.chown(place.parent, NOBODY, NOBODY)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    versions = place.with_name(".tls.handsel")
    if trap == "link":
        versions.symlink_to(elsewhere)
    else:
        versions.mkdir(mode=0o777 if trap == "open" else 0o755)
        versions.chmod(0o777 if trap == "open" else 0o755)
        if trap == "others":
            os.chown(versions, NOBODY, NOBODY)
    with pytest.raises(StateError):
        DeliveryFolder(place).swap(_mark(1), _files("x", owner="nobody"))
    assert list(elsewhere.iterdir()) == []
    assert not place.exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="Not a directory"):
        DeliveryFolder(tmp_path / "file" / "tls").swap(_mark(1), _files("x"))
