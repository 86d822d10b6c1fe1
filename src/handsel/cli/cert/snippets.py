"""Short programs that speak mutual TLS with the files of a delivery, in four languages, with the real paths in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources

from handsel.errors import UsageError
from handsel.model.delivery import Kind

LANGUAGES = ("python", "node", "go", "java")
_TOKEN = re.compile(r'"@([A-Z_]+)@"')
_FORMATS = {
    Kind.PKCS12: "PKCS12", Kind.JKS: "JKS", Kind.PKCS12_TRUST: "PKCS12", Kind.JKS_TRUST: "JKS",
}  # fmt: skip


def snippet(language: str, folder: str, files: Mapping[str, Kind], peer: str, password_file: str = "") -> str:
    """The program. `files`: by name; `peer`: the SPIFFE ID of the other side. Raises `UsageError` when a file lacks."""
    words = {"FOLDER": folder, "PEER": peer}
    if language == "java":
        keys, trust = _of(files, Kind.PKCS12, Kind.JKS), _of(files, Kind.PKCS12_TRUST, Kind.JKS_TRUST)
        words |= {"KEY_STORE": keys, "KEY_KIND": _FORMATS[files[keys]]}
        words |= {"TRUST_STORE": trust, "TRUST_KIND": _FORMATS[files[trust]]}
        # An absolute path stands for itself, wherever it is resolved.
        words["PASSWORD"] = password_file or _of(files, Kind.PASSWORD)
    else:
        words["KEY"] = _of(files, Kind.BUNDLE, Kind.KEY)
        words["CERT"] = _of(files, Kind.BUNDLE, Kind.CERTIFICATE)
        words["ROOTS"] = _of(files, Kind.ROOTS)
    template = resources.files("handsel.cli.cert").joinpath("programs", f"{language}.txt").read_text(encoding="utf-8")
    # A string of JSON is one of each of the four languages.
    return _TOKEN.sub(lambda found: json.dumps(words[found[1]], ensure_ascii=False), template)


def _of(files: Mapping[str, Kind], *kinds: Kind) -> str:
    """The name of the first file of one of these kinds, the first kind before the second."""
    for kind in kinds:
        for name, each in files.items():
            if each == kind:
                return name
    wanted = " or ".join(kinds)
    raise UsageError(f"this snippet reads a file of the kind {wanted}, and none is delivered")
