"""What is looked at after a handshake: the peer's names, and whether its certificate was taken back."""

from __future__ import annotations

import itertools
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography import x509

from handsel.errors import ContextRefused, HandselError
from handsel.model.context import Failure, Revocation
from handsel.pki.certificate import Certificate
from handsel.tls import revocation
from handsel.tls.adapters.engine import Look, Peer, refused
from handsel.tls.revocation import Standing, Verdict

_MOST_BYTES = 32 << 20
_KEPT = timedelta(minutes=5)
_AGAIN = timedelta(seconds=10)
"""An answer that could not be had is not asked for again at once: the peer's connections wait for each."""
_MOST_ANSWERS = 10_000


def peers(wanted: tuple[str, ...]) -> Look:
    """The peer must have one of these names: SPIFFE IDs or DNS names, as they are written in its certificate."""
    names = frozenset(wanted)

    def look(peer: Peer, _now: datetime) -> None:
        leaf = peer.leaf
        if names.isdisjoint([*leaf.uri_names, *(each.lower() for each in leaf.dns_names)]):
            shown = ", ".join([*leaf.uri_names, *leaf.dns_names]) or "no name"
            raise refused(f"the peer is {shown[:200]}, and not one of those that are expected")

    return look


class RevocationLook:
    """Asks lists and responders, and keeps what they answered. It may wait for one, as long as the declared timeout."""

    def __init__(self, wanted: Revocation, read_file: Callable[[str], bytes]) -> None:
        self._wanted = wanted
        self._read_file = read_file
        self._lists: dict[str, tuple[x509.CertificateRevocationList | None, datetime]] = {}
        self._answers: dict[bytes, tuple[Verdict, datetime]] = {}
        self._lock = threading.Lock()

    def __call__(self, peer: Peer, now: datetime) -> None:
        """Raises `ssl.SSLCertVerificationError` for a certificate that was taken back, or of which nothing is known."""
        pairs = list(itertools.pairwise(peer.chain))
        for certificate, issuer in pairs if self._wanted.whole_chain else pairs[:1]:
            verdict = self._verdict(certificate, issuer, now)
            if verdict.standing is Standing.REVOKED:
                raise refused(f"certificate revoked: {verdict.why}")
            if verdict.standing is Standing.UNKNOWN:
                what = f"nothing is known of the certificate {certificate.serial}: {verdict.why}"
                if self._wanted.failure is Failure.HARD:
                    raise refused(what)
                warnings.warn(f"{what}; it is let through (failure: soft)", RuntimeWarning, stacklevel=2)

    def _verdict(self, certificate: Certificate, issuer: Certificate, now: datetime) -> Verdict:
        with self._lock:
            kept = self._answers.get(certificate.der)
        if kept is not None and now < kept[1]:
            return kept[0]
        verdict = self._ask(certificate, issuer, now)
        until = now + (_AGAIN if verdict.standing is Standing.UNKNOWN else _KEPT)
        with self._lock:
            if len(self._answers) >= _MOST_ANSWERS:
                self._answers.clear()
            self._answers[certificate.der] = verdict, min(until, verdict.until or until)
        return verdict

    def _ask(self, certificate: Certificate, issuer: Certificate, now: datetime) -> Verdict:
        """The lists first: they are here already. One that knows nothing leaves it to the next."""
        verdict = Verdict(Standing.UNKNOWN, "there is nobody to ask")
        if self._wanted.crl:
            found = [each for place in self._wanted.crl if (each := self._list(place, now)) is not None]
            verdict = revocation.by_lists(certificate, issuer, found, now)
        if verdict.standing is Standing.UNKNOWN and self._wanted.ocsp:
            verdict = self._ask_responder(certificate, issuer, now)
        return verdict

    def _list(self, place: str, now: datetime) -> x509.CertificateRevocationList | None:
        with self._lock:
            kept = self._lists.get(place)
        if kept is not None and now < kept[1]:
            return kept[0]
        found: x509.CertificateRevocationList | None = None
        try:
            content = self._fetch(place) if "://" in place else self._read_file(place)
            found = revocation.read_list(content)
        except (OSError, ValueError, HandselError) as error:
            warnings.warn(f"the revocation list {place} cannot be had: {error}", RuntimeWarning, stacklevel=2)
            found = kept[0] if kept is not None else None
        ends = found.next_update_utc if found is not None else None
        again = now + (_AGAIN if found is None else _KEPT)
        with self._lock:
            self._lists[place] = found, min(again, ends) if ends is not None and ends > now else now + _AGAIN
        return found

    def _ask_responder(self, certificate: Certificate, issuer: Certificate, now: datetime) -> Verdict:
        url = self._wanted.responder or revocation.responder_of(certificate)
        if url is None or not url.startswith(("http://", "https://")):
            return Verdict(Standing.UNKNOWN, "it names no responder")
        try:
            answer = self._fetch(url, revocation.request(certificate, issuer))
        except (OSError, ValueError) as error:
            return Verdict(Standing.UNKNOWN, f"{url} does not answer: {error}")
        return revocation.by_responder(answer, certificate, issuer, now)

    def _fetch(self, url: str, body: bytes | None = None) -> bytes:
        """Raises `OSError`, `ValueError`."""
        request = urllib.request.Request(  # noqa: S310  # http and https only, see `model.context_file`
            url, body, {"Content-Type": "application/ocsp-request"} if body is not None else {}
        )
        opener = _opener()
        with opener.open(request, timeout=self._wanted.timeout.total_seconds()) as response:
            content: bytes = response.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError("the answer is too large")
        return content


def _opener() -> urllib.request.OpenerDirector:
    """Plain requests: no proxy of the machine's, no redirects, no other schemes."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(), urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):  # fmt: skip
        opener.add_handler(handler)
    return opener


def check_lists(wanted: Revocation, read_file: Callable[[str], bytes]) -> None:
    """Whether the lists that are files can be read. Raises `ContextRefused`."""
    for place in wanted.crl:
        if "://" not in place:
            try:
                revocation.read_list(read_file(place))
            except ValueError as error:
                raise ContextRefused(f"{place} is no revocation list: {str(error).splitlines()[0]}") from error
