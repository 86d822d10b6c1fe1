"""OCSP over HTTP (RFC 6960, appendix A; RFC 9919): POST and GET, answers kept until they change or grow old."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from handsel.authority.adapters.issuing import now
from handsel.authority.adapters.status_tables import StatusTables
from handsel.authority.status_places import OCSP_PATH
from handsel.authority.va.answers import Answer, Signers, answer, serials_of, signer_of
from handsel.authority.va.status import StatusIndex
from handsel.door.asgi import Handler, Request, Response
from handsel.errors import HandselError
from handsel.pki.ocsp import Problem, Query, parse, problem

RESPONSE = "application/ocsp-response"
_LONGEST_REQUEST = 1 << 14
_MOST_KEPT = 20_000
_HTTP_SECONDS = 60
"""For so long others may keep the answer of a GET: a revocation is seen at once by whoever asks here."""


@dataclass(frozen=True)
class _Kept:
    answer: Answer
    etag: str
    until: datetime


class OcspDoor:
    """Handlers for those who ask how a certificate stands."""

    def __init__(
        self, index: StatusIndex, tables: StatusTables, signers: Callable[[], Signers],
        clock: Callable[[], datetime] = now,
    ) -> None:  # fmt: skip
        self._index = index
        self._tables = tables
        self._signers = signers
        self._clock = clock
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._requests: dict[tuple[str, int], set[bytes]] = {}
        self._signers_then = signers()

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {
            ("POST", OCSP_PATH.rstrip("/")): self.post,
            ("POST", OCSP_PATH): self.post,
            ("GET", OCSP_PATH): self.get,
        }

    def forget(self, changed: Iterable[tuple[str, int]]) -> None:
        """These certificates, by CA and serial number, stand otherwise now: what was kept about them is wrong."""
        for serial in changed:
            for body in self._requests.pop(serial, ()):
                self._drop(body)

    async def post(self, request: Request) -> Response:
        kept, der = await self._answer(request.body)
        return Response(200, kept.answer.der if kept else der, RESPONSE)

    async def get(self, request: Request) -> Response:
        """A request in the path (appendix A.1). Its base64 never begins with a slash, so extra ones do no harm."""
        text = request.path.removeprefix(OCSP_PATH).lstrip("/").replace(" ", "+")
        try:
            body = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except ValueError:
            return Response(200, problem(Problem.MALFORMED_REQUEST), RESPONSE)
        kept, der = await self._answer(body)
        if kept is None or kept.answer.fresh_only:
            return Response(200, kept.answer.der if kept else der, RESPONSE, (("cache-control", "no-store"),))
        return _cacheable(kept, self._clock(), request.headers.get("if-none-match"))

    async def _answer(self, body: bytes) -> tuple[_Kept | None, bytes]:
        """The answer, or the response that says why there is none."""
        moment, signers = self._clock(), self._signers()
        if signers is not self._signers_then:
            self._signers_then = signers
            self._kept.clear()
            self._requests.clear()
        kept = self._kept.get(body)
        if kept is not None and kept.answer.this_update <= moment < kept.until:
            self._kept.move_to_end(body)
            return kept, b""
        if len(body) > _LONGEST_REQUEST:
            return None, problem(Problem.MALFORMED_REQUEST)
        try:
            query = parse(body)
        except ValueError:
            return None, problem(Problem.MALFORMED_REQUEST)
        try:
            made = await self._make(query, signers, moment)
        except HandselError:  # the database cannot be asked at the moment
            return None, problem(Problem.TRY_LATER)
        return (None, problem(made)) if isinstance(made, Problem) else (self._keep(body, made), b"")

    async def _make(self, query: Query, signers: Signers, moment: datetime) -> Answer | Problem:
        signer = signer_of(query, signers, moment)
        if isinstance(signer, Problem):
            return signer
        name = signer.issuer.name
        serials = frozenset(serials_of(query, signer, signers))
        unsure = [each for each in serials if self._index.find(name, each) is None]
        issued = await self._tables.issued(name, unsure) if unsure else frozenset()
        # From here on nothing is awaited: what the index says now is what is signed and kept.
        return answer(query, signer, signers, self._index, issued | (serials - frozenset(unsure)), now=moment)

    def _keep(self, body: bytes, made: Answer) -> _Kept:
        half = made.this_update + (made.next_update - made.this_update) / 2
        kept = _Kept(made, f'"{hashlib.sha256(made.der).hexdigest()[:32]}"', half)
        if made.fresh_only:
            return kept
        self._kept[body] = kept
        for serial in made.serials:
            self._requests.setdefault(serial, set()).add(body)
        if len(self._kept) > _MOST_KEPT:
            self._drop(next(iter(self._kept)))
        return kept

    def _drop(self, body: bytes) -> None:
        kept = self._kept.pop(body, None)
        for serial in kept.answer.serials if kept else ():
            bodies = self._requests.get(serial, set())
            bodies.discard(body)
            if not bodies:
                self._requests.pop(serial, None)


def _cacheable(kept: _Kept, moment: datetime, known: str | None) -> Response:
    """With what caches need (RFC 9919, section 6): nothing is kept beyond the answer's own end."""
    seconds = max(0, min(_HTTP_SECONDS, int((kept.answer.next_update - moment).total_seconds())))
    headers = (
        ("date", http_date(int(moment.timestamp()))),
        ("last-modified", http_date(int(kept.answer.this_update.timestamp()))),
        ("expires", http_date(int((moment + timedelta(seconds=seconds)).timestamp()))),
        ("cache-control", f"max-age={seconds}, public, no-transform, must-revalidate"),
        ("etag", kept.etag),
    )
    if known is not None and kept.etag in known:
        return Response(304, b"", RESPONSE, headers)
    return Response(200, kept.answer.der, RESPONSE, headers)


@functools.lru_cache(maxsize=256)
def http_date(seconds: int) -> str:
    """A time as HTTP headers write it (RFC 9110, section 5.6.7)."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)
