"""What each alert of TLS means (RFC 8446, section 6.2), for whoever gets it."""

from __future__ import annotations

from handsel.diagnose.catalogue import ALERTS

CLOSE_NOTIFY = 0

_MEANINGS = {
    0: "goodbye: nothing more comes",
    10: "a message came that has no place here",
    20: "a record did not decrypt: changed on the way, or the keys differ",
    22: "a record was too long",
    40: "nothing that both can speak was found, or, before TLS 1.3, a certificate is missing",
    42: "the certificate is broken, or its signature does not hold",
    43: "a certificate of this kind is not taken",
    44: "the certificate was revoked",
    45: "the certificate has expired, or has not begun",
    46: "the certificate is not accepted, for a reason that is not said",
    47: "a field says something impossible",
    48: "the authority that signed the certificate is not known there",
    49: "the certificate is good, and whom it names may not come in",
    50: "a message could not be read",
    51: "a signature, or the checksum over the handshake, does not hold",
    70: "no version of TLS that both speak",
    71: "what was offered is too weak for the other side",
    80: "something broke there that has nothing to do with this side",
    86: "the other side takes this for a forced step down to an older version",
    90: "somebody stopped it there",
    109: "something was missing in a hello",
    110: "something was answered that nobody asked for",
    112: "no server of this name (SNI) lives there",
    116: "a client certificate is required, and none came",
    120: "no application protocol (ALPN) that both speak",
}

_FIXES = {
    40: "compare the versions, suites and groups that are offered with what the server takes; it may also be a missing "
    "client certificate",
    42: "look at the certificate that was shown: handsel cert inspect FILE",
    43: "look at its usages and its kind of key: handsel cert inspect FILE --for client",
    44: "get a new certificate",
    45: "renew it, and check the clocks on both sides",
    46: "the server's log says why",
    48: "show a certificate by an authority that the server names, or have its operator add this one's",
    49: "the server's rules say who may come in: its operator knows them",
    70: "offer another one: --tls 1.2 or --tls 1.3",
    80: "the server's log says what",
    112: "say the right one: --server-name NAME",
    116: "show one: --client-cert FILE --client-key FILE",
    120: "offer another one: --alpn NAME, or --alpn none",
}


def named(number: int) -> str:
    """The alert by its name."""
    return ALERTS.get(number, f"alert {number}")


def meaning(number: int) -> str:
    """What it means, in a few words."""
    return _MEANINGS.get(number, "an alert that no standard knows" if number not in ALERTS else "it gives up")


def fix(number: int) -> str:
    """What to do about it; empty when that is not known."""
    return _FIXES.get(number, "")
