"""The mesh file and what it includes, from disk to the graph."""

from __future__ import annotations

from pathlib import Path

from handsel.errors import FileFault, InvalidFile
from handsel.model import file as mesh_file
from handsel.model.graph import Mesh


def load_mesh(path: Path) -> Mesh:
    """The graph that a mesh file describes. Raises `InvalidFile` with every fault."""
    try:
        text = path.read_bytes()
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise InvalidFile([FileFault(str(path), 1, 1, "", reason)]) from error
    folder = path.absolute().parent
    return mesh_file.parse(
        text, str(path), folder=str(folder), absolute=lambda text: str(folder / text), include=lambda _pattern: ()
    )
