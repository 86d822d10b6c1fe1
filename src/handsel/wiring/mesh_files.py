"""The mesh file and what it includes, from disk to the graph."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path

from handsel.documents import yaml
from handsel.documents.yaml import Document
from handsel.errors import FileFault, InvalidFile
from handsel.model import file as mesh_file
from handsel.model.graph import Mesh
from handsel.model.included import Around, Included

_MAXIMUM_INCLUDED_BYTES = 16 << 20


def load_mesh(path: Path) -> Mesh:
    """The graph that a mesh file describes, with what it includes. Raises `InvalidFile` with every fault."""
    folder = path.absolute().parent

    def absolute(text: str) -> str:
        return str(folder / text)

    return mesh_file.parse(
        _read(path),
        str(path),
        folder=str(folder),
        absolute=absolute,
        include=_IncludedFiles(path.parent),
        read_resources=lambda documents, around: _read_istio(documents, around, absolute),
    )


def load_mesh_if_any(path: Path, *, must_exist: bool) -> Mesh:
    """The same, or a mesh without services when there is no such file and none was named."""
    if not must_exist and not path.exists():
        return mesh_file.parse(
            b"services: {}\n", "(no mesh file)", folder=str(Path.cwd()), absolute=str, include=lambda _pattern: (),
            read_resources=lambda _documents, _around: Included(),
        )  # fmt: skip
    return load_mesh(path)


def _read_istio(documents: Sequence[Document], around: Around, absolute: Callable[[str], str]) -> Included:
    if not documents:
        return Included()
    from handsel.mesh.istio.read import read  # noqa: PLC0415  # a tenth of a second that most meshes do not need

    return read(documents, around, absolute)


def settings_of(path: Path) -> list[tuple[str, str, str]]:
    """Every setting of a mesh file with its value and where it was said. Raises `InvalidFile`."""
    return mesh_file.settings(_read(path), str(path))


class _IncludedFiles:
    """The documents behind patterns that start at `folder`: each file once, all together at most 16 MiB."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[Path] = set()
        self._room = _MAXIMUM_INCLUDED_BYTES

    def __call__(self, pattern: str) -> list[Document]:
        """Raises `InvalidFile` with every fault, or `ValueError` when the pattern brings nothing, or too much."""
        matches = sorted(glob.glob(pattern, root_dir=self._folder, recursive=True))  # noqa: PTH207 - takes any pattern
        files = [file for file in (self._folder / match for match in matches) if file.is_file()]
        if not files:
            raise ValueError(f"no file matches {pattern}")
        documents: list[Document] = []
        faults: list[FileFault] = []
        for file in files:
            if file in self._seen:
                continue
            self._seen.add(file)
            try:
                documents += yaml.parse(self._take(file), str(file))
            except InvalidFile as error:
                faults += error.faults
        if faults:
            raise InvalidFile(faults)
        return documents

    def _take(self, file: Path) -> bytes:
        text = _read(file)
        self._room -= len(text)
        if self._room < 0:
            raise ValueError(f"the included files have more than {_MAXIMUM_INCLUDED_BYTES >> 20} MiB together")
        return text


def _read(path: Path) -> bytes:
    """At most one byte more than a document may have, by which the parser knows that there is more."""
    try:
        with path.open("rb") as file:
            return file.read(yaml.MAXIMUM_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, FileNotFoundError):
            reason = "there is no such file; name the mesh file with -f"
        raise InvalidFile([FileFault(str(path), 1, 1, "", reason)]) from error
