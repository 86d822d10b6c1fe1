"""TLS contexts on files: read from other worlds, written for them, and loaded for real."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from handsel.documents import properties, xml, yaml
from handsel.errors import HandselError, UsageError
from handsel.model.context import Contexts, TlsContext
from handsel.model.context_file import Declared, parse_contexts
from handsel.pki.certificate import Certificate
from handsel.pki.inspect import printable
from handsel.tls.adapters.files import Reader
from handsel.tls.adapters.live import live
from handsel.tls.convert import handsel_yaml, java, kinds, mule, spring
from handsel.tls.convert.model import Exported, Imported, Side, joined

READERS = {"mule": mule.read, "java": java.read, "spring": spring.read}
_LARGEST = max(xml.MAXIMUM_BYTES, yaml.MAXIMUM_BYTES, properties.MAXIMUM_BYTES)


def read_declared(config: Path) -> Declared:
    """The contexts of a mesh file. Raises `InvalidFile`, `UsageError`."""
    content = _content(config, yaml.MAXIMUM_BYTES)
    folder = config.absolute().parent
    documents = yaml.parse(content, str(config))
    return parse_contexts(documents, lambda each: str(folder / each)) if documents else Declared({}, False)


def chosen(contexts: Contexts, name: str, config: Path) -> TlsContext:
    """The context of this name. Raises `UsageError`."""
    if name not in contexts:
        known = ", ".join(contexts) or "none"
        raise UsageError(f"{config} declares no context {name!r}; the contexts are: {known}")
    return contexts[name]


def import_files(paths: Sequence[Path], kind: str | None) -> Imported:
    """The contexts of files of one world or several. `kind` None: told by their content.

    Raises `InvalidFile`, and `UsageError` for a file that is of none of them or has no context.
    """
    by_kind: dict[str, dict[str, bytes]] = {}
    for path in paths:
        content = _content(path, _LARGEST)
        found = kind or kinds.of(content)
        if found is None:
            raise UsageError(
                f"{path}: nothing of Mule, Java or Spring about TLS is in it",
                next_step=f"say what it is: --from {'|'.join(READERS)}",
            )
        by_kind.setdefault(found, {})[str(path)] = content
    imported = joined(READERS[each](files) for each, files in by_kind.items())
    if not imported.contexts:
        names = ", ".join(str(path) for path in paths)
        raise UsageError("\n".join([f"{names}: there is no TLS context in it", *map(str, imported.notes)]))
    notes = tuple(sorted(imported.notes))
    return Imported(imported.contexts, (*notes, *handsel_yaml.faults(imported.contexts)))


def save(exported: Exported, folder: Path, *, force: bool) -> None:
    """Write the files. One that is there and says another thing stays, unless `force`. Raises `UsageError`."""
    for name, text in exported.files.items():
        path = folder / name
        try:
            if not force and path.exists() and path.read_bytes() != text.encode():
                raise UsageError(f"{path} is there already, and says another thing", next_step="--force replaces it")
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    for name, text in exported.files.items():
        path = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error


@dataclass(frozen=True)
class Checked:
    """What one side of a context shows and believes; `error`: why it cannot be made."""

    name: str
    side: Side
    shows: str = ""
    trusts: str = ""
    error: str = ""
    insecure: bool = False


def check(context: TlsContext, environment: Mapping[str, str]) -> Iterator[Checked]:
    """Load each side for real, as a program would; a server only where there is a key."""
    now = datetime.now(UTC)
    for side in Side:
        if side is Side.SERVER and context.key_store is None:
            continue
        try:
            live(context, server=side is Side.SERVER)
            made = Reader(environment).recipe(context)
        except (HandselError, ssl.SSLError, ValueError) as error:
            yield Checked(context.name, side, error=printable(" ".join(str(error).split())), insecure=context.insecure)
            continue
        shows = _shown(made.identity.leaf, now) if made.identity else "no certificate"
        roots = None if made.roots is None else [_common_name(each) for each in made.roots]
        yield Checked(context.name, side, shows, _trusted(context, side, roots), insecure=context.insecure)


def _shown(leaf: Certificate, now: datetime) -> str:
    names = ", ".join([*leaf.uri_names, *leaf.dns_names]) or leaf.parsed.subject.rfc4514_string() or "no name"
    ends = leaf.not_after
    when = "ENDED" if ends < now else "until"
    return printable(f"{names} ({when} {ends:%Y-%m-%d %H:%M} UTC)")


def _trusted(context: TlsContext, side: Side, roots: list[str] | None) -> str:
    if context.insecure:
        return "everybody: INSECURE, for tests only"
    if side is Side.SERVER and context.asks_clients == "none":
        return "whoever comes: it asks for no certificate"
    text = "the machine's roots" if roots is None else ", ".join(roots[:3])
    text += f" and {len(roots) - 3} more" if roots and len(roots) > 3 else ""
    text += f", as one of {len(context.peers)} peers" if context.peers else ""
    text += ", if it shows a certificate" if side is Side.SERVER and context.asks_clients == "optional" else ""
    return text + (", and looks at revocation" if context.revocation else "")


def _common_name(root: Certificate) -> str:
    return printable(root.parsed.subject.rfc4514_string() or root.serial)


def _content(path: Path, most: int) -> bytes:
    """At most one byte more than may be, by which the parser knows that there is more."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
