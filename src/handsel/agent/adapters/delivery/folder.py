"""One folder of a delivery on disk: a link to a version that was written whole, so that a reader sees one set, whole.

`tls -> .tls.handsel/VERSION`. What stands beside the link belongs to the agent alone: whoever has the files can change
no folder that the agent, perhaps as root, writes into later. Everything goes by descriptors and follows no link.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from handsel.agent.adapters.delivery.owners import ids_of
from handsel.agent.delivery import NewFile
from handsel.errors import StateError

_KEPT_SECONDS = 60.0
"""So long a version that was replaced stays for those who read it; the last one stays until the next."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNFINISHED = ".new-"


class DeliveryFolder:
    """The folder at this path. A version's name is its mark, a dot, and something random."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._versions = f".{folder.name}.handsel"

    def mark(self) -> str:
        """Of the version that readers see now; empty when there is none of ours."""
        return self._current().partition(".")[0]

    def is_as(self, files: Sequence[NewFile]) -> bool:
        """Whether these files lie there, with their owners and modes. Contents are not compared."""
        try:
            there = {each.name: each.stat(follow_symlinks=False) for each in os.scandir(self._folder)}
            return there.keys() == {each.name for each in files} and all(
                stat.S_ISREG(there[each.name].st_mode)
                and stat.S_IMODE(there[each.name].st_mode) == each.mode
                and (there[each.name].st_uid, there[each.name].st_gid) == ids_of(each.owner)
                for each in files
            )
        except OSError:
            return False

    def check(self) -> None:
        """Whether it is there for us. Raises `StateError` when somebody else's things are in its place."""
        path = self._folder
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise StateError(f"{path} cannot be looked at: {error.strerror}") from error
        if stat.S_ISLNK(mode) and self._current():
            return
        if stat.S_ISDIR(mode) and not any(path.iterdir()):
            return
        what = "a link to elsewhere" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "a file"
        raise StateError(
            f"{path} is {what} that is not of handsel, and is left alone",
            next_step=f"move it away (mv {path} {path}.old), or name another folder",
        )

    def swap(self, mark: str, files: Sequence[NewFile]) -> None:
        """These files instead of those that are there. Raises `StateError`; then nothing has changed."""
        self.check()
        version = f"{mark}.{secrets.token_hex(4)}"
        try:
            _make_above(self._folder.parent, 0o755 if _is_open(files) else 0o700)
            with _opened(self._folder.parent) as parent, self._holder(parent, _is_open(files)) as holder:
                before = self._current()
                try:
                    _write_version(holder, version, files)
                    self._point_to(parent, version)
                except BaseException:
                    shutil.rmtree(version, dir_fd=holder, ignore_errors=True)
                    raise
                if before:
                    with contextlib.suppress(OSError):
                        os.utime(before, dir_fd=holder)  # since then it is replaced
        except OSError as error:
            raise StateError(
                f"{self._folder} cannot be written: {error.strerror}; what was there stays",
                next_step="check the disk, and the owner and mode of the folder above it",
            ) from error

    def prune(self) -> None:
        """Remove versions that were replaced a while ago, except the last one, and what was begun and never whole."""
        with contextlib.suppress(OSError), _opened(self._folder.parent) as parent, self._holder(parent) as holder:
            names = set(os.listdir(holder)) - {self._current()}  # noqa: PTH208  # by its descriptor
            replaced = {name: os.stat(name, dir_fd=holder).st_mtime for name in names}
            whole = sorted((at, name) for name, at in replaced.items() if not name.startswith(_UNFINISHED))
            old = [name for at, name in whole[:-1] if time.time() - at > _KEPT_SECONDS]
            for name in [*old, *(each for each in replaced if each.startswith(_UNFINISHED))]:
                shutil.rmtree(name, dir_fd=holder, ignore_errors=True)

    def remove(self) -> None:
        """Everything of ours: first the link. What others have put in its place stays. Raises `StateError`."""
        try:
            if self._current():
                self._folder.unlink()
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self._folder.with_name(self._versions))
        except OSError as error:
            raise StateError(f"{self._folder} cannot be removed: {error.strerror}") from error

    def _current(self) -> str:
        try:
            target = self._folder.readlink()
        except OSError:
            return ""
        return target.name if str(target.parent) == self._versions else ""

    def _point_to(self, parent: int, version: str) -> None:
        """The swap itself: one rename."""
        link = f"{self._versions}.link"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(link, dir_fd=parent)
        os.symlink(f"{self._versions}/{version}", link, dir_fd=parent)
        if self._folder.is_dir() and not self._folder.is_symlink():
            os.rmdir(self._folder.name, dir_fd=parent)  # empty: `check` has seen it
        os.rename(link, self._folder.name, src_dir_fd=parent, dst_dir_fd=parent)
        os.fsync(parent)

    @contextlib.contextmanager
    def _holder(self, parent: int, is_open: bool | None = None) -> Iterator[int]:
        """The folder of all versions, made when `is_open` says for whom. Raises `StateError` when it is not ours."""
        if is_open is not None:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._versions, 0o700, dir_fd=parent)
        with _opened(Path(self._versions), parent) as holder:
            status = os.fstat(holder)
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                raise StateError(f"{self._folder.with_name(self._versions)} can be changed by others than the agent")
            if is_open is not None:
                os.fchmod(holder, 0o755 if is_open else 0o700)
            yield holder


def _make_above(folder: Path, mode: int) -> None:
    """The folders above, as far as they are missing, with this mode whatever the umask is."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir()
        each.chmod(mode)


def _write_version(holder: int, version: str, files: Sequence[NewFile]) -> None:
    """A whole version under a name that nobody looks at, then under its own."""
    unfinished = f"{_UNFINISHED}{version}"
    os.mkdir(unfinished, 0o700, dir_fd=holder)
    try:
        with _opened(Path(unfinished), holder) as folder:
            for each in files:
                _write(folder, each)
            os.fchmod(folder, 0o755 if _is_open(files) else 0o700)
            os.fsync(folder)
        os.rename(unfinished, version, src_dir_fd=holder, dst_dir_fd=holder)
        os.fsync(holder)
    except BaseException:
        shutil.rmtree(unfinished, dir_fd=holder, ignore_errors=True)
        raise


def _write(folder: int, file: NewFile) -> None:
    uid, gid = ids_of(file.owner)
    with os.fdopen(os.open(file.name, _NEW, 0o600, dir_fd=folder), "wb") as opened:
        opened.write(file.content)
        opened.flush()
        status = os.fstat(opened.fileno())
        if (status.st_uid, status.st_gid) != (uid, gid):
            try:
                os.fchown(opened.fileno(), uid, gid)
            except OSError as error:
                raise StateError(
                    f"{file.name} cannot be given to {file.owner}: {error.strerror}; nothing was delivered",
                    next_step="run the agent as root, or name no owner but its own user and groups",
                ) from error
        os.fchmod(opened.fileno(), file.mode)
        os.fsync(opened.fileno())


def _is_open(files: Sequence[NewFile]) -> bool:
    """Whether others than the agent come to read: their files' own modes say what."""
    ours = (os.geteuid(), os.getegid())
    return any(each.mode & 0o077 or ids_of(each.owner) != ours for each in files)


@contextlib.contextmanager
def _opened(path: Path, within: int | None = None) -> Iterator[int]:
    # Above the link people may have links of their own, such as /var/run; below it nothing but what we made.
    flags = _DIRECTORY if within is not None else _DIRECTORY & ~os.O_NOFOLLOW
    descriptor = os.open(path, flags, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
