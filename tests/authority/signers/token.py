"""A token of SoftHSM in a folder of its own, as often as a test wants."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handsel.authority.adapters.signers.token_session import close_all

CONFIGURATION = "SOFTHSM2_CONF"
"""The environment variable by which SoftHSM finds its tokens."""
_MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so")


def init_token(folder: Path, label: str = "handsel") -> str:
    """A token, unless there is one; gives its URI. Who uses it has `configuration(folder)` in the environment."""
    if (folder / "uri").exists():
        return (folder / "uri").read_text()
    module = next((each for each in _MODULES if Path(each).exists()), None)
    tool = shutil.which("softhsm2-util")
    if module is None or tool is None:
        pytest.skip("needs softhsm2")
    pytest.importorskip("pkcs11", reason="needs python-pkcs11")
    (folder / "tokens").mkdir(parents=True)
    (folder / "softhsm.conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    pin = folder / "pin"
    pin.touch(0o600)
    pin.write_text("4711-4711\n")
    subprocess.run(
        [tool, "--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", "4711-4711"],
        check=True, capture_output=True, env={**os.environ, **configuration(folder)},
    )  # fmt: skip
    uri = f"pkcs11:token={label}?module-path={module}&pin-source={pin}"
    (folder / "uri").write_text(uri)
    return uri


def configuration(folder: Path) -> dict[str, str]:
    """What the environment of a process says whose tokens lie in `folder`."""
    return {CONFIGURATION: str(folder / "softhsm.conf")}


@contextmanager
def in_use(folder: Path, uri: str) -> Iterator[None]:
    """Meanwhile this process, and those that it starts, find the token in `folder`."""
    module = uri.partition("module-path=")[2].partition("&")[0]
    before = os.environ.get(CONFIGURATION)
    os.environ.update(configuration(folder))
    close_all()
    unload(module)  # a module that was loaded before has read the other folder
    try:
        yield
    finally:
        close_all()
        unload(module)
        os.environ.pop(CONFIGURATION)
        if before is not None:
            os.environ[CONFIGURATION] = before


@contextmanager
def soft_token(folder: Path, label: str = "handsel") -> Iterator[str]:
    """A new token; gives its URI. SoftHSM finds it by an environment variable, which this sets meanwhile."""
    uri = init_token(folder, label)
    with in_use(folder, uri):
        yield uri


def unload(module: str) -> None:
    """As if the process ended: the module forgets all sessions."""
    import pkcs11

    library = pkcs11._loaded.get(module)
    if library is not None:
        library.finalize()
