"""The form of a PKCS12 file: its parts, their bags, and the attributes of those (RFC 7292, sections 4 and 5).

Nothing is opened here. Every function raises `ValueError` for what is malformed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from handsel.errors import StoreRefused
from handsel.pki import der
from handsel.pki.keystore import ber, pbe
from handsel.pki.keystore.derivation import MAC, Derivation
from handsel.pki.keystore.model import MOST_ENTRIES

DATA, SIGNED, ENVELOPED, ENCRYPTED = (f"1.2.840.113549.1.7.{each}" for each in (1, 2, 3, 6))
KEY_BAG, SHROUDED_BAG, CERTIFICATE_BAG, CRL_BAG, SECRET_BAG, NESTED_BAG = (
    f"1.2.840.113549.1.12.10.1.{each}" for each in range(1, 7)
)
X509 = "1.2.840.113549.1.9.22.1"
FRIENDLY_NAME, LOCAL_KEY_ID = "1.2.840.113549.1.9.20", "1.2.840.113549.1.9.21"
TRUSTED_USAGE = "2.16.840.1.113894.746875.1.1"
"""Java's: what a certificate without a key is trusted for. Without it keytool passes over the certificate."""
ANY_USAGE = "2.5.29.37.0"
PBMAC1 = "1.2.840.113549.1.5.14"
_DIGESTS: Mapping[str, str] = {
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
SIZES = {"sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64}
_DEEPEST, _MOST_ATTRIBUTES = 8, 32
_WHOLE, _IN_PIECES = der.CONTEXT_PRIMITIVE, der.CONTEXT


@dataclass(frozen=True)
class Mac:
    """The check over the whole content: HMAC with this digest, its key derived so (RFC 7292, section 4; RFC 9579)."""

    digest: str
    value: bytes
    derivation: Derivation


@dataclass(frozen=True)
class Part:
    """A part of the file: bags in clear, or bags behind `scheme`."""

    content: bytes
    scheme: pbe.Scheme | None


@dataclass(frozen=True)
class Pfx:
    """The whole file. `checked`: what the check is made over. `notes`: parts that are not read."""

    checked: bytes
    parts: tuple[Part, ...]
    mac: Mac | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Bag:
    """A key, a certificate, a secret. `attributes`: the first value of each, DER."""

    kind: str
    value: bytes
    attributes: Mapping[str, bytes]

    @cached_property
    def name(self) -> str:
        """Its friendlyName; empty when it has none."""
        value = self.attributes.get(FRIENDLY_NAME)
        if not value:
            return ""
        reader = der.Reader(value)
        # The standard knows BMPString only; UTF8String is seen too.
        encoding = "utf-8" if reader.next_tag == der.UTF8_STRING else "utf-16-be"
        return reader.read(reader.next_tag or 0).decode(encoding, errors="replace")

    @cached_property
    def key_id(self) -> bytes:
        """What joins a key with its certificate; empty when it has none."""
        value = self.attributes.get(LOCAL_KEY_ID)
        return der.Reader(value).read(der.OCTET_STRING) if value else b""

    @property
    def is_trusted(self) -> bool:
        """Whether Java shows it as a trusted certificate."""
        return TRUSTED_USAGE in self.attributes


def read_pfx(content: bytes) -> Pfx:
    """The file. Raises `StoreRefused` for one that is signed by a key, or encrypted in an unknown way."""
    return ber.either(_pfx, content)


def read_bags(content: bytes) -> list[Bag]:
    """SafeContents: every bag, also those in bags. Raises `StoreRefused` when they are too many."""
    return ber.either(_every, content)


def certificate_of(bag: Bag) -> bytes | None:
    """The certificate in a certBag, DER; None for one of another kind than X.509."""
    return ber.either(_certificate, bag.value)


def secret_of(bag: Bag) -> tuple[str, bytes]:
    """The kind and the content of a secretBag; Java's has the kind `SHROUDED_BAG`."""
    return ber.either(_secret, bag.value)


# The file


def _pfx(content: bytes) -> Pfx:
    file = der.Reader(content)
    outer = file.inside(der.SEQUENCE)
    if outer.read_integer() != 3:
        raise ValueError("it has another version than 3")
    safe = outer.inside(der.SEQUENCE)
    kind = safe.read_oid()
    if kind == SIGNED:
        raise StoreRefused("it is kept by a signature, not by a password", next_step="export it with a password")
    if kind != DATA:
        raise ValueError(f"its content is of the kind {kind}")
    checked = safe.inside(der.CONTEXT).read(der.OCTET_STRING)
    mac = outer.optional(der.SEQUENCE)
    parts, notes = ber.either(_parts, checked)
    if file.left:  # neither Java nor OpenSSL looks at them
        notes = (*notes, f"{file.left} bytes follow its end")
    return Pfx(checked, parts, _mac(mac) if mac else None, notes)


def _parts(content: bytes) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """AuthenticatedSafe (RFC 7292, section 4.1)."""
    file = der.Reader(content)
    outer, parts, notes = file.inside(der.SEQUENCE), list[Part](), list[str]()
    file.end()
    while outer.next_tag is not None:
        part = outer.inside(der.SEQUENCE)
        kind = part.read_oid()
        if kind == DATA:
            parts.append(Part(part.inside(der.CONTEXT).read(der.OCTET_STRING), None))
        elif kind == ENCRYPTED:
            parts.append(_encrypted(part.inside(der.CONTEXT).inside(der.SEQUENCE)))
        else:
            what = "to a certificate" if kind == ENVELOPED else f"as {kind}"
            notes.append(f"a part of it is encrypted {what}, and is not read")
        if len(parts) > MOST_ENTRIES:
            raise StoreRefused(f"it has more than {MOST_ENTRIES} parts")
    return tuple(parts), tuple(notes)


def _encrypted(data: der.Reader) -> Part:
    """EncryptedData (RFC 5652, section 8)."""
    data.read_integer()
    info = data.inside(der.SEQUENCE)
    if info.read_oid() != DATA:
        raise ValueError("what is encrypted is of an unknown kind")
    try:
        scheme = pbe.read_scheme(info.inside(der.SEQUENCE))
    except pbe.UnknownScheme as error:
        raise StoreRefused(f"{error} is not read") from error
    if info.next_tag != _IN_PIECES:
        return Part(info.read(_WHOLE), scheme)
    pieces, hidden = info.inside(_IN_PIECES), list[bytes]()
    while pieces.next_tag is not None:
        hidden.append(pieces.read(der.OCTET_STRING))
    return Part(b"".join(hidden), scheme)


def _mac(data: der.Reader) -> Mac:
    """MacData (RFC 7292, section 4), or PBMAC1 in it (RFC 9579, section 3)."""
    info = data.inside(der.SEQUENCE)
    algorithm, value = info.inside(der.SEQUENCE), info.read(der.OCTET_STRING)
    name = algorithm.read_oid()
    if name == PBMAC1:
        return _pbmac1(algorithm.inside(der.SEQUENCE), value)
    if name not in _DIGESTS:
        raise StoreRefused(f"its check is made with {name}, which is not known here")
    salt = data.read(der.OCTET_STRING)
    rounds = data.read_integer() if data.next_tag == der.INTEGER else 1
    digest = _DIGESTS[name]
    return Mac(digest, value, Derivation("pkcs12", digest, salt, rounds, SIZES[digest], MAC))


def _pbmac1(parameters: der.Reader, value: bytes) -> Mac:
    """RFC 8018, appendix A.5; the key is as long as its derivation says, and that it says (RFC 9579, section 4)."""
    deriving, hmac = parameters.inside(der.SEQUENCE), parameters.inside(der.SEQUENCE).read_oid()
    if hmac not in pbe.HMACS:
        raise StoreRefused(f"its check is made with {hmac}, which is not known here")
    try:
        return Mac(pbe.HMACS[hmac], value, pbe.read_derivation(deriving, None))
    except pbe.UnknownScheme as error:
        raise StoreRefused(f"{error} is not read") from error


# Bags


def _every(content: bytes) -> list[Bag]:
    bags: list[Bag] = []
    _collect(content, bags, 0)
    return bags


def _collect(content: bytes, bags: list[Bag], depth: int) -> None:
    """SafeContents (RFC 7292, section 4.2), what lies in nested ones too."""
    if depth > _DEEPEST:
        raise ValueError("its bags lie in one another too deep")
    file = der.Reader(content)
    outer = file.inside(der.SEQUENCE)
    file.end()
    while outer.next_tag is not None:
        if len(bags) >= 2 * MOST_ENTRIES:
            raise StoreRefused(f"it has more than {2 * MOST_ENTRIES} keys and certificates")
        bag = outer.inside(der.SEQUENCE)
        kind, value = bag.read_oid(), bag.read(der.CONTEXT)
        if kind == NESTED_BAG:
            _collect(value, bags, depth + 1)
        else:
            bags.append(Bag(kind, value, dict(_attributes(bag.optional(der.SET)))))


def _attributes(data: der.Reader | None) -> Iterator[tuple[str, bytes]]:
    """PKCS12Attribute (RFC 7292, section 4.2): the first value of each; one without a value is there too."""
    for _ in range(_MOST_ATTRIBUTES):
        if data is None or data.next_tag is None:
            return
        attribute = data.inside(der.SEQUENCE)
        name, values = attribute.read_oid(), attribute.inside(der.SET)
        yield name, values.read_whole(values.next_tag) if values.next_tag is not None else b""


def _certificate(value: bytes) -> bytes | None:
    reader = der.Reader(value).inside(der.SEQUENCE)
    return reader.inside(der.CONTEXT).read(der.OCTET_STRING) if reader.read_oid() == X509 else None


def _secret(value: bytes) -> tuple[str, bytes]:
    reader = der.Reader(value).inside(der.SEQUENCE)
    return reader.read_oid(), reader.inside(der.CONTEXT).read(der.OCTET_STRING)
