"""What a verdict says of this very call, and what to do about it; the catalogue says it in general.

Certificates are of two kinds here: ours (what the caller's side shows) and theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from handsel.diagnose import catalogue
from handsel.diagnose.call import Call, Seen
from handsel.diagnose.catalogue import Entry
from handsel.pki.certificate import Certificate
from handsel.pki.inspect import in_words

Sentence = Callable[[Call, Seen, datetime], str]

_OURS = "handsel cert inspect {own}"
_NO_COMMAND = ""


def what(code: str, call: Call, seen: Seen, now: datetime, *, ours: bool) -> str:
    """The cause in a sentence of this call; empty where only the catalogue's will do."""
    sentence = _SENTENCES.get((code, ours)) or (_SENTENCES.get((code, not ours)) if code in _EITHER else None)
    return sentence(call, seen, now) if sentence else ""


def check(entry: Entry, call: Call, *, ours: bool) -> str:
    """The command that shows more; none where it would be the one that led here."""
    template = _CHECKS.get((entry.code, ours), entry.check) if call.external else entry.check
    command = _filled(template, entry, call)
    return "" if command == f"handsel explain {call.caller} {call.callee}" else command


def fix(entry: Entry, call: Call, *, ours: bool) -> str:
    """The next step. For an external it is the mesh file that can say it, or whoever runs the other side."""
    if entry.code == "HS-E007":
        return f"If it should be allowed, add {call.callee} to the calls of {call.caller} ({call.declared_at})."
    template = _FIXES.get((entry.code, ours), entry.fix) if call.external else entry.fix
    return _filled(template, entry, call)


def time_of(moment: datetime) -> str:
    """A moment for people."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def ended(certificate: Certificate, now: datetime) -> str:
    """When it ended, and how long ago that was."""
    return f"ended at {time_of(certificate.not_after)}, {in_words(now - certificate.not_after)} ago"


def _their_certificate_ended(call: Call, seen: Seen, now: datetime) -> str:
    leaf = _shown(seen)
    return f"the certificate of {call.callee} " + (ended(leaf, now) if leaf else "has ended")


def _our_certificate_ended(call: Call, seen: Seen, now: datetime) -> str:
    own = seen.own_certificate
    return f"our client certificate for {call.callee} " + (ended(own, now) if own else "has ended")


def _their_certificate_begins(call: Call, seen: Seen, _now: datetime) -> str:
    leaf = _shown(seen)
    begins = f"is valid from {time_of(leaf.not_before)}" if leaf else "is not valid yet"
    return f"the certificate of {call.callee} {begins}, by the clock of this host"


def _their_ca_unknown(call: Call, seen: Seen, _now: datetime) -> str:
    leaf = _shown(seen)
    by = f"was signed by {leaf.issuer!r}" if leaf else "is of another CA"
    roots = (call.external.ca_certificates or "the operating system's roots") if call.external else "the mesh's roots"
    return f"the certificate of {call.callee} {by}, which is not in {roots}"


def _our_ca_unknown(call: Call, seen: Seen, _now: datetime) -> str:
    by = f" (signed by {seen.own_certificate.issuer!r})" if seen.own_certificate else ""
    return f"{call.callee} does not trust the CA of our client certificate{by}"


def _plaintext(call: Call, _seen: Seen, _now: datetime) -> str:
    return f"{call.callee} answers in plain text at {call.address}, and the mesh file says tls: {{mode: {call.tls}}}"


def _names_differ(call: Call, seen: Seen, _now: datetime) -> str:
    leaf = _shown(seen)
    names = [*leaf.dns_names, *leaf.uri_names, *leaf.ip_names] if leaf else []
    shown = f"carries {', '.join(names[:4]) or 'no name'}" if leaf else "carries another name"
    expected = ", ".join(call.external.server_names) if call.external else call.callee_identity
    return f"the certificate of {call.callee} {shown}, and {expected} is expected"


def _demanded(call: Call, _seen: Seen, _now: datetime) -> str:
    return f"{call.callee} demands a client certificate, and the mesh file says tls: {{mode: {call.tls}}}"


def _speaks_tls(call: Call, _seen: Seen, _now: datetime) -> str:
    return f"{call.callee} speaks TLS at {call.address}, and the mesh file says tls: {{mode: disable}}"


def _denied_by_running_mesh(call: Call, _seen: Seen, _now: datetime) -> str:
    return f"the running sidecar of {call.callee} does not let {call.caller} in, though the mesh file does"


def _nothing_listens(call: Call, seen: Seen, _now: datetime) -> str:
    if call.external:
        return f"nothing listens at {call.address}, where {call.callee} should be"
    if any("UH" in str(line.get("flags")) for line in seen.outbound):
        return f"no host runs {call.callee}"
    return f"nothing listens at the mesh port of {call.callee}: its sidecar does not run"


def _no_version(call: Call, _seen: Seen, _now: datetime) -> str:
    versions = "TLS 1.2 and 1.3" if call.external else "TLS 1.3"
    return f"{call.callee} speaks none of the versions that the sidecar speaks ({versions})"


def _no_address(call: Call, _seen: Seen, _now: datetime) -> str:
    return f"DNS has no address for {call.external.host if call.external else call.callee}"


_EITHER = ("HS-E008", "HS-E009")
"""Codes whose sentence is the same whoever found the fault."""

_SENTENCES: dict[tuple[str, bool], Sentence] = {
    ("HS-E001", False): _their_certificate_ended,
    ("HS-E001", True): _our_certificate_ended,
    ("HS-E002", False): _their_ca_unknown,
    ("HS-E002", True): _our_ca_unknown,
    ("HS-E003", False): _plaintext,
    ("HS-E004", False): _names_differ,
    ("HS-E005", True): _demanded,
    ("HS-E006", False): _speaks_tls,
    ("HS-E007", True): _denied_by_running_mesh,
    ("HS-E008", False): _nothing_listens,
    ("HS-E009", True): _no_version,
    ("HS-E013", False): _their_certificate_begins,
    ("HS-E016", False): _no_address,
}
"""By code and by whether our own certificate is meant."""

_FIXES: dict[tuple[str, bool], str] = {
    ("HS-E001", False): "Whoever runs {callee} has to renew its certificate.",
    ("HS-E001", True): "Get a new certificate for {callee}, and put it in place of {own}.",
    ("HS-E002", False): "Give external {callee} ({at}) the right roots: tls: {{ca_certificates: FILE}}",
    ("HS-E002", True): "Give external {callee} ({at}) a client certificate of a CA that it trusts, not {own}.",
    ("HS-E003", False): "If it should be plain text, say so at external {callee} ({at}): tls: {{mode: disable}}",
    (
        "HS-E004",
        False,
    ): "If it is the right server, tell its name at external {callee} ({at}): tls: {{server_name: NAME}}",
    (
        "HS-E005",
        True,
    ): "At external {callee} ({at}): tls: {{mode: mutual, client_certificate: FILE, private_key: FILE}}",
    ("HS-E006", False): "At external {callee} ({at}): tls: {{mode: simple}}, or mutual",
    ("HS-E008", False): "Start the server of {callee}, or correct host, port or endpoints of the external ({at}).",
    ("HS-E009", True): "Let {callee} speak TLS 1.2 or newer.",
    ("HS-E016", False): "Correct host of external {callee} ({at}), or give its address: endpoints: [IP:PORT]",
    (
        "HS-E018",
        False,
    ): "Whoever runs {callee} needs another certificate: usage serverAuth, P-256 or RSA 2048, SHA-256.",
}
"""Next steps for externals, by the same."""

_CHECKS: dict[tuple[str, bool], str] = {
    ("HS-E001", True): _OURS,
    ("HS-E002", True): _OURS,
    ("HS-E008", False): _NO_COMMAND,
}
"""Commands for externals, where they are not those of the catalogue."""


def _filled(text: str, entry: Entry, call: Call) -> str:
    known = {"caller": call.caller, "callee": call.callee, "name": call.callee}
    if call.address:
        known["address"] = call.address
    if call.external is not None:
        # What is not found is the name in DNS; what a certificate is asked for is the name in SNI.
        known["name"] = call.external.host if entry.code == "HS-E016" else call.external.server_name
        known |= {"at": str(call.external.origin), "own": call.external.client_certificate}
    return catalogue.filled(text, **known)


def _shown(seen: Seen) -> Certificate | None:
    """The certificate that the other side showed."""
    return seen.handshake.leaf if seen.handshake else None
