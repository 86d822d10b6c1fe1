"""A recording as a story: its steps in order, what came of it, and the same as JSON has it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from handsel.diagnose.handshake import registry
from handsel.diagnose.handshake.model import After, End, Recording, Sender, Step, Trust
from handsel.diagnose.handshake.outcome import Outcome, Result, outcome
from handsel.diagnose.handshake.reading import Facts
from handsel.diagnose.handshake.registry import GROUPS, SUITES, VERSIONS, name
from handsel.diagnose.handshake.steps import Teller, connection

_AFTER = {
    After.NOTHING: "nothing came",
    After.DATA: "the server sent data",
    After.ALERT: "the server sent an alert",
    After.GOODBYE: "the server said goodbye",
    After.CLOSED: "the server hung up without a goodbye",
    After.RESET: "the server reset the connection",
    After.FAILED: "something came that cannot be read",
}


@dataclass(frozen=True)
class Story:
    """A handshake, told."""

    recording: Recording
    facts: Facts
    trust: Trust | None
    steps: tuple[Step, ...]
    outcome: Outcome

    @property
    def ok(self) -> bool:
        """Whether it was done with a server to be believed, which refused nothing."""
        return self.outcome.result is Result.TRUSTED

    @property
    def version(self) -> str:
        """The version that was agreed on; empty when it did not come so far."""
        chosen = self.facts.chosen
        return name(VERSIONS, chosen.version) if chosen else self.recording.version.replace("TLSv", "TLS ")

    @property
    def suite(self) -> str:
        """The cipher suite."""
        return name(SUITES, self.facts.chosen.suite) if self.facts.chosen else self.recording.suite

    @property
    def group(self) -> str:
        """The group of the key exchange."""
        return name(GROUPS, self.facts.group) if self.facts.group is not None else ""

    @property
    def round_trips(self) -> int:
        """How often this side waited for an answer before it might have sent data; TCP is one of them."""
        ends = self.recording.finished if self.recording.finished is not None else float("inf")
        answers = [each for each in self.recording.flights if each.sender is Sender.SERVER and each.at <= ends]
        return len(answers) + (self.recording.connected is not None)

    def document(self) -> dict[str, Any]:
        """As JSON has it, without what is said once for the whole."""
        recording, trust = self.recording, self.trust
        return {
            "version": self.version or None,
            "suite": self.suite or None,
            "group": self.group or None,
            "hybrid": self.facts.group is not None and registry.is_hybrid(self.facts.group),
            "round_trips": self.round_trips,
            "milliseconds": _milliseconds(recording.finished),
            "flights": _flights(recording),
            "server_certificate": vars(trust) if trust else None,
            "client_certificate": {
                "asked": self.facts.asked is not None,
                "authorities": list(self.facts.asked.authorities) if self.facts.asked else [],
                "signatures": [name(registry.SIGNATURES, each) for each in self.facts.asked.signatures]
                if self.facts.asked else [],
                "shown": bool(self.facts.shown),
                "outcome": self.outcome.client or None,
            },
            "steps": [step.document(number) for number, step in enumerate(self.steps, 1)],
        }  # fmt: skip


def tell(recording: Recording, facts: Facts, trust: Trust | None, now: datetime) -> Story:
    """The whole story of a recording. `trust` None: no certificate came that could be judged."""
    teller = Teller(facts, trust, now)
    came_of_it = outcome(recording, facts, trust)
    steps = [connection(recording)] if recording.connected is not None else []
    steps += [step for message in recording.messages if (step := teller.message(message)) is not None]
    if recording.end is not End.DONE:
        steps.append(_end(recording, came_of_it))
    else:
        if not recording.whole:
            steps.append(_unseen(recording, trust))
        steps.append(_afterwards(recording, facts, came_of_it))
    return Story(recording, facts, trust, tuple(steps), came_of_it)


def _end(recording: Recording, came_of_it: Outcome) -> Step:
    title = "No connection" if recording.connected is None else "The end"
    purpose = "Nothing was sent." if recording.connected is None else "The handshake goes no further."
    return Step(title, purpose, problem=came_of_it.sentence, fix=came_of_it.fix)


def _unseen(recording: Recording, trust: Trust | None) -> Step:
    step = Step(
        "TLS handshake", "This Python does not show the messages of a handshake, so only its result is told.",
        at=recording.finished, details={"version": recording.version, "suite": recording.suite},
    )  # fmt: skip
    if trust is None:
        return step
    return replace(step, good=trust.in_words) if trust.trusted else replace(step, problem=trust.in_words, fix=trust.fix)


def _afterwards(recording: Recording, facts: Facts, came_of_it: Outcome) -> Step:
    """The moment of listening. Why it is there depends on the version."""
    if facts.tls13 and facts.asked:
        purpose = "The client only listens: a TLS 1.3 server looks at a client's certificate after all this."
    else:
        purpose = "The client only listens for a moment, and sends nothing."
    after = recording.after or After.NOTHING
    seconds = f" for {recording.waited:.1f} s" if after is After.NOTHING else f" after {recording.waited * 1000:.1f} ms"
    step = Step("Listening", purpose, details={"came": _AFTER[after] + seconds}, at=recording.after_at)
    if facts.alert is not None:
        return replace(step, problem="the alert came only now, after a handshake that looked done")
    if came_of_it.result in (Result.CERTIFICATE_REQUIRED, Result.CERTIFICATE_REFUSED, Result.REFUSED):
        return replace(step, problem=came_of_it.sentence, fix=came_of_it.fix)
    if facts.asked:
        return replace(step, good=f"client certificate {came_of_it.client}")
    return step


def _milliseconds(seconds: float | None) -> float | None:
    return round(seconds * 1000, 3) if seconds is not None else None


def _flights(recording: Recording) -> list[dict[str, Any]]:
    """What travelled; an answer with how long it was waited for."""
    found: list[dict[str, Any]] = []
    before = recording.connected or 0.0
    for each in recording.flights:
        waited = _milliseconds(each.at - before) if each.sender is Sender.SERVER else None
        found.append({
            "from": str(each.sender), "milliseconds": _milliseconds(each.at), "bytes": each.size, "waited": waited,
        })  # fmt: skip
        before = each.at
    return found
