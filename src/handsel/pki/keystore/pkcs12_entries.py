"""Bags of a PKCS12 file made into entries: each key with its certificate and chain, what is left, secret keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from handsel.pki.keystore import pkcs12_bags, shrouded
from handsel.pki.keystore.chains import Heap
from handsel.pki.keystore.model import Entry, KeyEntry, SecretEntry, StoredCertificate, StoredKey, TrustedEntry
from handsel.pki.keystore.notes import Notes
from handsel.pki.keystore.pkcs12_bags import Bag
from handsel.pki.keystore.shrouded import Opened, Opener, Shroud
from handsel.pki.secret import Secret

SECRETS = {
    "AES": "2.16.840.1.101.3.4.1",
    "DESede": "1.2.840.113549.3.7",
    "DES": "1.3.14.3.2.7",
    "RC2": "1.2.840.113549.3.2",
    "ARCFOUR": "1.2.840.113549.3.4",
    "Blowfish": "1.3.6.1.4.1.3029.1.1.2",
    "HmacMD5": "1.3.6.1.5.5.8.1.1",
    "HmacSHA1": "1.2.840.113549.2.7",
    "HmacSHA224": "1.2.840.113549.2.8",
    "HmacSHA256": "1.2.840.113549.2.9",
    "HmacSHA384": "1.2.840.113549.2.10",
    "HmacSHA512": "1.2.840.113549.2.11",
}
"""The algorithms of secret keys, as Java names them and writes them."""
_SECRET_NAMES = {oid: name for name, oid in SECRETS.items()}
_TIME = b"Time "  # so begins Java's localKeyId: the moment when the entry was made, in milliseconds
_EPOCH, _LONGEST_TIME = datetime(1970, 1, 1, tzinfo=UTC), 14
_HOLD_KEYS = (pkcs12_bags.KEY_BAG, pkcs12_bags.SHROUDED_BAG, pkcs12_bags.SECRET_BAG)
_SAME_ID = 8


@dataclass(frozen=True)
class _Kept:
    """A certificate, and the bag that it came in."""

    number: int
    bag: Bag
    certificate: StoredCertificate


def entries(bags: Sequence[Bag], opener: Opener, notes: Notes) -> Iterator[Entry]:
    """In the order of the bags. Raises `ValueError` for what is malformed, `StoreRefused` for too many rounds."""
    shrouds = [_shroud(bag, opener) for bag in bags]  # all first: rounds are counted before any is done
    kept = list(_certificates(bags, notes))
    finder, names = _Finder(kept), _Names(bags)
    made: dict[int, Entry] = {}
    for number, (bag, shroud) in enumerate(zip(bags, shrouds, strict=True)):
        if bag.kind in _HOLD_KEYS:
            alias = names.of(bag, finder.name(bag.key_id))
            opened = opener.open(shroud, alias) if shroud else _in_clear(bag)
            notes.kept(f"keys: {opened.protection}")
            notes.weak(*(shroud.faults if shroud else ()))
            is_secret = bag.kind == pkcs12_bags.SECRET_BAG
            made[number] = _secret(bag, opened, alias) if is_secret else _key(bag, opened, alias, finder)
    used = {each.der for entry in made.values() if isinstance(entry, KeyEntry) for each in entry.chain}
    left = [each for each in kept if each.bag.is_trusted or each.certificate.der not in used]
    for each in left:
        made[each.number] = TrustedEntry(names.of(each.bag), each.certificate)
    silent = sum(not each.bag.is_trusted for each in left)
    if silent:
        notes.odd(f"{silent} of its certificates lack Java's mark of trust: keytool passes over them")
    if names.numbered:
        notes.odd(f"{names.numbered} of its entries have no name, and are numbered")
    yield from (made[number] for number in sorted(made))


def _certificates(bags: Sequence[Bag], notes: Notes) -> Iterator[_Kept]:
    """Those of all certBags; what is in other bags, and no key, is noted."""
    for number, bag in enumerate(bags):
        if bag.kind == pkcs12_bags.CERTIFICATE_BAG:
            certificate = pkcs12_bags.certificate_of(bag)
            if certificate is None:
                notes.odd("a certificate in it is none of X.509, and is not read")
            else:
                yield _Kept(number, bag, StoredCertificate(certificate))
        elif bag.kind not in _HOLD_KEYS:
            what = "a CRL" if bag.kind == pkcs12_bags.CRL_BAG else f"something of the kind {bag.kind}"
            notes.odd(f"{what} in it is not read")


# Keys and secrets


def _shroud(bag: Bag, opener: Opener) -> Shroud | None:
    """What must be opened; None for what lies in clear, or is no key."""
    if bag.kind == pkcs12_bags.SHROUDED_BAG:
        return opener.plan(bag.value)
    if bag.kind == pkcs12_bags.SECRET_BAG:
        kind, value = pkcs12_bags.secret_of(bag)
        if kind == pkcs12_bags.SHROUDED_BAG:
            return opener.plan(value)
        return Shroud(None, b"", f"a secret of the kind {kind} is not read")
    return None


def _in_clear(bag: Bag) -> Opened:
    try:
        shrouded.check_private_key(bag.value)
    except ValueError as error:
        return Opened(None, f"it is damaged: {error}", shrouded.IN_CLEAR)
    return Opened(Secret(bag.value), "", shrouded.IN_CLEAR)


def _key(bag: Bag, opened: Opened, alias: str, finder: _Finder) -> KeyEntry:
    key = StoredKey(opened.pkcs8) if opened.pkcs8 else None
    chain = finder.chain(bag.key_id, key)
    return KeyEntry(alias, key, chain, _created(bag), opened.locked, opened.protection)


def _secret(bag: Bag, opened: Opened, alias: str) -> SecretEntry:
    if opened.pkcs8 is None:
        return SecretEntry(alias, "unknown", None, _created(bag), opened.locked)
    data = opened.pkcs8.reveal()
    algorithm = shrouded.check_private_key(data)
    name = _SECRET_NAMES.get(algorithm, algorithm)
    return SecretEntry(alias, name, Secret(shrouded.secret_of(data)), _created(bag))


def _created(bag: Bag) -> datetime | None:
    """When it was made, which only Java writes."""
    told = bag.key_id.removeprefix(_TIME)
    if told == bag.key_id or not told.isdigit() or len(told) > _LONGEST_TIME:
        return None
    return _EPOCH + timedelta(milliseconds=int(told))


# What belongs together


class _Finder:
    """The certificates that belong to a key."""

    def __init__(self, kept: Sequence[_Kept]) -> None:
        self._heap = Heap(each.certificate for each in kept)
        self._by_id: dict[bytes, list[_Kept]] = {}
        for each in kept:
            if each.bag.key_id:
                self._by_id.setdefault(each.bag.key_id, []).append(each)

    def name(self, key_id: bytes) -> str:
        """The name of the certificate with this identifier; empty when there is none."""
        return next((each.bag.name for each in self._by_id.get(key_id, ())), "")

    def chain(self, key_id: bytes, key: StoredKey | None) -> tuple[StoredCertificate, ...]:
        """By the identifier, which the file promises to be right; else by the key itself."""
        same = [each.certificate for each in self._by_id.get(key_id, ())][:_SAME_ID]
        if len(same) > 1 and key:
            same = [each for each in same if key.belongs_to(each)] or same
        leaf = same[0] if same else self._heap.of_key(key) if key else None
        return self._heap.chain(leaf) if leaf else ()


class _Names:
    """Aliases: what is written, else numbers that nobody else has, as Java gives them."""

    def __init__(self, bags: Sequence[Bag]) -> None:
        self._taken = {bag.name.lower() for bag in bags}
        self.numbered = 0
        self._last = 0

    def of(self, bag: Bag, other: str = "") -> str:
        """The name of a bag, else the other one, else a number."""
        name = bag.name or other
        if not name:
            self.numbered += 1
            while not name or name in self._taken:
                self._last += 1
                name = str(self._last)
        return name
