"""Where the CA keys of the tests are: in files and in memory, or, with HANDSEL_TEST_KEYS=softhsm, in tokens of SoftHSM.

What runs in this process shares one token; each server that a test starts has its own, in the test's folder.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handsel.authority.adapters.signers.pkcs11 import TokenKeys
from handsel.authority.key_store import KeyStore
from handsel.model.token_uri import TokenUri
from handsel.pki.keys import KeyType, PrivateKey
from tests.authority.signers.token import configuration, in_use, init_token

IN_TOKEN = os.environ.get("HANDSEL_TEST_KEYS") == "softhsm"
_NOT_IN_SOFTHSM = {KeyType.MLDSA44, KeyType.MLDSA65, KeyType.MLDSA87}
_numbers = itertools.count()


def skip_if_about_files(item: pytest.Item) -> None:
    """Tests that are marked with `key_files("why")` are about files as such."""
    marker = item.get_closest_marker("key_files")
    if marker is not None and IN_TOKEN:
        pytest.skip(f"is about keys in files: {marker.args[0]}")


def ca_key(kind: KeyType = KeyType.P256) -> PrivateKey:
    """A new key for a CA."""
    if not IN_TOKEN or kind in _NOT_IN_SOFTHSM:
        return PrivateKey.generate(kind)
    return _keys(f"{next(_numbers)}-").make("key", kind)


def key_store(folder: Path) -> KeyStore | None:
    """Where the keys of the authority in `folder` are, as `KeyFolder` takes it."""
    return _keys(f"{folder}-") if IN_TOKEN else None


def _keys(prefix: str) -> TokenKeys:
    return TokenKeys(TokenUri.parse(_prefixed(_own_token(), prefix)))


def _prefixed(uri: str, prefix: str) -> str:
    return uri.replace("?", f";object={prefix}?", 1)


@functools.cache
def _own_token() -> str:
    """The token of this process."""
    folder = Path(tempfile.mkdtemp(prefix="hs-token-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    uri = init_token(folder, "tests")
    os.environ.update(configuration(folder))
    return uri


def with_keys(folder: Path, config: str = "", *, prefix: str = "handsel-") -> str:
    """The mesh file of a server in `folder`: with its CA's keys in a token that lies there too."""
    if not IN_TOKEN or re.search(r"^  keys: ", config, re.MULTILINE):
        return config
    uri = _prefixed(init_token(folder / "token"), prefix)
    return merged(config or "services: {}\n", f'keys: "{uri}"')


def merged(config: str, setting: str) -> str:
    """The file with one more setting of `authority`. The line of its own that it takes is that of an empty first line,
    so that the numbers of the others stay.
    """
    inline = re.compile(r"^authority: \{", re.MULTILINE)
    if inline.search(config):
        return inline.sub(lambda found: f"{found[0]}{setting}, ", config)
    block = re.compile(r"^authority:$", re.MULTILINE)
    if block.search(config):
        return block.sub(lambda found: f"{found[0]}\n  {setting}", config.removeprefix("\n"))
    return f"{config}authority: {{{setting}}}\n"


@contextmanager
def keys_of_server(folder: Path) -> Iterator[KeyStore | None]:
    """For this process too: the keys of the server in `folder`, as `KeyFolder` takes them."""
    if not IN_TOKEN:
        yield None
        return
    uri = init_token(folder / "token")
    with in_use(folder / "token", uri):
        yield TokenKeys(TokenUri.parse(uri))
