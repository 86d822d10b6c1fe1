"""Secrets that lie in files of this host: read, checked, and read again when they change. Envoy never gets a path."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from handsel.pki.secret import Secret
from handsel.xds import secret
from handsel.xds.credential import lists_of
from handsel.xds.resources import Resource

_MAXIMUM_BYTES = 1 << 20
_SYSTEM_ROOTS = "file-root:system"

_Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass
class SecretFiles:
    """The secrets named `file-cert:<chain>~<key>` and `file-root:<roots>[~<lists>]`, as far as their files make sense.

    `resources` has the last good version of each; `problems` says for each other name, or newer version, what is wrong.
    """

    resources: dict[str, Resource] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    _stamps: dict[str, _Stamp] = field(default_factory=dict)

    def refresh(self, names: set[str]) -> bool:
        """Look at the files behind these names. Returns whether a secret changed."""
        changed = False
        for name in names:
            paths = _paths(name)
            stamp = tuple(_stamp(path) for path in paths)
            if name in self.problems or self._stamps.get(name) != stamp:
                changed |= self._read(name, paths)
                self._stamps[name] = stamp
        for name in (self.resources.keys() | self.problems.keys()) - names:
            self.resources.pop(name, None)
            self.problems.pop(name, None)
            self._stamps.pop(name, None)
        return changed

    def _read(self, name: str, paths: list[Path]) -> bool:
        try:
            contents = [_content(path) for path in paths]
            if name.startswith("file-cert:"):
                chain, key = contents
                read = secret.tls_certificate(name, chain, Secret(key), now=datetime.now(UTC))
            else:
                lists = [each for pem in contents[1:] for each in lists_of(pem)]
                read = secret.validation_context(
                    name, contents[0], crls=lists, of_system=name == _SYSTEM_ROOTS, whole_chain=True
                )
        except FileNotFoundError as error:
            self.problems[name] = f"{error.filename} is not there"
            return False
        except OSError as error:
            self.problems[name] = f"{error.filename}: {error.strerror}"
            return False
        except (ValueError, TypeError) as error:
            self.problems[name] = f"{', '.join(str(path) for path in paths)}: {error}"
            return False
        self.problems.pop(name, None)
        changed = self.resources.get(name) != read
        self.resources[name] = read
        return changed


def _paths(name: str) -> list[Path]:
    rest = name.partition(":")[2]
    if name == _SYSTEM_ROOTS:
        return [Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")]
    return [Path(part) for part in rest.split("~", 1)]


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (str(path), 0, 0, 0)
    return (str(path), status.st_ino, status.st_mtime_ns, status.st_size)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MAXIMUM_BYTES + 1)
    if len(content) > _MAXIMUM_BYTES:
        raise ValueError("larger than 1 MiB")
    return content
