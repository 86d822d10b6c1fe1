"""The session of this process with a PKCS #11 token: opened when it is used, and again when the token lost it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from handsel.errors import StateError
from handsel.model.token_uri import TokenUri
from handsel.pki.secret import Secret

_T = TypeVar("_T")
_one_at_a_time: dict[str, threading.RLock] = {}
"""By module: python-pkcs11 does not ask it to lock (C_Initialize), so no two threads may be in it at once."""


class TokenSession:
    """One session, used by one thread at a time. It remembers the keys that it found, since a token looks through all
    of its objects for a name; they are found again when the session was lost.
    """

    def __init__(self, module: str, token: str, pin_source: str) -> None:
        self._module = module
        self._token = token
        self._pin_source = pin_source
        self._session: Any = None
        self._found: dict[str, Any] = {}
        self._using = _one_at_a_time.setdefault(module, threading.RLock())

    @property
    def custody(self) -> str:
        """In whose keeping the keys are."""
        return f"the PKCS #11 token {self._token!r} ({Path(self._module).name})"

    def use(self, act: Callable[[Any], _T]) -> _T:
        """Do something in the session; once more in a new one, when the old one is gone. Raises `StateError`."""
        pkcs11 = library()
        with self._using:
            for attempt in (1, 2):
                try:
                    if self._session is None:
                        self._session = self._open()
                    return act(self._session)
                except pkcs11.PKCS11Error as error:
                    self.close()
                    if attempt == 2:
                        said = str(error) or type(error).__name__
                        raise StateError(
                            f"{self.custody} does not do it: {said}",
                            next_step="check the module, the token's name and the PIN",
                        ) from error
        raise AssertionError("one of the two attempts ended")

    def sign(self, label: str, data: bytes, mechanism: str) -> bytes:
        """Raises `StateError`."""
        wanted = library().Mechanism[mechanism]

        def act(session: Any) -> bytes:
            if label not in self._found:
                self._found[label] = self.one(session, label, "PRIVATE_KEY")
            return bytes(self._found[label].sign(data, mechanism=wanted))

        return self.use(act)

    def one(self, session: Any, label: str, half: str) -> Any:
        """The one object of this name: half of a key pair. Raises `StateError`."""
        found = objects(session, label, half)
        if len(found) != 1:
            raise StateError(f"{self.custody} has {len(found) or 'no'} keys called {label!r}")
        return found[0]

    def forget(self, label: str) -> None:
        """A key is destroyed: its name may come again."""
        with self._using:
            self._found.pop(label, None)

    def close(self) -> None:
        """Log out. The next use logs in again."""
        with self._using:
            session, self._session = self._session, None
            self._found.clear()
            if session is not None:
                try:
                    session.close()
                except Exception:  # noqa: BLE001  # it was lost already
                    return

    def _open(self) -> Any:
        pkcs11 = library()
        pin = self._pin()
        try:
            module = pkcs11.lib(self._module)
        except RuntimeError as error:
            raise StateError(f"the module {self._module} cannot be loaded: {error}") from error
        token = module.get_token(token_label=self._token)
        try:
            return token.open(rw=True, user_pin=pin.reveal().decode())
        except pkcs11.UserAlreadyLoggedIn:  # by another session of this process
            return token.open(rw=True)

    def _pin(self) -> Secret:
        path = Path(self._pin_source)
        try:
            if path.stat().st_mode & 0o007:
                raise StateError(f"the PIN in {path} can be read by everybody", next_step=f"chmod 600 {path}")
            return Secret(path.read_bytes().strip())
        except OSError as error:
            raise StateError(f"the PIN of {self.custody} cannot be read: {error}") from error


_sessions: dict[tuple[str, str, str], TokenSession] = {}


def session_with(uri: TokenUri) -> TokenSession:
    """The session with this token, the same for everybody here: who logs out of a token does so for a whole process."""
    named = (uri.module, uri.token, uri.pin_source)
    return _sessions.setdefault(named, TokenSession(*named))


def close_all() -> None:
    """Log out of every token."""
    for each in list(_sessions.values()):
        each.close()


def objects(session: Any, label: str, half: str) -> list[Any]:
    """The objects of this name: `half` is PRIVATE_KEY or PUBLIC_KEY."""
    pkcs11 = library()
    return list(session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass[half], pkcs11.Attribute.LABEL: label}))


def library() -> Any:
    """The optional library. Raises `StateError` when it is not installed."""
    try:
        import pkcs11  # noqa: PLC0415  # only who has a token needs it
        import pkcs11.util.rsa  # noqa: PLC0415
    except ImportError as error:
        raise StateError("keys in a token need python-pkcs11", next_step="pip install 'handsel[pkcs11]'") from error
    return pkcs11
