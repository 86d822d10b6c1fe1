"""TLS contexts for Python programs: declared once in `handsel.yaml`, for any library that takes an `ssl.SSLContext`.

    from handsel import tls

    orders = tls.context("orders")
    httpx2.Client(verify=orders.client())
    uvicorn.Config(app, ssl_context_factory=lambda *_: orders.server())

Keys, chains and roots are read again when their files change; connections that are open go on.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from handsel.documents import yaml
from handsel.errors import ContextRefused, UsageError
from handsel.model.context import TlsContext
from handsel.model.context_file import parse_contexts
from handsel.pki.certificate import to_pem
from handsel.pki.secret import Secret
from handsel.tls.adapters.files import Reader
from handsel.tls.adapters.live import InsecureContextWarning, live

__all__ = ["Context", "InsecureContextWarning", "Pem", "context"]

_FILE, _VARIABLE = "handsel.yaml", "HANDSEL_CONFIG"


@dataclass(frozen=True)
class Pem:
    """What a context is made of, as PEM. `key` None and `chain` empty: it has no key. `roots` empty: the system's."""

    key: Secret | None
    chain: bytes
    roots: bytes


@dataclass(frozen=True)
class Context:
    """A declared context. Each side is made once and can be shared by threads."""

    declared: TlsContext

    def client(self) -> ssl.SSLContext:
        """For connections that this program opens. Raises `ContextRefused`, or the error of a store."""
        return self._client

    def server(self) -> ssl.SSLContext:
        """For connections that this program takes. Raises `ContextRefused` without a key, or the error of a store."""
        return self._server

    def pem(self) -> Pem:
        """Key, chain and roots as they are in the files now, for libraries that take bytes, such as gRPC.

        Nothing else of the context is in it: versions, peers and revocation are then that library's matter. Raises
        `ContextRefused`, or the error of a store.
        """
        found = Reader().recipe(self.declared)
        own = found.identity
        return Pem(
            own.key if own else None, to_pem(own.chain) if own else b"", to_pem(found.roots) if found.roots else b""
        )

    @cached_property
    def _client(self) -> ssl.SSLContext:
        return live(self.declared, server=False)

    @cached_property
    def _server(self) -> ssl.SSLContext:
        return live(self.declared, server=True)


def context(name: str, config: str | Path | None = None) -> Context:
    """The context of this name in a mesh file: `config`, else $HANDSEL_CONFIG, else `handsel.yaml` here.

    Raises `InvalidFile` with every fault of the file's contexts, `UsageError` when there is no such file or context,
    `ContextRefused` for an insecure one where the file forbids them.
    """
    path = Path(config or os.environ.get(_VARIABLE) or _FILE).absolute()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", next_step="name the mesh file as config"
        ) from error
    declared = parse_contexts(yaml.parse(content, str(path)), lambda each: str(path.parent / each))
    if name not in declared.contexts:
        known = ", ".join(declared.contexts) or "none"
        raise UsageError(f"{path} declares no context {name!r}; the contexts are: {known}")
    if declared.contexts[name].insecure and declared.forbid_insecure:
        raise ContextRefused(f"{path} forbids insecure contexts, and {name!r} is one")
    return Context(declared.contexts[name])
