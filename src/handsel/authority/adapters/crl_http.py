"""CRLs and the certificates of the CAs over plain HTTP (RFC 5280, 4.2.1.13 and 4.2.2.1; RFC 2585), and as files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from handsel.authority.adapters.issuing import now
from handsel.authority.adapters.ocsp_http import http_date
from handsel.authority.status_places import CA_PATH, CRL_PATH
from handsel.authority.va.lists import MESH, CrlMade
from handsel.door.asgi import Handler, Request, Response
from handsel.pki.certificate import Certificate
from handsel.store.adapters.files import make_folder, write_file

CRL_TYPE, CERTIFICATE_TYPE = "application/pkix-crl", "application/pkix-cert"
_LONGEST_SECONDS = 3600


@dataclass
class CrlShelf:
    """The newest lists, in memory and as files for any other web server: `<folder>/<CA>/<name>.crl`.

    They stay what they are while the database is down.
    """

    folder: Path
    by_name: dict[tuple[str, str], CrlMade] = field(default_factory=dict)

    def put(self, made: CrlMade) -> bool:
        """Show a list that is durable, unless a newer one is shown."""
        shown = self.by_name.get((made.issuer, made.name))
        if shown is not None and shown.number >= made.number:
            return False
        self.by_name[made.issuer, made.name] = made
        return True

    def write(self, lists: Iterable[CrlMade]) -> None:
        """The files of lists. Raises `OSError`, or `StateError`."""
        make_folder(self.folder)
        for made in lists:
            place = self.folder / made.issuer
            make_folder(place)
            write_file(place / f"{made.name}.crl", made.der)


class CrlDoor:
    """Handlers for those who fetch lists and CA certificates."""

    def __init__(
        self, shelf: CrlShelf, certificates: Callable[[], dict[str, Certificate]],
        clock: Callable[[], datetime] = now,
    ) -> None:  # fmt: skip
        self._shelf = shelf
        self._certificates = certificates
        self._clock = clock
        self._acts: dict[str, Handler] = {CRL_PATH: self.crl, CA_PATH: self.certificate}

    def routes(self) -> dict[tuple[str, str], Handler]:
        # The server leaves the body out of an answer to HEAD.
        return {(method, path): act for method in ("GET", "HEAD") for path, act in self._acts.items()}

    async def crl(self, request: Request) -> Response:
        issuer, _, name = request.path.removeprefix(CRL_PATH).partition("/")
        found = self._shelf.by_name.get((issuer, name.removesuffix(".crl")))
        if found is None or not name.endswith(".crl") or found.name == MESH:
            return Response(404, b"there is no such list\n")
        moment = self._clock()
        # Another one is made at half of its life: whoever asks again then gets it.
        half = found.this_update + (found.next_update - found.this_update) / 2
        seconds = max(0, min(_LONGEST_SECONDS, int((half - moment).total_seconds())))
        headers = (
            ("date", http_date(int(moment.timestamp()))),
            ("last-modified", http_date(int(found.this_update.timestamp()))),
            ("expires", http_date(int(moment.timestamp()) + seconds)),
            ("cache-control", f"max-age={seconds}, public, no-transform"),
            ("etag", f'"{found.number}-{hashlib.sha256(found.der[-64:]).hexdigest()[:16]}"'),
        )
        known = request.headers.get("if-none-match")
        if known is not None and headers[-1][1] in known:
            return Response(304, b"", CRL_TYPE, headers)
        return Response(200, found.der, CRL_TYPE, headers)

    async def certificate(self, request: Request) -> Response:
        name = request.path.removeprefix(CA_PATH)
        found = self._certificates().get(name.removesuffix(".crt"))
        if found is None or not name.endswith(".crt"):
            return Response(404, b"there is no such CA\n")
        return Response(200, found.der, CERTIFICATE_TYPE, (("cache-control", f"max-age={_LONGEST_SECONDS}"),))
