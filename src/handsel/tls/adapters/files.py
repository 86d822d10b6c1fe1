"""What a context is made of, read from files: stores, passwords, lists; and when one of them has changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from handsel.errors import ContextRefused, HandselError
from handsel.model.context import KeyStore, Password, TlsContext, TrustStore
from handsel.pki import keystore
from handsel.pki.certificate import Certificate
from handsel.pki.keystore import Passwords, Store
from handsel.pki.secret import Secret
from handsel.tls import recipe
from handsel.tls.recipe import Identity, Recipe

_MOST_BYTES = keystore.LARGEST
_IDENTITY, _ROOTS = "HANDSEL_IDENTITY", "HANDSEL_ROOTS"
_SECRETS = "/run/secrets"
_DELIVERED = "HANDSEL_SECRETS"
_FROM_AGENT = "start the program by `handsel run` or `handsel up`, which say where its identity is"

Stamp = tuple[int, int, int] | None


@dataclass
class Reader:
    """Reads for one context, and remembers what it read. `environment` is the program's."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    stamps: dict[str, Stamp] = field(default_factory=dict)

    def recipe(self, context: TlsContext) -> Recipe:
        """Everything for a context. Raises `ContextRefused`, or the error of a store, with the file's name."""
        own = self._identity(context.key_store) if context.key_store else None
        return Recipe(context, own, self._roots(context.trust_store))

    def changed(self) -> bool:
        """Whether a file that was read is another one by now."""
        return any(stamp_of(path) != stamp for path, stamp in self.stamps.items())

    def read(self, path: str) -> bytes:
        """The bytes of a file, which counts for `changed`. Raises `ContextRefused`."""
        self.stamps[path] = stamp_of(path)
        try:
            with Path(path).open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise ContextRefused(f"{path} cannot be read: {error.strerror}") from error
        if len(content) > _MOST_BYTES:
            raise ContextRefused(f"{path} is larger than {_MOST_BYTES >> 20} MiB")
        return content

    def _identity(self, wanted: KeyStore) -> Identity:
        if wanted.authority:
            folder = self._said(_IDENTITY)
            key = self._store(f"{folder}/identity.key", "", Passwords())
            chain = self._store(f"{folder}/identity.crt", "", Passwords())
            return recipe.identity(f"{folder}/identity.key", key, "", chain)
        passwords = Passwords(self._password(wanted.password), self._password(wanted.key_password))
        path = wanted.path or self._secret(wanted.secret)
        store = self._store(path, wanted.kind, passwords)
        other = self._store(wanted.chain, "", Passwords()) if wanted.chain else None
        return recipe.identity(path, store, wanted.alias, other)

    def _roots(self, wanted: TrustStore | None) -> tuple[Certificate, ...] | None:
        if wanted is None or wanted.system:
            return None
        path = self._said(_ROOTS) if wanted.authority else wanted.path or self._secret(wanted.secret)
        return recipe.roots(path, self._store(path, wanted.kind, Passwords(self._password(wanted.password))))

    def _store(self, path: str, kind: str, passwords: Passwords) -> Store:
        content = self.read(path)
        try:
            store = keystore.read(content, passwords)
        except HandselError as error:
            raise type(error)(f"{path}: {error}", next_step=error.next_step) from None
        if kind and store.kind != kind:
            raise ContextRefused(f"{path} is {store.kind}, and the context says {kind}")
        return store

    def _password(self, said: Password | None) -> Secret | None:
        if said is None:
            return None
        if said.variable:
            value = self.environment.get(said.variable)
            if value is None:
                raise ContextRefused(f"the password's environment variable {said.variable} is not set")
            return Secret(value.encode())
        lines = self.read(said.file or self._secret(said.secret)).splitlines()
        return Secret(lines[0] if lines else b"")

    def _secret(self, name: str) -> str:
        """Where a secret of this name is put: the agent and systemd say it, containers have one place for all."""
        usual = f"{self.environment.get('CREDENTIALS_DIRECTORY') or _SECRETS}/{name}"
        delivered = self.environment.get(_DELIVERED)
        if not delivered:
            return usual
        ours = f"{delivered}/{name}"
        if Path(ours).exists():
            return ours
        self.stamps[ours] = None  # once it is delivered, it comes first
        return usual if Path(usual).exists() else ours

    def _said(self, variable: str) -> str:
        value = self.environment.get(variable)
        if not value:
            raise ContextRefused(
                f"{variable} is not set: no agent gave this program an identity", next_step=_FROM_AGENT
            )
        return value


def stamp_of(path: str) -> Stamp:
    """What tells one version of a file from the next: inode, size and time of change; None when it is not there."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
