"""What a translation brings: contexts or files, and notes about all that does not go over as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from handsel.model.context import TlsContext


class NoteKind(StrEnum):
    """`LOST`: one side says it, the other cannot. `DECIDE`: a person has to do something. `SAID`: good to know."""

    LOST = "lost"
    DECIDE = "decide"
    SAID = "note"


@dataclass(frozen=True, order=True)
class Note:
    """A remark at a place of a file; line 0: the file as a whole. It never holds a password's value."""

    file: str
    line: int
    kind: NoteKind
    context: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(each for each in (where, self.kind, self.context, self.message) if each)


@dataclass(frozen=True)
class Imported:
    """Contexts by name, as files of another world declare them."""

    contexts: Mapping[str, TlsContext]
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Exported:
    """A context in the words of another world: the text of each file by its name."""

    files: Mapping[str, str]
    notes: tuple[Note, ...]


class Side(StrEnum):
    """What the context is for. Targets that speak of one side only are written for the sides that are asked for."""

    CLIENT = "client"
    SERVER = "server"


BOTH = (Side.CLIENT, Side.SERVER)


class Names:
    """Names for contexts, each given once: lower-case letters, digits and dashes, as a mesh file has them."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def give(self, wanted: str) -> str:
        """The nearest name to `wanted` that is free."""
        letters = "".join(each if each.isascii() and each.isalnum() else "-" for each in wanted.lower())
        stem = "-".join(part for part in letters.split("-") if part)[:50].strip("-") or "context"
        name, number = stem, 2
        while name in self._taken:
            name, number = f"{stem}-{number}", number + 1
        self._taken.add(name)
        return name


def joined(parts: Iterable[Imported]) -> Imported:
    """Several as one. A name that was there already gets a number, and a note says so."""
    names, contexts, notes = Names(), dict[str, TlsContext](), list[Note]()
    for part in parts:
        new = {old: names.give(old) for old in part.contexts}
        contexts.update({new[old]: replace(each, name=new[old]) for old, each in part.contexts.items()})
        notes += [replace(each, context=new.get(each.context, each.context)) for each in part.notes]
        where = part.notes[0].file if part.notes else ""
        notes += [
            Note(where, 0, NoteKind.SAID, name, f"another context is called {old}: this one is {name} here")
            for old, name in new.items()
            if old != name
        ]
    return Imported(contexts, tuple(notes))
