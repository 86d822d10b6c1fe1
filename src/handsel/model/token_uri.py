"""The name of a PKCS #11 token: a URI (RFC 7512), as far as a CA needs it."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass

_MOST = 4096
_NEEDED = ("token", "module-path", "pin-source")


@dataclass(frozen=True)
class TokenUri:
    """What it says: the module's file, the token's label, the file with the PIN. `prefix` stands before names of keys.

    Such as `pkcs11:token=handsel;object=ca-?module-path=/usr/lib/module.so&pin-source=/run/pin`.
    """

    module: str
    token: str
    pin_source: str
    prefix: str = "handsel-"

    @classmethod
    def parse(cls, text: str) -> TokenUri:
        """Raises `ValueError` for what is no such URI, or leaves out what is needed here."""
        if not text.startswith("pkcs11:") or len(text) > _MOST:
            raise ValueError("a token is named by a URI that starts with pkcs11:")
        found = _attributes(text.removeprefix("pkcs11:"))
        if "pin-value" in found:
            raise ValueError("a PIN has no place in a setting: write it into a file, and name that as pin-source")
        for needed in _NEEDED:
            if not found.get(needed):
                raise ValueError(f"the pkcs11 URI does not say its {needed}")
        unknown = sorted(found.keys() - {*_NEEDED, "object"})
        if unknown:
            raise ValueError(f"{unknown[0][:40]!r} in a pkcs11 URI is not known here")
        pin_source = re.sub(r"^file:(//)?", "", found["pin-source"])
        for name, path in (("module-path", found["module-path"]), ("pin-source", pin_source)):
            if not path.startswith("/"):
                raise ValueError(f"the {name} in a pkcs11 URI is written as an absolute path")
        return cls(found["module-path"], found["token"], pin_source, found.get("object", cls.prefix))


def _attributes(text: str) -> dict[str, str]:
    path, _, query = text.partition("?")
    found: dict[str, str] = {}
    for part in [*path.split(";"), *query.split("&")]:
        if not part:
            continue
        key, separator, value = part.partition("=")
        if not separator or key in found:
            raise ValueError(f"the pkcs11 URI says {key[:40]!r} twice, or without a value")
        found[key] = urllib.parse.unquote(value)
        if not found[key].isprintable():
            raise ValueError(f"the pkcs11 URI says something for {key[:40]!r} that cannot be printed")
    return found
