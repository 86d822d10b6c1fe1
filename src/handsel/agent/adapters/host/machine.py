"""Which machine this is, so that a state folder that was copied elsewhere is noticed."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from handsel.errors import StateError

_FILE = "/etc/machine-id"
_VARIABLE = "HANDSEL_MACHINE_ID_FILE"
_PURPOSE = b"handsel agent state"
_LONGEST = 64


def this_machine() -> str:
    """A mark of this machine, or "" when it has no id (a container of a bare image).

    The id itself should not be shown to others (machine-id(5)): the mark is a keyed hash of it. The variable names
    another file: in a container, the host's. Raises `StateError` when a file that was named cannot be read.
    """
    named = os.environ.get(_VARIABLE)
    try:
        with Path(named or _FILE).open("rb") as file:
            text = file.read(_LONGEST).strip()
    except OSError as error:
        if named:
            raise StateError(f"{_VARIABLE}: {named} cannot be read: {error.strerror}") from error
        return ""
    if not text or text == b"uninitialized":
        return ""
    return hmac.new(text, _PURPOSE, hashlib.sha256).hexdigest()[:32]
