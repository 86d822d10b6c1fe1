"""Whether the journal can be believed: chains, checkpoints, and the proof that a certificate is in it.

A line that is changed breaks its chain; lines cut off from the end are missed by the checkpoints, which are signed by
a key of their own and can be kept elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from handsel.pki.names import TrustDomain
from handsel.store import journal, merkle
from handsel.store.merkle import Checkpoint

Line = tuple[int, str, str]
"""(number from 1, canonical entry, hash)."""


@dataclass(frozen=True)
class CheckpointMade:
    """A log was like this at that moment; `note` is the signed text."""

    log: str
    size: int
    note: str
    at: datetime


def origin(trust_domain: TrustDomain, log: str) -> str:
    """The name of a log in its checkpoints."""
    return f"{trust_domain}/journal/{log}"


def check_log(name: str, lines: Sequence[Line], notes: Sequence[str], key: Ed25519PublicKey) -> list[str]:
    """What is wrong with a log, in words; nothing when all holds. `name` is its origin."""
    faults: list[str] = []
    broken = journal.first_broken(lines)
    if broken is not None:
        faults.append(f"line {broken} does not follow from the one before: it, or that one, was changed")
    checkpoints: dict[int, Checkpoint] = {}
    for note in notes:
        try:
            found = merkle.open_checkpoint(note, key)
        except ValueError as error:
            faults.append(f"a checkpoint cannot be believed: {error}")
            continue
        if found.origin != name:
            faults.append(f"a checkpoint is of another log, {found.origin}")
        elif found.size > len(lines):
            faults.append(f"there were {found.size} lines once, now there are {len(lines)}: the end was cut off")
        else:
            checkpoints[found.size] = found
    frontier = merkle.Frontier()
    for line in lines:
        frontier.add(_leaf(line))
        expected = checkpoints.get(frontier.size)
        if expected is not None and expected.root != frontier.root():
            faults.append(f"the first {frontier.size} lines are not those that a checkpoint was made of")
            break
    return faults


@dataclass(frozen=True)
class Proof:
    """That one line is in a log: with `checkpoint` and the public key anybody can check it, without the log."""

    entry: str
    index: int
    path: tuple[bytes, ...]
    checkpoint: str

    def to_json(self) -> dict[str, Any]:
        return {
            "entry": json.loads(self.entry),
            "index": self.index,
            "path": [each.hex() for each in self.path],
            "checkpoint": self.checkpoint,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Proof:
        """Raises `ValueError` for what is no proof."""
        try:
            entry = json.dumps(content["entry"], sort_keys=True, separators=(",", ":"))
            path = tuple(bytes.fromhex(each) for each in content["path"])
            return cls(entry, int(content["index"]), path, str(content["checkpoint"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"a proof has entry, index, path and checkpoint: {error}") from error


def prove(serial: str, lines: Sequence[Line], note: str, size: int) -> Proof | None:
    """The proof that the issuance of a certificate is in a log, under a checkpoint of `size` lines; None if it is not.

    A certificate that was issued after the checkpoint is not under it.
    """
    for line in lines[:size]:
        content = json.loads(line[1])
        if content["kind"] == "issued" and content["fields"].get("serial") == serial:
            leaves = [_leaf(each) for each in lines[:size]]
            return Proof(line[1], line[0] - 1, tuple(merkle.inclusion_proof(line[0] - 1, leaves)), note)
    return None


def check_proof(proof: Proof, key: Ed25519PublicKey) -> Mapping[str, Any]:
    """The entry that a proof shows. Raises `ValueError` when it shows nothing."""
    checkpoint = merkle.open_checkpoint(proof.checkpoint, key)
    leaf = merkle.leaf_hash(proof.entry.encode())
    if not merkle.is_included(leaf, proof.index, checkpoint.size, proof.path, checkpoint.root):
        raise ValueError("the path does not lead from the entry to the checkpoint")
    content: Mapping[str, Any] = json.loads(proof.entry)
    return content


def _leaf(line: Line) -> bytes:
    return merkle.leaf_hash(line[1].encode())
