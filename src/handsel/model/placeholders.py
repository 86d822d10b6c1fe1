"""The form of templates in people's files: text with `{placeholders}`."""

from __future__ import annotations

import re

PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_./-]{1,64})\}")


def fault_of(template: str) -> str:
    """What is wrong with the form of a template, or nothing."""
    rest = PLACEHOLDER.sub("", template)
    return f"{template!r} has a brace that belongs to no placeholder" if "{" in rest or "}" in rest else ""
