"""One-way and two-way TLS side by side: the same server, without and with a client certificate."""

from __future__ import annotations

from handsel.diagnose.handshake.model import End, Kind, Sender
from handsel.diagnose.handshake.outcome import Result
from handsel.diagnose.handshake.story import Story

Row = tuple[str, str, str]
_REFUSALS = (Result.CERTIFICATE_REQUIRED, Result.CERTIFICATE_REFUSED, Result.REFUSED, Result.CLOSED)


def rows(one_way: Story, two_way: Story) -> list[Row]:
    """What is told of both: a label, and what each had."""
    return [
        (label, told(one_way), told(two_way))
        for label, told in (
            ("server proves itself", _server),
            ("server asks the client", _asks),
            ("client shows", _shows),
            ("client proves its key", _proves),
            ("version", lambda story: story.version or "-"),
            ("messages", lambda story: str(len(story.recording.messages))),
            ("bytes sent, received", _sizes),
            ("round trips", lambda story: f"{story.round_trips} (TCP is one)"),
            ("time", _time),
            ("outcome", _outcome),
        )
    ]


def in_words(one_way: Story, two_way: Story) -> str:
    """What the comparison says about the server."""
    if one_way.facts.asked is None and two_way.facts.asked is None:
        return "the server asks no client for a certificate: this is one-way TLS, whatever the client has"
    if not _let_in(two_way):
        return "the server refuses this client certificate" + (
            ", and lets in a client without one" if _let_in(one_way) else ", and a client without one too"
        )
    if _let_in(one_way):
        return "the server asks for a client certificate, and lets in a client without one too (it may refuse it later)"
    return "the server insists on a client certificate, and takes this one: mutual TLS"


def _let_in(story: Story) -> bool:
    return story.recording.end is End.DONE and story.outcome.result not in _REFUSALS


def _server(story: Story) -> str:
    if story.trust is None:
        return "no certificate came"
    return "yes, trusted" if story.trust.trusted else "NOT trusted"


def _asks(story: Story) -> str:
    asked = story.facts.asked
    if asked is None:
        return "no"
    return f"yes, of {len(asked.authorities)} authorities" if len(asked.authorities) != 1 else "yes, of 1 authority"


def _shows(story: Story) -> str:
    if story.facts.shown is None:
        return "nothing"
    return "its certificate" if story.facts.shown else "none (an empty message)"


def _proves(story: Story) -> str:
    proved = any(
        each.sender is Sender.CLIENT and each.kind == Kind.CERTIFICATE_VERIFY for each in story.recording.messages
    )
    return "yes, by a signature" if proved else "no"


def _sizes(story: Story) -> str:
    sent, got = (
        sum(each.size for each in story.recording.flights if each.sender is sender)
        for sender in (Sender.CLIENT, Sender.SERVER)
    )
    return f"{sent}, {got}"


def _time(story: Story) -> str:
    finished = story.recording.finished
    return f"{finished * 1000:.1f} ms" if finished is not None else "-"


def _outcome(story: Story) -> str:
    if story.outcome.result in (Result.CERTIFICATE_REQUIRED, Result.CERTIFICATE_REFUSED):
        return "REFUSED"
    return "let in" if _let_in(story) else str(story.outcome.result)
