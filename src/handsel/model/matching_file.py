"""`when:` in the mesh file: conditions on requests and connections."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from handsel.model.conditions import contradictory
from handsel.model.faults import Port, Strict
from handsel.model.re2 import check_pattern
from handsel.model.routing import Compare, ConnectionMatch, Named, RequestMatch, Text

# RFC 9110, section 5.6.2; proxies compare the names of headers in lower case.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_SERVER_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")


def header_name(name: str) -> str:
    """The name of a header, in lower case. Raises `ValueError`."""
    if not _TOKEN.fullmatch(name.lower()):
        raise ValueError(f"{name[:40]!r} is no name of a header")
    return name.lower()


def words(value: Any) -> Any:
    """One word as a list of one; a number is a word too."""
    value = [value] if isinstance(value, str | int) and not isinstance(value, bool) else value
    if isinstance(value, list):
        return [str(each) if isinstance(each, int) and not isinstance(each, bool) else each for each in value]
    return value


Words = Annotated[list[str], BeforeValidator(words, json_schema_input_type=str | list[str])]
HeaderName = Annotated[str, AfterValidator(header_name)]
Pattern = Annotated[str, AfterValidator(check_pattern)]


class TextFile(Strict):
    """A comparison of a text; the text alone means exactly it."""

    exact: str | None = Field(None, description="Exactly this.")
    prefix: str | None = Field(None, description="It starts with this.")
    regex: Pattern | None = Field(None, description="The whole of it fits this pattern (RE2).")
    present: bool | None = Field(None, description="True: whatever it is, it is there.")
    ignore_case: bool = Field(False, description="Whether upper and lower case are the same; not for a regex.")

    @model_validator(mode="after")
    def _is_one(self) -> TextFile:
        if (said := _said(self, "exact", "prefix", "regex", "present")) != 1:
            raise ValueError(f"say one of exact, prefix, regex and present, not {said or 'none'}")
        if self.present is False:
            raise ValueError("`present: false` says what `without_headers` says")
        if self.prefix == "":
            raise ValueError("everything starts with an empty prefix: say `present: true`")
        return self

    def text(self) -> Text:
        for compare in (Compare.EXACT, Compare.PREFIX, Compare.REGEX):
            value = getattr(self, compare.value)
            if value is not None:
                return Text(compare, value, self.ignore_case and compare is not Compare.REGEX)
        return Text(Compare.PRESENT)


class PathFile(Strict):
    """A comparison of a path; the path alone means it and what is below it."""

    exact: str | None = Field(None, description="Exactly this path.")
    below: str | None = Field(None, description="This path, or one below it: `/v1` means `/v1/x` too, not `/v10`.")
    prefix: str | None = Field(None, description="It starts with this: `/v1` means `/v10` too.")
    regex: Pattern | None = Field(None, description="The whole path fits this pattern (RE2).")
    ignore_case: bool = Field(False, description="Whether upper and lower case are the same; not for a regex.")

    @model_validator(mode="after")
    def _is_one(self) -> PathFile:
        if (said := _said(self, "exact", "below", "prefix", "regex")) != 1:
            raise ValueError(f"say one of exact, below, prefix and regex, not {said or 'none'}")
        written = self.exact or self.below or self.prefix or ""
        if self.regex is None and (not written.startswith("/") or "?" in written or "#" in written):
            raise ValueError("a path starts with / and has neither ? nor #")
        return self

    def text(self) -> Text:
        if self.below is not None:
            return Text(Compare.SUBPATH, self.below.rstrip("/") or "/", self.ignore_case)
        return TextFile(exact=self.exact, prefix=self.prefix, regex=self.regex, ignore_case=self.ignore_case).text()


def _said(content: Strict, *keys: str) -> int:
    return sum(getattr(content, key) is not None for key in keys)


def _short(key: str) -> BeforeValidator:
    """What is written briefly, as text or a number, written out."""

    def written_out(value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f'true and false are text here: write "{str(value).lower()}"')
        return {key: str(value)} if isinstance(value, str | int | float) else value

    return BeforeValidator(written_out, json_schema_input_type=str | dict[str, Any])


def _names_alone(value: Any) -> Any:
    """A list of names means that they are there."""
    return {str(each): {"present": True} for each in value} if isinstance(value, list) else value


TextOrShort = Annotated[TextFile, _short("exact")]
PathOrShort = Annotated[PathFile, _short("below")]
Texts = Annotated[
    dict[str, TextOrShort],
    BeforeValidator(_names_alone, json_schema_input_type=dict[str, TextOrShort] | list[str]),
]
HeaderTexts = Annotated[
    dict[HeaderName, TextOrShort],
    BeforeValidator(_names_alone, json_schema_input_type=dict[str, TextOrShort] | list[str]),
]


class FromFile(Strict):
    """Who sends it."""

    labels: dict[str, str] = Field({}, description="Labels that the caller has; `app` is its name.")
    namespace: str = Field("", description="The namespace of the caller.")


def _from_one(value: Any) -> Any:
    return {"labels": {"app": value}} if isinstance(value, str) else value


class WhenFile(Strict):
    """A condition: everything said must hold."""

    path: PathOrShort | None = Field(None, description="The path, without the query.")
    method: Words = Field([], description="The method, or several.")
    headers: HeaderTexts = Field({}, description="Headers that the request has.")
    without_headers: HeaderTexts = Field({}, description="Headers that the request has not, or not like this.")
    query: Texts = Field({}, description="Parameters of the query.")
    authority: TextOrShort | None = Field(None, description="The Host that the program wrote.")
    scheme: TextOrShort | None = Field(None, description="http or https.")
    port: Port | None = Field(None, description="The port that the program wrote.")
    from_: Annotated[FromFile, BeforeValidator(_from_one, json_schema_input_type=str | FromFile)] = Field(
        FromFile(), alias="from", description="Who sends it: a service, or its labels and namespace."
    )
    server_name: Words = Field([], description="Of a TCP callee to whom the program itself speaks TLS: the name (SNI).")

    @model_validator(mode="after")
    def _is_right(self) -> WhenFile:
        if not self.model_fields_set:
            raise ValueError("an empty condition: leave `when` out")
        if wrong := [each for each in self.method if not re.fullmatch(r"[A-Z][A-Z-]*", each)]:
            raise ValueError(f"{wrong[0][:40]!r} is no method: they are in upper case")
        if wrong := [each for each in self.server_name if not _SERVER_NAME.fullmatch(each)]:
            raise ValueError(f"{wrong[0][:40]!r} is no host name in lower case, or *. before one")
        if both := contradictory(self.request()):
            raise ValueError(f"the header {both!r} must be there and must not: nothing fits this")
        return self

    @property
    def looks_into_requests(self) -> tuple[str, ...]:
        """The keys that only requests have."""
        connection = {"port", "from_", "server_name"}
        return tuple(sorted(self.model_fields_set - connection))

    def request(self) -> RequestMatch:
        return RequestMatch(
            path=self.path.text() if self.path else None,
            method=_method(self.method),
            scheme=self.scheme.text() if self.scheme else None,
            authority=self.authority.text() if self.authority else None,
            headers=_named(self.headers),
            without_headers=_named(self.without_headers),
            query=_named(self.query),
            port=self.port,
            source_labels=tuple(sorted(self.from_.labels.items())),
            source_namespace=self.from_.namespace,
        )

    def connection(self) -> ConnectionMatch:
        return ConnectionMatch(
            server_names=tuple(self.server_name),
            port=self.port,
            source_labels=tuple(sorted(self.from_.labels.items())),
            source_namespace=self.from_.namespace,
        )


def _method(methods: list[str]) -> Text | None:
    if len(methods) > 1:
        return Text(Compare.REGEX, "|".join(methods))
    return Text(Compare.EXACT, methods[0]) if methods else None


def _named(texts: dict[str, TextFile]) -> Named:
    return tuple((name, texts[name].text()) for name in sorted(texts))
