"""A token of SoftHSM with a folder of its own. Its module reads its settings once a process: one token for all tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_PLACES = ("/usr/lib/softhsm", "/usr/lib/x86_64-linux-gnu/softhsm", "/usr/lib64/pkcs11", "/usr/local/lib/softhsm")
PIN = "2580-1379"


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The pkcs11 URI of a fresh token called `handsel`."""
    module = next((path for place in _PLACES if (path := Path(place) / "libsofthsm2.so").exists()), None)
    if module is None or not shutil.which("softhsm2-util"):
        pytest.skip("needs softhsm2")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    (folder / "pin").write_text(f"{PIN}\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    try:
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", "handsel", "--pin", PIN, "--so-pin", "97531-8642"],
            check=True,
            capture_output=True,
        )
        yield f"pkcs11:token=handsel?module-path={module}&pin-source={folder}/pin"
    finally:
        os.environ.pop("SOFTHSM2_CONF")
        if before is not None:
            os.environ["SOFTHSM2_CONF"] = before
