"""Why a server's certificate is believed or not, in words: OpenSSL's verdict on the chain, and where it went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from handsel.diagnose.handshake.model import Trust
from handsel.pki.certificate import Certificate
from handsel.pki.inspect import in_words, is_self_issued, path_of, printable

_UNKNOWN_ISSUER = frozenset({2, 20, 21, 27})
_SELF_SIGNED, _ROOT_UNKNOWN, _EXPIRED, _NOT_BEGUN = 18, 19, 10, 9
_WRONG_NAME = frozenset({62, 64})
_WORDS = {
    7: "a signature in its chain does not hold",
    22: "its chain is too long",
    23: "it was revoked",
    24: "a certificate in its chain signed another one, and is no CA's",
    25: "a CA in its chain may not have so many CAs below it",
    26: "it is not for a TLS server (its extended key usages)",
    32: "a CA in its chain may not sign certificates (its key usages)",
    34: "it has a critical extension that is not understood",
    47: "it has a name that a CA above it may not vouch for (name constraints)",
    48: "it has a name that a CA above it must not vouch for (name constraints)",
    66: "its key is too weak",
    67: "the key of a CA in its chain is too weak",
    68: "a signature in its chain uses a digest that can be forged",
    79: "a certificate in its chain signed another one, and is no CA's",
}
"""X509_V_ERR_* of OpenSSL. Numbers are part of its interface."""


def judged(chain: Sequence[Certificate], code: int, message: str, roots: str, now: datetime) -> Trust:
    """A chain that does not hold: why, and what to do. `roots` says in words whose vouching was looked for."""
    leaf = chain[0]
    if code in (_EXPIRED, _NOT_BEGUN):
        return Trust(False, *_time(chain, code, now), roots=roots)
    if code == _SELF_SIGNED:
        reason = f"it is self-signed: nobody but itself vouches for it, and it is not among {roots}"
        return Trust(False, reason, _own(leaf), roots=roots)
    top = chain[path_of(chain, 0)[-1]]
    if code == _ROOT_UNKNOWN:
        reason = f"its chain ends in the root '{top.subject}', which is not among {roots}"
        return Trust(False, reason, _own(top), roots=roots)
    if code in _UNKNOWN_ISSUER:
        reason = f"'{top.issuer}', which signed '{_called(top)}', is not among {roots}"
        return Trust(False, reason, _missing(chain, top), roots=roots)
    fix = "look at every certificate of it: handsel cert inspect shows what is wrong with each"
    return Trust(False, _WORDS.get(code, f"OpenSSL says: {message}"), fix, roots=roots)


def holds(path: Sequence[Certificate], roots: str) -> Trust:
    """A chain that holds up to this root."""
    root = path[-1]
    return Trust(True, root=root.subject, fingerprint=root.fingerprint, roots=roots)


def misnamed(leaf: Certificate, name: str, path: Sequence[Certificate], roots: str) -> Trust:
    """A chain that holds, of somebody else."""
    names = [*leaf.dns_names, *leaf.ip_names, *leaf.uri_names]
    listed = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    reason = f"it is for {listed or 'no name at all'}, and not for {name}"
    usable = next((each for each in names if "*" not in each), "")
    fix = f"call it by a name it has (--server-name {usable}), or have it certified for {name}"
    return Trust(
        False, printable(reason), printable(fix) if usable else f"have it certified for {name}",
        root=path[-1].subject, fingerprint=path[-1].fingerprint, roots=roots, wrong_name=True,
    )  # fmt: skip


def is_wrong_name(code: int) -> bool:
    """Whether OpenSSL's verdict is about the name alone."""
    return code in _WRONG_NAME


def unreadable(problem: str, roots: str) -> Trust:
    """A chain that cannot be judged."""
    return Trust(False, problem, "the server's operator has to put it right", roots=roots)


def _time(chain: Sequence[Certificate], code: int, now: datetime) -> tuple[str, str]:
    ended = code == _EXPIRED
    wrong = next((each for each in chain if (each.not_after < now if ended else each.not_before > now)), None)
    if wrong is None:
        return f"the root that vouches for it {'has expired' if ended else 'has not begun'}", "take its successor"
    which = "it" if wrong is chain[0] else f"'{wrong.subject}' in its chain"
    if ended:
        when = f"{which} expired {in_words(now - wrong.not_after)} ago, at {wrong.not_after:%Y-%m-%d %H:%M} UTC"
        return when, "renew it at the server, and see that the server shows the new one"
    when = f"{which} is not valid for another {in_words(wrong.not_before - now)}"
    return when, "compare the clock here with the one of the authority"


def _own(top: Certificate) -> str:
    return (
        f"if that is the right one (ask its operator for its sha-256, here {top.fingerprint}), hand it in: "
        "--roots FILE, or put it into the machine's roots: handsel ca trust install"
    )


def _missing(chain: Sequence[Certificate], top: Certificate) -> str:
    if len(chain) == 1 and not is_self_issued(top):
        return (
            f"the server sends its own certificate alone: have it send '{top.issuer}' too if that is no root, "
            "or hand in the root: --roots FILE"
        )
    return f"hand in the root that vouches for '{top.issuer}': --roots FILE, or of a mesh --state FOLDER"


def _called(certificate: Certificate) -> str:
    names = [*certificate.dns_names, *certificate.uri_names]
    return certificate.subject or (names[0] if names else certificate.serial)
