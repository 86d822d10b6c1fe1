"""YAML that `documents.yaml` reads back as it was: text that it could take for something else stands in quotes."""

from __future__ import annotations

import re
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/_.+@-]*")
# Words of YAML 1.1 and 1.2 that are no text, and numbers with letters at their start.
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT002, ARG002
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.SequenceNode:
    """Lists of plain things stand on one line."""
    flow = all(isinstance(each, str | int) for each in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flow)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def write(value: dict[str, Any]) -> str:
    """A tree of mappings, lists, text, whole numbers, booleans, as YAML for people. Keys keep their order."""
    made: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return made
