"""A token of SoftHSM in a folder of its own, as often as a test wants."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so")


@contextmanager
def soft_token(folder: Path, label: str = "handsel") -> Iterator[str]:
    """A new token; gives its URI. SoftHSM finds it by an environment variable, which this sets meanwhile."""
    module = next((each for each in _MODULES if Path(each).exists()), None)
    tool = shutil.which("softhsm2-util")
    if module is None or tool is None:
        pytest.skip("needs softhsm2")
    pytest.importorskip("pkcs11", reason="needs python-pkcs11")
    (folder / "tokens").mkdir(parents=True)
    (folder / "softhsm.conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    (folder / "pin").write_text("4711-4711\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm.conf")
    try:
        subprocess.run(
            [tool, "--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", "4711-4711"],
            check=True, capture_output=True,
        )  # fmt: skip
        unload(module)  # a module that was loaded before has read the other folder
        yield f"pkcs11:token={label}?module-path={module}&pin-source={folder}/pin"
    finally:
        unload(module)
        os.environ.pop("SOFTHSM2_CONF")
        if before is not None:
            os.environ["SOFTHSM2_CONF"] = before


def unload(module: str) -> None:
    """As if the process ended: the module forgets all sessions."""
    import pkcs11

    library = pkcs11._loaded.get(module)
    if library is not None:
        library.finalize()
