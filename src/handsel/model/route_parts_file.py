"""The parts of a rule of `routes:` in the mesh file: what is done with a request on its way."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from handsel.model.durations import Duration
from handsel.model.faults import Port, Strict, did_you_mean
from handsel.model.matching_file import HeaderName, Pattern, TextOrShort, Words
from handsel.model.routing import Cors, Fault, HeaderChange, Headers, Redirect, Response, Retry, Rewrite

LONGEST_BODY = 4096

# Envoy's words for when to try again: of HTTP, then of gRPC.
_HTTP_WORDS = (
    "5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited", "retriable-4xx",
    "refused-stream",
)  # fmt: skip
_GRPC_WORDS = ("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable")
# Where the callee has certainly not seen the request.
SAFE = ("connect-failure", "refused-stream", "reset-before-request")
# The codes of gRPC, by number.
GRPC_STATUS = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


def within(least: float, most: float) -> AfterValidator:
    """A number from `least` to `most`."""

    def check(value: float) -> float:
        if not least <= value <= most:
            raise ValueError(f"must be from {least} to {most}, not {value}")
        return value

    return AfterValidator(check)


def _between(shortest: timedelta) -> AfterValidator:
    def check(value: timedelta) -> timedelta:
        if not shortest <= value <= timedelta(days=1):
            raise ValueError(f"must be from {shortest.total_seconds() * 1000:g}ms to 1d")
        return value

    return AfterValidator(check)


SomeTime = Annotated[Duration, _between(timedelta(milliseconds=1))]
Limit = Annotated[Duration, _between(timedelta(0))]
Percent = Annotated[float, within(0.0001, 100)]
Status = Annotated[int, Field(strict=True), within(200, 599)]


class RetriesFile(Strict):
    """When a request is tried again; a number alone is how often, where the callee has certainly not seen it."""

    attempts: Annotated[int, Field(strict=True), within(0, 100)] = Field(2, description="How often, beside the first.")
    on: Words = Field(
        list(SAFE), description="Envoy's words for when (5xx, reset, unavailable, ...), and status codes."
    )
    per_try: SomeTime | None = Field(None, description="How long one attempt may take; as long as all when left out.")
    backoff: SomeTime | None = Field(None, description="The shortest pause before the next attempt.")
    other_hosts: bool = Field(True, description="Whether an attempt prefers an instance that was not asked before.")

    @model_validator(mode="after")
    def _knows_its_words(self) -> RetriesFile:
        for word in self.on:
            if word not in (*_HTTP_WORDS, *_GRPC_WORDS) and not re.fullmatch(r"[1-5]\d\d", word):
                hint = did_you_mean(word, (*_HTTP_WORDS, *_GRPC_WORDS), known_here=True)
                raise ValueError(f"nothing is tried again on {word[:40]!r}, {hint}")
        if not self.on and self.attempts:
            raise ValueError("`on` is empty: nothing would ever be tried again; `retries: 0` says that")
        return self

    def retry(self) -> Retry:
        if not self.attempts:
            return Retry(0, ())
        return Retry(self.attempts, tuple(self.on), self.per_try, self.backoff, self.other_hosts)


def _attempts(value: Any) -> Any:
    return {"attempts": value} if isinstance(value, int) and not isinstance(value, bool) else value


Retries = Annotated[RetriesFile, BeforeValidator(_attempts, json_schema_input_type=int | RetriesFile)]


def _value(text: Any) -> Any:
    """A header's value: as it is written, so that a percent sign is no word of Envoy's."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = str(text)
    if isinstance(text, str):
        if re.search(r"[\0-\x08\x0a-\x1f\x7f]", text):
            raise ValueError("a header's value is one line")
        return text.replace("%", "%%")
    return text


HeaderValue = Annotated[str, BeforeValidator(_value, json_schema_input_type=str)]
_PATH = re.compile(r"/[^?#\s]*")
_KEPT = ("host", "content-length", "transfer-encoding", "connection")


class HeaderChangeFile(Strict):
    """Headers that change. Values are taken as they are."""

    set: dict[HeaderName, HeaderValue] = Field({}, description="In place of what is there.")
    add: dict[HeaderName, HeaderValue] = Field({}, description="Beside what is there.")
    remove: list[HeaderName] = Field([], description="Taken out.")

    @model_validator(mode="after")
    def _leaves_the_frame(self) -> HeaderChangeFile:
        for name in (*self.set, *self.add, *self.remove):
            if name in _KEPT:
                hint = ": `rewrite: {authority: ...}` changes it" if name == "host" else ""
                raise ValueError(f"the header {name!r} is not changed like this{hint}")
        return self

    def change(self) -> HeaderChange:
        return HeaderChange(tuple(sorted(self.set.items())), tuple(sorted(self.add.items())), tuple(self.remove))


class HeadersFile(Strict):
    """What becomes of headers."""

    request: HeaderChangeFile = Field(HeaderChangeFile(), description="Of the request, on its way to the callee.")
    response: HeaderChangeFile = Field(HeaderChangeFile(), description="Of the response, on its way back.")

    def headers(self) -> Headers:
        return Headers(self.request.change(), self.response.change())


class SubstitutionFile(Strict):
    """A pattern, and what takes the place of what fits it."""

    pattern: Pattern = Field(description="What is replaced (RE2).")
    substitution: str = Field(description=r"By what; \1 is the first group.")

    @model_validator(mode="after")
    def _has_these_groups(self) -> SubstitutionFile:
        groups = re.compile(self.pattern).groups if "\\p" not in self.pattern else 9
        if wrong := [each for each in re.findall(r"\\(.)", self.substitution) if each != "\\" and not each.isdigit()]:
            raise ValueError(rf"after \ stands the number of a group, or \ itself, not {wrong[0]!r}")
        if missing := [each for each in re.findall(r"\\(\d)", self.substitution) if int(each) > groups]:
            raise ValueError(f"the pattern has no group {missing[0]}")
        return self


class RewriteFile(Strict):
    """What the callee sees in place of what the program wrote."""

    path: str | None = Field(None, description="In place of the path that `when` names; what is below it stays.")
    regex: SubstitutionFile | None = Field(None, description="A part of the path.")
    authority: str | None = Field(None, min_length=1, description="The Host.")

    @model_validator(mode="after")
    def _is_one(self) -> RewriteFile:
        if self.path is not None and self.regex is not None:
            raise ValueError("say either path or regex")
        if self.path is not None and not _PATH.fullmatch(self.path):
            raise ValueError("a path starts with / and has neither ? nor #")
        if not self.model_fields_set:
            raise ValueError("say path, regex or authority")
        return self

    def rewrite(self) -> Rewrite:
        pattern, substitution = (self.regex.pattern, self.regex.substitution) if self.regex else ("", "")
        return Rewrite(self.path or "", self.authority or "", pattern, substitution)


class RedirectFile(Strict):
    """An answer with a new place. What is left out stays as it is."""

    path: str | None = Field(None, description="The whole path.")
    prefix: str | None = Field(None, description="In place of the path that `when` names.")
    authority: str | None = Field(None, min_length=1, description="The host.")
    scheme: Literal["http", "https"] | None = Field(None, description="http or https.")
    port: Port | None = Field(None, description="The port.")
    code: Literal[301, 302, 303, 307, 308] = Field(301, description="The status.")

    @model_validator(mode="after")
    def _leads_elsewhere(self) -> RedirectFile:
        if self.path is not None and self.prefix is not None:
            raise ValueError("say either path or prefix")
        if any(each is not None and not _PATH.fullmatch(each) for each in (self.path, self.prefix)):
            raise ValueError("a path starts with / and has neither ? nor #")
        if not self.model_fields_set - {"code"}:
            raise ValueError("say at least one of path, prefix, authority, scheme and port: this leads back to itself")
        return self

    def redirect(self) -> Redirect:
        path = self.path or self.prefix or ""
        scheme, port = self.scheme or "", self.port or 0
        return Redirect(path, self.authority or "", scheme, port, self.code, self.prefix is not None)


class ResponseFile(Strict):
    """An answer without asking anybody."""

    status: Status = Field(description="The status.")
    body: str = Field("", max_length=LONGEST_BODY, description="The body, as text.")

    def response(self) -> Response:
        return Response(self.status, self.body)


class DelayFile(Strict):
    """Requests that wait."""

    for_: SomeTime = Field(alias="for", description="How long.")
    percent: Percent = Field(100.0, description="How many.")


class AbortFile(Strict):
    """Requests that fail."""

    status: Status | None = Field(None, description="With this status of HTTP,")
    grpc: str | None = Field(None, description="or with this one of gRPC, such as UNAVAILABLE.")
    percent: Percent = Field(100.0, description="How many.")

    @model_validator(mode="after")
    def _is_one(self) -> AbortFile:
        if (self.status is None) == (self.grpc is None):
            raise ValueError("say either status or grpc")
        if self.grpc is not None and self.grpc not in GRPC_STATUS[1:]:
            hint = did_you_mean(self.grpc, GRPC_STATUS[1:], known_here=True)
            raise ValueError(f"gRPC has no such error, {hint}")
        return self


class FaultFile(Strict):
    """Faults on purpose."""

    delay: DelayFile | None = Field(None, description="Requests that wait.")
    abort: AbortFile | None = Field(None, description="Requests that fail.")

    def fault(self) -> Fault:
        delay, abort = self.delay, self.abort
        return Fault(
            delay.for_ if delay else None,
            delay.percent if delay else 0.0,
            (abort.status or 0) if abort else 0,
            (abort.grpc or "") if abort else "",
            abort.percent if abort else 0.0,
        )


class CorsFile(Strict):
    """Cross-origin requests (the Fetch standard, CORS protocol)."""

    origins: list[TextOrShort] = Field(description="Who may ask, such as https://shop.example.com.")
    methods: list[str] = Field([], description="What may be asked.")
    headers: list[str] = Field([], description="Headers that may be sent.")
    expose: list[str] = Field([], description="Headers of the answer that may be read.")
    max_age: Limit | None = Field(None, description="How long the answer to a preflight holds.")
    credentials: bool | None = Field(None, description="Whether cookies and such may go along.")
    forward_unmatched: bool = Field(True, description="Whether the callee sees a preflight of whom `origins` lacks.")

    @model_validator(mode="after")
    def _names_origins(self) -> CorsFile:
        if not self.origins or any(each.present for each in self.origins):
            raise ValueError("say which origins; all of them are {regex: .*}")
        return self

    def cors(self) -> Cors:
        return Cors(
            tuple(each.text() for each in self.origins), tuple(self.methods), tuple(self.headers), tuple(self.expose),
            self.max_age, self.credentials, self.forward_unmatched,
        )  # fmt: skip
