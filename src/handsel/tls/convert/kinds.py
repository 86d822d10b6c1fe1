"""Which world a file is of, told by its content."""

from __future__ import annotations

import re

_MULE = b"http://www.mulesoft.org/schema/mule/"
_SPRING = re.compile(
    rb"^\s*(server\.ssl|management\.server\.ssl|spring\.ssl\.bundle)\.|^(server|management|spring)\s*:\s*(#.*)?$",
    re.MULTILINE,
)
_JAVA = re.compile(rb"(^\s*|-D|systemProp\.)(javax\.net\.ssl\.|jdk\.tls\.|https\.(protocols|cipherSuites)|com\.sun\.net\.ssl\.)", re.MULTILINE)  # fmt: skip  # noqa: E501


def of(content: bytes) -> str | None:
    """`mule`, `java` or `spring`; None when nothing in it tells."""
    if _MULE in content or _MULE in content.replace(b"\0", b""):
        return "mule"
    if _SPRING.search(content):
        return "spring"
    return "java" if _JAVA.search(content) else None
