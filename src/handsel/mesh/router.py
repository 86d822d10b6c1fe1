"""The reference router: which rule takes a described request, and why the others do not.

Pure, and the same as what the proxies do, which the tests hold it to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from handsel.model.conditions import Rule, fits, show
from handsel.model.routing import MESH_GATEWAY, Compare, Named, RequestMatch


@dataclass(frozen=True)
class Request:
    """A request as a program sends it, and who sends it.

    `path` is with its query. Names of `headers` are in lower case; several values of one are joined by commas. `port`:
    the one that the program wrote. `gateway`: through which it comes, `mesh` for sidecars.
    """

    path: str = "/"
    method: str = "GET"
    authority: str = ""
    scheme: str = "http"
    headers: Mapping[str, str] = field(default_factory=dict)
    port: int = 80
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = "default"
    gateway: str = MESH_GATEWAY

    @property
    def bare_path(self) -> str:
        return self.path.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The parameters as they are written, of each name the first."""
        found: dict[str, str] = {}
        for each in self.path.partition("?")[2].split("&"):
            name, _, value = each.partition("=")
            found.setdefault(name, value)
        return found


@dataclass(frozen=True)
class Verdict:
    """What becomes of a request: the index of the rule that takes it (None: 404), and of which of its conditions.

    `refused`: why each rule before it does not, a line for each of its conditions.
    """

    rule: int | None
    match: int | None
    refused: tuple[tuple[str, ...], ...]


def route(rules: Sequence[Rule], request: Request) -> Verdict:
    """The first rule that fits takes the request."""
    refused: list[tuple[str, ...]] = []
    for index, rule in enumerate(rules):
        if not rule.matches:
            return Verdict(index, None, tuple(refused))
        reasons = [next(_reasons(match, request), "") for match in rule.matches]
        if "" in reasons:
            return Verdict(index, reasons.index(""), tuple(refused))
        refused.append(tuple(reasons))
    return Verdict(None, None, tuple(refused))


def _reasons(match: RequestMatch, request: Request) -> Iterator[str]:
    """Why a condition does not hold; nothing when it does."""
    pseudo = (
        ("the path", match.path, request.bare_path), ("the method", match.method, request.method),
        ("the scheme", match.scheme, request.scheme), ("the authority", match.authority, request.authority),
    )  # fmt: skip
    for what, text, value in pseudo:
        if text is not None and not fits(text, value):
            yield f"{what} is {value!r}, not {show(text)}"
    yield from _named_reasons("header", match.headers, request.headers)
    yield from _named_reasons("parameter", match.query, request.query)
    for name, text in match.without_headers:
        # A header that is missing compares as an empty one.
        if fits(text, request.headers.get(name, "")) and (
            name in request.headers or text.compare is not Compare.PRESENT
        ):
            yield f"the header {name} is {show(text)}"
    yield from _sender_reasons(match, request)


def _sender_reasons(match: RequestMatch, request: Request) -> Iterator[str]:
    if match.port not in (None, request.port):
        yield f"the port is {request.port}, not {match.port}"
    for key, value in match.source_labels:
        if request.labels.get(key) != value:
            yield f"the caller has not the label {key}: {value}"
    if match.source_namespace not in ("", request.namespace):
        yield f"the caller is of the namespace {request.namespace!r}, not {match.source_namespace!r}"
    if match.gateways and request.gateway not in match.gateways:
        yield f"it comes through {request.gateway!r}"


def _named_reasons(kind: str, wanted: Named, there: Mapping[str, str]) -> Iterator[str]:
    for name, text in wanted:
        if name not in there:
            yield f"there is no {kind} {name}"
        elif not fits(text, there[name]):
            yield f"the {kind} {name} is {there[name]!r}, not {show(text)}"
