"""Merkle trees over a log (RFC 9162, section 2.1), and signed checkpoints of them.

A checkpoint is a signed note: the origin, the number of entries and the root hash, one a line, and an Ed25519
signature below (the formats "signed-note" and "tlog-checkpoint" of C2SP), so that other tools can read and witness it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_LEAF, _NODE = b"\x00", b"\x01"
_ED25519 = b"\x01"  # signed-note: the type of an Ed25519 key
_DASH = "\u2014"


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry."""
    return hashlib.sha256(_LEAF + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()


class Frontier:
    """A tree that only grows, known by the roots of its full subtrees: adding costs about one hash."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._full: list[bytes] = []  # largest subtree first; their sizes are the bits of `size`
        for leaf in leaves:
            self.add(leaf)

    def add(self, leaf: bytes) -> None:
        """One more entry, by its leaf hash."""
        carried, size = leaf, self.size
        while size & 1:
            carried = _node(self._full.pop(), carried)
            size >>= 1
        self._full.append(carried)
        self.size += 1

    def root(self) -> bytes:
        """The root hash; of no entries the hash of nothing."""
        if not self._full:
            return hashlib.sha256(b"").digest()
        found = self._full[-1]
        for subtree in reversed(self._full[:-1]):
            found = _node(subtree, found)
        return found


def inclusion_proof(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The audit path of the entry at `index` (from 0) in the tree over `leaves` (RFC 9162, section 2.1.3.1)."""
    if len(leaves) <= 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*inclusion_proof(index, leaves[:split]), Frontier(leaves[split:]).root()]
    return [*inclusion_proof(index - split, leaves[split:]), Frontier(leaves[:split]).root()]


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that `leaf` is at `index` in the tree of that size and root (section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = _node(sibling, found)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            found = _node(found, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and found == root


@dataclass(frozen=True)
class Checkpoint:
    """How a log was at one moment: so many entries, with this root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The checkpoint as a signed note; the key's name is the origin."""
    signature = key.sign(checkpoint.text().encode())
    blob = _key_hash(checkpoint.origin, key.public_key()) + signature
    return f"{checkpoint.text()}\n{_DASH} {checkpoint.origin} {base64.b64encode(blob).decode()}\n"


def open_checkpoint(note: str, key: Ed25519PublicKey) -> Checkpoint:
    """The checkpoint in a note, its signature checked. Raises `ValueError` for anything that is none of ours."""
    text, separator, signatures = note.partition("\n\n")
    lines = text.split("\n")
    try:
        origin, size, root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)
        ours = next(line.split(" ")[2] for line in signatures.split("\n") if line.startswith(f"{_DASH} {origin} "))
        blob = base64.b64decode(ours, validate=True)
        if not separator or blob[:4] != _key_hash(origin, key):
            raise ValueError("it is signed by another key")
        key.verify(blob[4:], f"{text}\n".encode())
    except (IndexError, StopIteration, binascii.Error) as error:
        raise ValueError("this is no signed checkpoint") from error
    except InvalidSignature as error:
        raise ValueError("the signature does not hold") from error
    return Checkpoint(origin, size, root)


def _key_hash(name: str, key: Ed25519PublicKey) -> bytes:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + raw).digest()[:4]
