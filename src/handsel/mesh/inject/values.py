"""The values of annotations, each read strictly. Every reader raises `ValueError`, which says what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Any, TypeVar

from handsel.documents import yaml
from handsel.envoy.options import LEVELS
from handsel.errors import InvalidFile
from handsel.mesh.inject.quantity import parse_quantity
from handsel.mesh.inject.redirect import Network
from handsel.model.faults import did_you_mean, short

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1123."""
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}")
_PATH = re.compile(r"/[^\x00-\x1f:]{1,1023}")
_DEEPEST = 20
_SOURCES = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "configMap", "csi", "downwardAPI",
    "emptyDir", "ephemeral", "fc", "flexVolume", "flocker", "gcePersistentDisk", "gitRepo", "glusterfs",
    "hostPath", "image", "iscsi", "nfs", "persistentVolumeClaim", "photonPersistentDisk", "portworxVolume",
    "projected", "quobyte", "rbd", "scaleIO", "secret", "storageos", "vsphereVolume",
)  # fmt: skip
_OF_MOUNTS: Mapping[str, type] = {
    "name": str, "mountPath": str, "subPath": str, "subPathExpr": str, "mountPropagation": str,
    "recursiveReadOnly": str, "readOnly": bool,
}  # fmt: skip

_T = TypeVar("_T")


def truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f'must be "true" or "false", not {short(text)}')
    return text == "true"


def wish(text: str) -> bool:
    """Whether to inject: Istio takes some more words here, in any case."""
    if text.lower() not in ("y", "yes", "true", "on", "n", "no", "false", "off"):
        raise ValueError(f'must be "true" or "false", not {short(text)}')
    return text.lower() in ("y", "yes", "true", "on")


def quantity(text: str) -> str:
    parse_quantity(text)
    return text


def level(text: str) -> str:
    return one_of(LEVELS)(text)


def one_of(known: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            hint = did_you_mean(text, known, known_here=True)
            raise ValueError(f"{short(text)} is not known, {hint}")
        return text

    return read


def ports(text: str) -> tuple[int, ...]:
    return tuple(_each(text, _port))


def ports_or_all(text: str) -> tuple[int, ...] | None:
    return None if text.strip() == "*" else ports(text)


def ranges(text: str) -> tuple[Network, ...]:
    return tuple(_each(text, _network))


def ranges_or_all(text: str) -> tuple[Network, ...] | None:
    return None if text.strip() == "*" else ranges(text)


def interfaces(text: str) -> tuple[str, ...]:
    return tuple(_each(text, _interface))


def _each(text: str, read: Callable[[str], _T]) -> list[_T]:
    return [read(part.strip()) for part in text.split(",")] if text.strip() else []


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ValueError(f"a port is a number from 1 to 65535, not {short(text)}")
    return int(text)


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f'must be a range such as "10.0.0.0/8", not {short(text)}: {error}') from error


def _interface(text: str) -> str:
    if not _INTERFACE.fullmatch(text):
        raise ValueError(f"{short(text)} is no name of a network interface")
    return text


def json_or_yaml(text: str) -> Any:
    """One value; JSON is YAML."""
    try:
        documents = yaml.parse(text.encode(), "the value")
    except (InvalidFile, UnicodeEncodeError) as error:
        raise ValueError(str(error).splitlines()[0]) from error
    if len(documents) != 1:
        raise ValueError("must be one value of JSON or YAML")
    return documents[0].value


def volumes(text: str) -> tuple[dict[str, Any], ...]:
    """Volumes of a pod, as a list with names or as a mapping by name."""
    found = _named(text)
    for each in found:
        sources = [key for key in each if key != "name"]
        for key in sources:
            if key not in _SOURCES:
                raise ValueError(f"volume {each['name']!r}: no kind of volume {key!r} {_hint(key, _SOURCES)}".rstrip())
        if len(sources) != 1 or not isinstance(each[sources[0]], dict):
            raise ValueError(f'volume {each["name"]!r} must be of one kind, such as "secret": {{"secretName": "…"}}')
    return found


def volume_mounts(text: str) -> tuple[dict[str, Any], ...]:
    """Mounts of a container, in the same two forms."""
    found = _named(text)
    for each in found:
        for key, value in each.items():
            if key not in _OF_MOUNTS:
                raise ValueError(f"mount {each['name']!r}: unknown key {key!r} {_hint(key, _OF_MOUNTS)}".rstrip())
            if not isinstance(value, _OF_MOUNTS[key]):
                raise ValueError(f"mount {each['name']!r}: {key} cannot be {short(value)}")
        if not _PATH.fullmatch(each.get("mountPath", "")):
            raise ValueError(f"mount {each['name']!r} needs an absolute mountPath")
    return found


def _named(text: str) -> tuple[dict[str, Any], ...]:
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    _check_depth(value, 0)
    if isinstance(value, dict):
        value = [{"name": name, **_object(each)} for name, each in value.items()]
    if not isinstance(value, list):
        raise ValueError(f"must be a JSON array or object, not {short(value)}")
    for each in value:
        name = _object(each).get("name")
        if not isinstance(name, str) or not LABEL.fullmatch(name):
            raise ValueError(f"each needs a name of small letters, digits and dashes, not {short(name)}")
    return tuple(value)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _check_depth(value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST} levels")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(each, depth + 1)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"each must be a JSON object, not {short(value)}")
    return value


def _hint(word: str, known: Any) -> str:
    hint = did_you_mean(word, known)
    return f"({hint})" if hint else ""
