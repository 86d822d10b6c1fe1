"""The mesh file, what it includes, and folders of resources: from disk to the graph."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from handsel.documents import yaml
from handsel.documents.yaml import Document
from handsel.errors import FileFault, InvalidFile
from handsel.model import file as mesh_file
from handsel.model.access import Mode
from handsel.model.applied import MESH_FILE, Applied
from handsel.model.graph import Mesh
from handsel.model.included import Around, Included

_MAXIMUM_INCLUDED_BYTES = 16 << 20
_MAXIMUM_NAMED_BYTES = 1 << 20
_ENDINGS = (".yaml", ".yml", ".json")
MESH_FILE_NAME = "handsel.yaml"
_NO_MESH_FILE = b"services: {}\n"
_ISTIO_ALONE = b"trust_domain: cluster.local\n"
"""Istio's own name of a trust domain, for resources without a mesh file."""


@dataclass(frozen=True)
class Sources:
    """What a mesh is read from: the text of its mesh file, and resources beside it."""

    text: bytes
    file: str
    folder: Path
    beside: tuple[Document, ...] = ()
    watched: tuple[Path, ...] = field(default=(), compare=False)
    """Files and folders whose change may be one of the mesh."""


def load_mesh(path: Path, applied: Sequence[Applied] = ()) -> Mesh:
    """The graph that a mesh file or a folder describes, with what it includes and what was applied to it.

    Raises `InvalidFile` with every fault.
    """
    return read_mesh(with_applied(find_sources(path), applied))


def load_mesh_if_any(path: Path, *, must_exist: bool, applied: Sequence[Applied] = ()) -> Mesh:
    """The same, or a mesh of what was applied alone when there is no such file and none was named."""
    if not must_exist and not path.exists():
        return read_mesh(with_applied(Sources(_NO_MESH_FILE, "(no mesh file)", Path.cwd()), applied))
    return load_mesh(path, applied)


def find_sources(path: Path) -> Sources:
    """What lies at a path: a mesh file; a folder with one, or with resources alone; a file of resources.

    Raises `InvalidFile` for files that cannot be read, and folders with nothing in them.
    """
    if path.is_dir():
        return _folder(path)
    text = _read(path)
    if _is_mesh_file(text, path):
        return Sources(text, str(path), path.absolute().parent, watched=(path,))
    return Sources(_ISTIO_ALONE, "(no mesh file)", path.absolute().parent, tuple(yaml.parse(text, str(path))), (path,))


def with_applied(sources: Sources, applied: Sequence[Applied]) -> Sources:
    """The sources with what was applied; a mesh file among it takes the place of theirs."""
    text, file, folder = sources.text, sources.file, sources.folder
    documents: list[Document] = []
    for each in applied:
        if each.id.kind == MESH_FILE:
            text, file = ("\n" * (each.line - 1) + each.text).encode(), each.file
            folder = Path(file).absolute().parent
        else:
            documents.append(each.document)
    return Sources(text, file, folder, (*sources.beside, *documents), sources.watched)


def read_mesh(sources: Sources) -> Mesh:
    """The graph. Raises `InvalidFile` with every fault."""

    def absolute(text: str) -> str:
        return str(sources.folder / text)

    mesh = mesh_file.parse(
        sources.text,
        sources.file,
        folder=str(sources.folder),
        absolute=absolute,
        include=_IncludedFiles(sources.folder, shown=Path(sources.file).parent),
        read_resources=lambda documents, around: _read_istio([*sources.beside, *documents], around, absolute),
        read_file=_content,
    )
    return _with_access_findings(_with_findings(mesh) if mesh.balancers else mesh)


def _with_access_findings(mesh: Mesh) -> Mesh:
    said = mesh.modes or mesh.policies or mesh.tokens or mesh.mode is not Mode.STRICT
    if not said and all(each.guarded for each in mesh.services.values()):
        return mesh
    from handsel.mesh.access_findings import with_findings  # noqa: PLC0415  # most meshes say nothing of it

    return with_findings(mesh)


def _with_findings(mesh: Mesh) -> Mesh:
    """With what the rules of load balancers show that only whoever knows how they work can tell."""
    from handsel.mesh.balancer.findings import findings  # noqa: PLC0415  # most meshes have none

    found = findings(mesh)
    return replace(mesh, findings=(*mesh.findings, *found), notes=(*mesh.notes, *map(str, found)))


def watched(sources: Sources) -> tuple[Path, ...]:
    """The files and folders whose change may be one of the mesh: those that patterns of `include` begin with, too."""
    try:
        (document,) = yaml.parse(sources.text, sources.file)
    except (InvalidFile, ValueError):
        return sources.watched
    patterns = document.value.get("include") if isinstance(document.value, dict) else None
    found = patterns if isinstance(patterns, list) else []
    starts = [_before_any_pattern(each) for each in found if isinstance(each, str)]
    return (*sources.watched, *(sources.folder / each for each in starts))


def settings_of(path: Path) -> list[tuple[str, str, str]]:
    """Every setting of a mesh file with its value and where it was said. Raises `InvalidFile`."""
    return mesh_file.settings(_read(path), str(path))


def files_of(path: Path) -> list[Path]:
    """The files with YAML or JSON of a folder, in order; a file is itself. Hidden ones are left out."""
    if not path.is_dir():
        return [path]
    found = (each for each in path.rglob("*") if each.suffix in _ENDINGS and each.is_file())
    return sorted(each for each in found if not any(part.startswith(".") for part in each.relative_to(path).parts))


def read_documents(path: Path) -> list[Document]:
    """Every document of a folder or a file. Raises `InvalidFile` with every fault, also when there is none."""
    files = files_of(path)
    if not files:
        raise InvalidFile([FileFault(str(path), 1, 1, "", "there is no .yaml, .yml or .json file in this folder")])
    try:
        return _parse_all(files, _Room())
    except ValueError as error:
        raise InvalidFile([FileFault(str(path), 1, 1, "", str(error))]) from error


def _folder(path: Path) -> Sources:
    own = path / MESH_FILE_NAME
    if own.exists():  # which says itself what else belongs to it
        return Sources(_read(own), str(own), path.absolute(), watched=(path,))
    return Sources(_ISTIO_ALONE, "(no mesh file)", path.absolute(), tuple(read_documents(path)), (path,))


def _is_mesh_file(text: bytes, path: Path) -> bool:
    """Whether a file is a mesh file, faulty ones too: anything that does not say of which kind it is."""
    try:
        documents = [each.value for each in yaml.parse(text, str(path)) if each.value is not None]
    except InvalidFile:
        return True
    return not any(isinstance(value, dict) and "kind" in value for value in documents)


def _before_any_pattern(pattern: str) -> str:
    """The part of a path before its first wildcard."""
    parts: list[str] = []
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            break
        parts.append(part)
    return str(Path(*parts)) if parts else "."


def _content(path: str) -> bytes | None:
    """A file that the mesh file names, such as a certificate; None when it is not on this machine, or not ours."""
    try:
        with Path(path).open("rb") as file:
            return file.read(_MAXIMUM_NAMED_BYTES)
    except OSError:
        return None


def _read_istio(documents: Sequence[Document], around: Around, absolute: Callable[[str], str]) -> Included:
    if not documents:
        return Included()
    from handsel.mesh.istio.read import read  # noqa: PLC0415  # a tenth of a second that most meshes do not need

    return read(documents, around, absolute)


class _Room:
    """How much may be read together."""

    def __init__(self) -> None:
        self._left = _MAXIMUM_INCLUDED_BYTES

    def take(self, file: Path) -> bytes:
        """The content of a file. Raises `InvalidFile`, or `ValueError` when it is too much."""
        text = _read(file)
        self._left -= len(text)
        if self._left < 0:
            raise ValueError(f"the included files have more than {_MAXIMUM_INCLUDED_BYTES >> 20} MiB together")
        return text


def _parse_all(files: Sequence[Path], room: _Room) -> list[Document]:
    documents: list[Document] = []
    faults: list[FileFault] = []
    for file in files:
        try:
            documents += yaml.parse(room.take(file), str(file))
        except InvalidFile as error:
            faults += error.faults
    if faults:
        raise InvalidFile(faults)
    return documents


class _IncludedFiles:
    """The documents behind patterns that start at `folder`: each file once, all together at most 16 MiB.

    `shown`: the folder as people wrote it, for the places of faults.
    """

    def __init__(self, folder: Path, shown: Path) -> None:
        self._folder = folder
        self._shown = shown
        self._seen: set[Path] = set()
        self._room = _Room()

    def __call__(self, pattern: str) -> list[Document]:
        """Raises `InvalidFile` with every fault, or `ValueError` when the pattern brings nothing."""
        matches = sorted(glob.glob(pattern, root_dir=self._folder, recursive=True))  # noqa: PTH207 - takes any pattern
        files = [match for match in matches if (self._folder / match).is_file()]
        if not files:
            raise ValueError(f"no file matches {pattern}")
        new = [each for each in files if self._folder / each not in self._seen]
        self._seen.update(self._folder / each for each in new)
        return _parse_all([self._shown / each for each in new], self._room)


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
