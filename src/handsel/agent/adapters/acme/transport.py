"""HTTPS to an ACME CA: its own roots only, no proxies, bounded in size and time."""

from __future__ import annotations

import contextlib
import ssl
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter

_LARGEST_ANSWER = 1 << 20
_LONGEST_SECONDS = 30.0
_PIECE = 1 << 14


def tls_context(roots_pem: str) -> ssl.SSLContext:
    """Whom to believe: these roots, or the operating system's when there are none. Raises `ssl.SSLError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if roots_pem:
        context.load_verify_locations(cadata=roots_pem)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


class Transport(HTTPAdapter):
    """What `requests` sends through. `retry_after`: what the CA said in its last refusal."""

    def __init__(self, context: ssl.SSLContext, server_name: str = "") -> None:
        """`server_name`: what its certificate must carry, where that is not the host of the address."""
        self._context = context
        self._server_name = server_name
        self.retry_after: timedelta | None = None
        super().__init__(max_retries=0)

    def cert_verify(self, *_arguments: Any, **_named: Any) -> None:
        """Nothing: what `requests` would do adds a bundle of its own to the roots."""

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Every connection is made by our context."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        named = {"server_hostname": self._server_name} if self._server_name else {}
        return host, {"ssl_context": self._context, **named}

    def send(self, request: requests.PreparedRequest, *arguments: Any, **named: Any) -> requests.Response:
        """The whole answer. Raises `requests.RequestException`, also for one that is too large or too slow."""
        response = super().send(request, *arguments, **{**named, "stream": True})
        deadline, content = time.monotonic() + _LONGEST_SECONDS, b""
        try:
            while piece := response.raw.read1(_PIECE, decode_content=True):
                content += piece
                if len(content) > _LARGEST_ANSWER:
                    raise requests.ConnectionError(f"its answer has more than {_LARGEST_ANSWER} bytes")
                if time.monotonic() > deadline:
                    raise requests.Timeout(f"its answer takes more than {_LONGEST_SECONDS:.0f} s")
        except BaseException:
            response.close()
            raise
        response.raw.release_conn()
        response._content = content  # noqa: SLF001  # as `requests` itself keeps what it has read
        if not response.ok:
            self.retry_after = retry_after(response)
        return response


def retry_after(response: requests.Response) -> timedelta | None:
    """What an answer says about asking again (RFC 9110, section 10.2.3); None when it says nothing that is read."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isdecimal() and len(said) < 10:
        return timedelta(seconds=int(said))
    with contextlib.suppress(ValueError, TypeError):
        return max(timedelta(), parsedate_to_datetime(said) - datetime.now(UTC))
    return None
