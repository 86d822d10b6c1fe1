"""The door of our bundle: `https_web` and `https_spiffe` alike (SPIFFE Federation, section 5.2), asked by anybody.

The door shows the server's X.509-SVID, which is all that `https_spiffe` asks for. For `https_web` its certificate must
be believed by the other side: it names this host, and is of our own CA unless another server stands in front.
"""

from __future__ import annotations

from collections.abc import Callable

from handsel.authority.federation import BundleKept
from handsel.authority.spiffe_bundle import MEDIA_TYPE
from handsel.door.asgi import Request, Response, Routes
from handsel.errors import StateError

PATH = "/spiffe/bundle"


def routes(own: Callable[[], BundleKept | None]) -> Routes:
    """Our bundle at `PATH`."""

    async def bundle(_request: Request) -> Response:
        kept = own()
        if kept is None:
            raise StateError("the bundle is not made yet", next_step="ask again")
        return Response(200, kept.body, MEDIA_TYPE)

    return {("GET", PATH): bundle}
