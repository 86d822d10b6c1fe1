"""The part `services.NAME.files:` of the mesh file; what a person asks an agent for is said in the same way."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from handsel.documents.yaml import Path
from handsel.errors import UsageError
from handsel.model.delivery import (
    PRIVATE_MODE,
    SECRET_MODES,
    SIGNALS,
    USUAL_ALIAS,
    USUAL_CONTENTS,
    Content,
    Delivery,
    Kind,
    Reload,
)
from handsel.model.durations import Duration
from handsel.model.faults import NAME, FilePath, Strict

_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_OWNER = re.compile(r"([a-z_][a-z0-9_-]{0,31}|\d{1,9})(:([a-z_][a-z0-9_-]{0,31}|\d{1,9}))?")
_PUBLIC_MODES = (*SECRET_MODES, 0o444, 0o644)
_LONGEST = timedelta(minutes=5)
MOST = 50
"""Files of a delivery, and deliveries of a service."""


def _is_owner(text: str) -> str:
    if not _OWNER.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no user, user:group, or their numbers")
    return text


def _is_mode(text: object) -> str:
    if not isinstance(text, str) or len(text) not in (3, 4) or any(digit not in "01234567" for digit in text):
        raise ValueError('a mode is written as text, in octal: "0640"')
    if int(text, 8) not in _PUBLIC_MODES:
        raise ValueError(f"the mode {text} is none of 0400, 0600, 0440, 0640, 0444, 0644")
    return text


def _is_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback or parts.scheme not in ("http", "https") or parts.username is not None or not text.isprintable():
        raise ValueError(f"{text[:60]!r} is no http address of this host: http://127.0.0.1:PORT/PATH")
    return text


def _is_command(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from error
    if not words or "\0" in text:
        raise ValueError("a command has a program and its arguments")
    return text


def _is_short(duration: timedelta) -> timedelta:
    if not timedelta(milliseconds=100) <= duration <= _LONGEST:
        raise ValueError("a reload takes from 100ms to 5m")
    return duration


def _kind_alone(said: Any) -> Any:
    return {"kind": said} if isinstance(said, str) else said


def _folder_alone(said: Any) -> Any:
    return {"folder": said} if isinstance(said, str) else said


_Owner = Annotated[str, AfterValidator(_is_owner)]
_Mode = Annotated[str, BeforeValidator(_is_mode)]


class ContentFile(Strict):
    """One file of a delivery. The kind alone may stand for it."""

    kind: Kind = Field(description="What is in it.")
    alias: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[ -~]+$")] | None = Field(
        None, description=f"The key's name in a store. `{USUAL_ALIAS}` when left out."
    )
    owner: _Owner | None = Field(None, description="Whose it is. As the delivery says when left out.")
    mode: _Mode | None = Field(None, description="Its mode. As the delivery says when left out.")
    source: Literal["acme"] | None = Field(
        None, alias="from", description="`acme`: of the certificate of `acme`, not of the identity."
    )


class ReloadFile(Strict):
    """What is done after files were swapped, but for the first: nobody can have read those before. One of three."""

    signal: Literal["HUP", "USR1", "USR2"] | None = Field(None, description="Sent to the process of `pid_file`.")
    pid_file: FilePath | None = Field(None, description="Where the program keeps its process id.")
    command: Annotated[str, AfterValidator(_is_command)] | None = Field(
        None, description="Run without a shell. Of a mesh file from elsewhere only with `agent run --allow-commands`."
    )
    http: Annotated[str, AfterValidator(_is_url)] | None = Field(None, description="Called; on this host only.")
    method: Literal["GET", "POST", "PUT"] = Field("POST", description="Of the call.")
    timeout: Annotated[Duration, AfterValidator(_is_short)] = Field(
        timedelta(seconds=10), description="For command and call.", json_schema_extra={"default": "10s"}
    )


class DeliveryFile(Strict):
    """Files in a folder, swapped as one. The folder alone may stand for it: key.pem, cert.pem and ca.pem are in it."""

    folder: FilePath = Field(description="Where they are. A link, which is made; a folder of others is refused.")
    contents: dict[str, Annotated[ContentFile, BeforeValidator(_kind_alone)]] = Field(
        {name: ContentFile(kind=kind) for name, kind in USUAL_CONTENTS.items()}, min_length=1, max_length=MOST,
        description="The files by name, each with its kind.", json_schema_extra={"default": dict(USUAL_CONTENTS)},
    )  # fmt: skip
    owner: _Owner | None = Field(None, description="A user, user:group or numbers. The agent's user when left out.")
    mode: _Mode = Field(f"{PRIVATE_MODE:04o}", description='Of the files: "0600", "0640"; "0644" without secrets.')
    password_file: FilePath | None = Field(
        None, description="Its first line is the stores' password. Made once when left out."
    )
    reload: ReloadFile | None = Field(None, description="How the program hears of new files.")


DeliveryOrFolder = Annotated[DeliveryFile, BeforeValidator(_folder_alone)]
"""A delivery as it is written."""


class WishFile(Strict):
    """What a person asks the agent of a host for."""

    service: Annotated[str, Field(pattern=f"^{NAME.pattern}$")] = Field(description="Whose identity.")
    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")] = Field(description="The delivery's.")
    delivery: DeliveryFile = Field(description="What, and where; paths are absolute.")

    @property
    def model(self) -> Delivery:
        return read_delivery(self.name, self.delivery, lambda path: path)


def parse_wish(content: Any) -> WishFile:
    """What a request says, checked as a mesh file is. Raises `UsageError` with the first thing that is wrong."""
    try:
        wish = WishFile.model_validate(content)
    except ValidationError as error:
        details = error.errors()[0]
        said = str(details.get("ctx", {}).get("error", details["msg"]))
        raise UsageError(f"{'.'.join(str(step) for step in details['loc'])}: {said}") from error
    for path, message in files_faults({wish.name: wish.delivery}):
        raise UsageError(f"{'.'.join(str(step) for step in path[1:])}: {message}")
    said_paths = [wish.delivery.folder, wish.delivery.password_file]
    said_paths.append(wish.delivery.reload.pid_file if wish.delivery.reload else None)
    for each in said_paths:
        if each is not None and not PurePosixPath(each).is_absolute():
            raise UsageError(f"{each} is no absolute path")
    return wish


def files_faults(files: Mapping[str, DeliveryFile]) -> Iterator[tuple[Path, str]]:
    """What only a whole `files:` tells: the path of the setting below it, and what is wrong."""
    if len(files) > MOST:
        yield (), f"a service has at most {MOST} deliveries"
    folders: dict[PurePosixPath, str] = {}
    for name, each in files.items():
        if not NAME.fullmatch(name):
            yield (name,), "a name has lower-case letters, digits and dashes, at most 63"
        folder = PurePosixPath(each.folder)
        for other, there in folders.items():
            if folder == other or folder in other.parents or other in folder.parents:
                yield (name, "folder"), f"it is, or is within, the folder of {there!r}, or the other way round"
        folders[folder] = name
        for path, message in delivery_faults(each):
            yield (name, *path), message


def delivery_faults(written: DeliveryFile) -> Iterator[tuple[Path, str]]:
    """The same of one delivery."""
    folder = PurePosixPath(written.folder)
    if not folder.name or ".." in folder.parts:
        yield ("folder",), "it must be a folder below another, without .."
    for name, each in written.contents.items():
        place: Path = ("contents", name)
        if not _FILE.fullmatch(name):
            yield place, "a file's name has letters, digits, dots and dashes, at most 100, and begins with no dot"
        if each.alias is not None and not each.kind.has_alias:
            yield place, f"only a store with a key has an alias, not {each.kind}"
        if each.source is not None and not each.kind.needs_identity:
            yield (*place, "from"), f"{each.kind} is not of a certificate"
        if each.kind.is_secret and int(each.mode or written.mode, 8) not in SECRET_MODES:
            yield place, f"{each.kind} is nobody else's to read: its mode is 0400, 0600, 0440 or 0640"
    yield from _password_faults(written)
    if written.reload is not None:
        yield from _reload_faults(written.reload)


def _password_faults(written: DeliveryFile) -> Iterator[tuple[Path, str]]:
    kinds = {each.kind for each in written.contents.values()}
    stores = any(kind.is_store for kind in kinds)
    if written.password_file is not None and not stores:
        yield ("password_file",), "there is no store that it would be of"
    if Kind.PASSWORD in kinds and not stores:
        yield ("contents",), "there is no store that the password would be of"
    if Kind.PASSWORD in kinds and written.password_file is not None:
        yield ("contents",), "the password lies in password_file already, and is not written a second time"
    if stores and Kind.PASSWORD not in kinds and written.password_file is None:
        yield ("contents",), "the stores have a password: say where it goes (password: password), or password_file"


def _reload_faults(written: ReloadFile) -> Iterator[tuple[Path, str]]:
    if [written.signal, written.command, written.http].count(None) != 2:
        yield ("reload",), "say one of signal, command and http"
    if (written.signal is None) != (written.pid_file is None):
        yield ("reload",), f"a signal ({', '.join(SIGNALS)}) goes to the process of a pid_file: say both"


def read_delivery(name: str, written: DeliveryFile, absolute: Callable[[str], str]) -> Delivery:
    """What a person wrote, as the model has it."""
    contents = tuple(
        Content(file, each.kind, each.alias or (USUAL_ALIAS if each.kind.has_alias else ""), each.owner or "",
                int(each.mode or written.mode, 8), each.source or "")
        for file, each in written.contents.items()
    )  # fmt: skip
    password_file = absolute(written.password_file) if written.password_file else ""
    # Without dots and double slashes: two deliveries are told apart by it.
    folder = str(PurePosixPath(absolute(written.folder)))
    return Delivery(name, folder, contents, written.owner or "", _reload(written.reload, absolute), password_file)


def _reload(written: ReloadFile | None, absolute: Callable[[str], str]) -> Reload:
    if written is None:
        return Reload()
    return Reload(
        written.signal or "",
        absolute(written.pid_file) if written.pid_file else "",
        tuple(shlex.split(written.command or "")),
        written.http or "",
        written.method,
        written.timeout,
    )
