"""What people's files share: strict models, common fields, and pydantic's errors as faults with their places."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, ClassVar, TypeVar, Union, cast, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from handsel.documents.yaml import Document, Path
from handsel.errors import FileFault, InvalidFile

# A service's name is a label of a host name (RFC 1123, section 2.1), since `http://name/` must work.
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")

_KINDS = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "list_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}
"""What each of pydantic's errors of type asks for."""


class Strict(BaseModel):
    """A part of a file in which an unknown key is a fault.

    `NOT_YET` names the keys that are known and not carried out by this version: refused by name, never ignored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    NOT_YET: ClassVar[tuple[str, ...]] = ()


def _written_out(path: str) -> str:
    # A tilde is never expanded, and it separates the two paths in the name of a secret.
    if "~" in path or "\0" in path:
        raise ValueError(f"write the path out, without ~: {short(path)}")
    return path


Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
FilePath = Annotated[str, AfterValidator(_written_out)]

_M = TypeVar("_M", bound=Strict)
# What is set aside in one round may show other faults in the next.
_MOST_ROUNDS = 10


def validate(document: Document, model: type[_M]) -> _M:
    """The document as a `model`. Raises `InvalidFile` with every fault found."""
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        faults = {_fault(document, model, details) for details in error.errors()}
        raise InvalidFile(sorted(faults)) from error


def sift(document: Document, model: type[_M]) -> tuple[_M, list[FileFault]]:
    """What is right in a document, and the faults of the rest, which is set aside.

    So that everything can be said at once: faults of form, and faults that only the whole shows. Raises `InvalidFile`
    when nothing is left.
    """
    value = copy.deepcopy(document.value)
    faults: set[FileFault] = set()
    aside: set[tuple[str | int, ...]] = set()
    for _ in range(_MOST_ROUNDS):
        try:
            return model.model_validate(value), sorted(faults)
        except ValidationError as error:
            found: list[tuple[str | int, ...]] = []
            for details in error.errors():
                path = details["loc"][:-1] if details["type"] == "missing" else details["loc"]
                path = path[:-1] if path[-1:] == ("[key]",) else path  # pydantic's word for the key itself
                if not any(each[: len(path)] == path for each in aside):  # else it follows from what was set aside
                    faults.add(_fault(document, model, details))
                found.append(path[:-1] if path in aside else path)  # the nothing in an item's place is at fault too
            for path in found:
                _set_aside(value, path)
            aside.update(found)
    raise InvalidFile(sorted(faults))


def _set_aside(value: Any, path: tuple[str | int, ...]) -> None:
    """Take the value at `path` out of a tree; in a list nothing takes its place, so that indices stay."""
    if not path:
        return
    *above, last = path
    for step in above:
        if not isinstance(value, dict | list) or (isinstance(value, dict) and step not in value):
            return
        value = value[step]  # type: ignore[index]  # a key of a dictionary or an index of a list
    if isinstance(value, dict):
        value.pop(last, None)
    elif isinstance(value, list) and isinstance(last, int):
        value[last] = ""


def did_you_mean(word: str, known: Iterable[str], *, known_here: bool = False) -> str:
    """`did you mean "…"?` with the closest of `known`; when none is close nothing, or all that is `known_here`."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"known here: {', '.join(known)}" if known_here else ""


def short(value: object) -> str:
    """A value as a fault quotes it."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _fault(document: Document, model: type[Strict], details: Any) -> FileFault:
    path: Path = details["loc"]
    message = _message(model, details)
    if details["type"] == "missing" or (details["type"] == "value_error" and path[-1:] == ("[key]",)):
        path = path[:-1]  # what is missing has no place; `[key]` is pydantic's word for the key itself
    return document.fault(path, message)


def _message(model: type[Strict], details: Any) -> str:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}, not {short(value)}"
    if kind in ("greater_than_equal", "less_than_equal") and {1, 65535} & set(context.values()):
        return f"a port is a number from 1 to 65535, not {value}"
    if kind == "extra_forbidden":
        return _unknown_key(model, details["loc"])
    if kind == "missing":
        return f"{details['loc'][-1]!r} is missing"
    if kind in ("enum", "literal_error"):
        return f"must be {context['expected']}, not {short(value)}"
    return str(context.get("error", details["msg"]))  # the first is what a validator of ours said


def _unknown_key(model: type[Strict], path: Path) -> str:
    *above, key = path
    part = _part(model, above)
    if key in part.NOT_YET:
        return "not supported yet"
    return f"unknown key, {did_you_mean(str(key), _fields(part), known_here=True)}"


def _part(model: type[Strict], path: Iterable[str | int]) -> type[Strict]:
    """The model of the keys at `path`, a path that pydantic walked."""
    kind: Any = model
    for step in path:
        # A model is entered by a field, a list or a dictionary by any step.
        kind = get_args(kind)[-1] if get_origin(kind) else _fields(kind)[str(step)]
        while get_origin(kind) in (Annotated, Union, UnionType):
            kind = get_args(kind)[0]
    return cast("type[Strict]", kind)


def _fields(model: type[Strict]) -> dict[str, Any]:
    """The annotation of each field, by its name in the file."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}
