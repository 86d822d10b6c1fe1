"""What the resources share: strict parts, metadata, names, durations, text matches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from handsel.documents.yaml import Path
from handsel.model.faults import HOST, NAME, Strict, short
from handsel.model.re2 import check_pattern

_V = TypeVar("_V")

_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:h|ms|m|s)){1,4}")
_DURATION_PART = re.compile(r"([\d.]+)(h|ms|m|s)")
_UNITS = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
_CIPHER_SUITES = (
    *(f"ECDHE-{key}-AES{bits}" for bits in ("128-GCM-SHA256", "256-GCM-SHA384") for key in ("ECDSA", "RSA")),
    *(f"ECDHE-{key}-CHACHA20-POLY1305" for key in ("ECDSA", "RSA")),
    *(f"ECDHE-{key}-AES{bits}-SHA" for bits in (128, 256) for key in ("ECDSA", "RSA")),
    *("AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA"),
)
_GROUPS = ("X25519MLKEM768", "X25519", "P-256", "P-384", "P-521")
_VERSIONS = {"TLS_AUTO": "", "TLSV1_0": "TLSv1.0", "TLSV1_1": "TLSv1.1", "TLSV1_2": "TLSv1.2", "TLSV1_3": "TLSv1.3"}
_OBJECT_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class Part(Strict):
    """A part of a resource."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True)


class Later:
    """Marks a field that Istio knows and that is not carried out."""


NotYet = Annotated[Any, Later()]


def not_carried_out(part: Part, path: Path = ()) -> Iterator[Path]:
    """The places of the fields in `part` that say something and are not carried out."""
    later, below = _fields_of(type(part))
    for name, alias in later:
        if getattr(part, name) is not None:
            yield (*path, alias)
    for name, alias in below:
        yield from _inside(getattr(part, name), (*path, alias))


def _inside(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, Part):
        yield from not_carried_out(value, path)
    elif isinstance(value, list | dict) and value:
        for key, each in enumerate(value) if isinstance(value, list) else value.items():
            if not isinstance(each, Part | list | dict):
                return
            yield from _inside(each, (*path, key))


@cache
def _fields_of(kind: type[Part]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The fields of a part, with their names in the file: those that come later, and the others."""
    later: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    for name, field in kind.model_fields.items():
        marked = any(isinstance(each, Later) for each in field.metadata)
        (later if marked else others).append((name, field.alias or name))
    return later, others


def one_of(values: Mapping[str, _V], refused: Mapping[str, str] | None = None) -> Callable[[Any], _V]:
    """A validator: the word as its value. `refused` has the words that Istio knows beside these, and why not."""

    def choose(word: Any) -> _V:
        if isinstance(word, str) and refused and word in refused:
            raise ValueError(f"{word}: {refused[word]}")
        if not isinstance(word, str) or word not in values:
            raise ValueError(f"must be {' or '.join(values)}, not {short(word)}")
        return values[word]

    return choose


def upper(word: Any) -> Any:
    """Istio does not mind the case of a protocol."""
    return word.upper() if isinstance(word, str) else word


def not_empty(items: _V) -> _V:
    """Refuses nothing, where something must be."""
    if not items:
        raise ValueError("must not be empty")
    return items


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"a name has lower-case letters, digits and dashes, at most 63, unlike {short(text)}")
    return text


def _object_name(text: str) -> str:
    if not _OBJECT_NAME.fullmatch(text):
        raise ValueError(f"a name has lower-case letters, digits, dashes and dots, at most 253, unlike {short(text)}")
    return text


def _account(text: str) -> str:
    return _object_name(text) if text else text


def _host(text: str) -> str:
    if not HOST.fullmatch(text):
        raise ValueError(f"{short(text)} is no host name in lower case")
    return text


def _server_name(text: str) -> str:
    # Istio's own have underscores: outbound_.9080_.v1_.reviews.default.svc.cluster.local
    if text and not HOST.fullmatch(text.replace("_", "x")):
        raise ValueError(f"{short(text)} is no host name in lower case")
    return text


def _wild_host(text: str) -> str:
    if text != "*":
        _host(text.removeprefix("*."))
    return text


def _no_bare_star(text: str) -> str:
    if text == "*":
        raise ValueError("a bare * would take every name there is: write which domain")
    return text


def _export(places: list[str]) -> list[str]:
    for place in places:
        if place not in ("*", ".", "~"):
            _name(place)
    if "~" in places and len(places) > 1:
        raise ValueError("~ (visible nowhere) stands alone")
    return places


def duration(text: Any) -> timedelta:
    """A duration as Istio writes it: `1h`, `1m30s`, `1.5s`, `20ms`. Raises `ValueError`."""
    value = duration_or_zero(text)
    if not value:
        raise ValueError("a duration has whole milliseconds, from 1ms to 8760h")
    return value


def duration_or_zero(text: Any) -> timedelta:
    """The same, where `0s` means something: no limit."""
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError("a duration is numbers with the units h, m, s, ms, such as 1m30s")
    value = timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text)))
    if value > timedelta(days=365) or value % timedelta(milliseconds=1):
        raise ValueError("a duration has whole milliseconds, from 1ms to 8760h")
    return value


Host = Annotated[str, AfterValidator(_host)]
ServerName = Annotated[str, AfterValidator(_server_name)]
"""What TLS is asked for; empty: nothing was said."""
WildHost = Annotated[str, AfterValidator(_wild_host)]
"""A host name, `*`, or `*.example.com`."""
DomainHost = Annotated[WildHost, AfterValidator(_no_bare_star)]
"""The same without a bare `*`."""
Name = Annotated[str, AfterValidator(_name)]
ObjectName = Annotated[str, AfterValidator(_object_name)]
CipherSuite = Annotated[str, BeforeValidator(one_of({each: each for each in _CIPHER_SUITES}))]
Group = Annotated[str, BeforeValidator(one_of({each: each for each in _GROUPS}))]
TlsVersion = Annotated[str, BeforeValidator(one_of(_VERSIONS))]
"""A version, empty: whatever is usual."""
Account = Annotated[str, AfterValidator(_account)]
"""A service account; empty: that of the namespace."""
Duration = Annotated[timedelta, BeforeValidator(duration)]
Timeout = Annotated[timedelta, BeforeValidator(duration_or_zero)]
ExportTo = Annotated[list[str], AfterValidator(_export)]
Count = Annotated[int, Field(ge=0, le=2**32 - 1)]
Some = Annotated[int, Field(ge=1, le=2**31 - 1)]
Percentage = Annotated[float, Field(ge=0, le=100)]


class Metadata(Part):
    """The usual metadata."""

    name: ObjectName
    namespace: Name = "default"
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    generate_name: NotYet = None
    # What a cluster adds when it is asked for a resource.
    uid: Any = None
    resource_version: Any = None
    generation: Any = None
    creation_timestamp: str | None = None
    deletion_timestamp: Any = None
    deletion_grace_period_seconds: Any = None
    managed_fields: Any = None
    owner_references: Any = None
    finalizers: Any = None
    self_link: Any = None

    def annotation(self, key: str) -> str:
        """An annotation, empty when it is not there."""
        return (self.annotations or {}).get(key, "")

    def label(self, key: str) -> str:
        """A label, likewise."""
        return (self.labels or {}).get(key, "")


class Object(Part):
    """A resource."""

    api_version: str
    kind: str
    metadata: Metadata
    status: Any = None  # what a cluster adds


class StringMatch(Part):
    """`StringMatch`: one of `exact`, `prefix`, `regex` (RE2, of the whole text)."""

    exact: str | None = None
    prefix: Annotated[str, AfterValidator(not_empty)] | None = None
    regex: Annotated[str, AfterValidator(check_pattern)] | None = None

    @model_validator(mode="after")
    def _says_one(self) -> StringMatch:
        said = [each for each in (self.exact, self.prefix, self.regex) if each is not None]
        if len(said) > 1:
            raise ValueError("one of exact, prefix, regex, not several")
        return self


class SomeMatch(StringMatch):
    """The same, where nothing said would mean nothing."""

    @model_validator(mode="after")
    def _says_something(self) -> SomeMatch:
        if self.exact is self.prefix is self.regex is None:
            raise ValueError("one of exact, prefix, regex")
        return self


class Percent(Part):
    """`Percent`: from 0 to 100."""

    value: Percentage = 0.0


class WorkloadSelector(Part):
    """`WorkloadSelector` of the networking kinds: workloads with all of these labels."""

    labels: dict[str, str] = Field({})
