"""The secret keys of JCEKS: Java objects in serialized form (Java Object Serialization Specification, chapter 6).

Nothing is deserialized. A sealed key always has one shape, and the key in it one of two; the bytes between the values
are compared, and everything else is refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from handsel.errors import StoreUnreadable
from handsel.pki.keystore.java_stream import Cursor, text
from handsel.pki.secret import Secret

_START = b"\xac\xed\x00\x05"
_NULL, _REFERENCE, _CLASS, _OBJECT, _STRING, _ARRAY, _END, _ENUM = (bytes((each,)) for each in b"pqrstux~")
_SERIALIZABLE, _ENUMERATION = b"\x02", b"\x12"


def _class(name: str, version: int, fields: tuple[bytes, ...], parent: bytes = _NULL, flags: bytes = _SERIALIZABLE
           ) -> bytes:  # fmt: skip
    """A class as the stream describes it: its name, serialVersionUID, fields, and the class above it."""
    identity = struct.pack(">qcH", version, flags, len(fields))
    return _CLASS + text(name) + identity + b"".join(fields) + _END + parent


def _field(kind: str, name: str, declared: bytes) -> bytes:
    return kind.encode() + text(name) + declared


def _again(handle: int) -> bytes:
    """What was written before, by its number."""
    return _REFERENCE + struct.pack(">I", 0x7E0000 + handle)


_TEXT, _BYTES = _STRING + text("Ljava/lang/String;"), _STRING + text("[B")
_BYTES_CLASS = _class("[B", -0x530CE807F9F7AB20, ())
_SEALED_OBJECT = _class("javax.crypto.SealedObject", 0x3E363DA6C3B75470, (
    _field("[", "encodedParams", _BYTES),
    _field("[", "encryptedContent", _again(2)),
    _field("L", "paramsAlg", _TEXT),
    _field("L", "sealAlg", _again(3)),
))  # fmt: skip
_SEALED = _START + _OBJECT + _class(
    "com.sun.crypto.provider.SealedObjectForKeyProtector", -0x32A835A618CF44AD, (), _SEALED_OBJECT
)  # fmt: skip
_KEY_SPEC = _START + _OBJECT + _class("javax.crypto.spec.SecretKeySpec", 0x5B470B66E230614D, (
    _field("L", "algorithm", _TEXT),
    _field("[", "key", _BYTES),
))  # fmt: skip
_KEY_REP = _START + _OBJECT + _class("java.security.KeyRep", -0x4206B04C77655ABD, (
    _field("L", "algorithm", _TEXT),
    _field("[", "encoded", _BYTES),
    _field("L", "format", _again(1)),
    _field("L", "type", _STRING + text("Ljava/security/KeyRep$Type;")),
))  # fmt: skip
_RAW_SECRET = _STRING + text("RAW") + _ENUM + _class(
    "java.security.KeyRep$Type", 0, (), _class("java.lang.Enum", 0, (), flags=_ENUMERATION), flags=_ENUMERATION
) + _STRING + text("SECRET")  # fmt: skip
"""The end of a KeyRep: the key's bytes are the key itself, and it is a secret key's."""


@dataclass(frozen=True)
class Sealed:
    """A sealed object: `algorithm` with these parameters (DER) hides what is in it."""

    parameters: bytes
    content: bytes = field(repr=False)
    algorithm: str


def read_sealed(cursor: Cursor) -> Sealed:
    """The sealed object that comes next. Raises `StoreUnreadable` for every other object."""
    cursor.expect(_SEALED, "a sealed key as Java writes it")
    cursor.expect(_ARRAY + _BYTES_CLASS, "a sealed key's parameters")
    parameters = cursor.block("a sealed key's parameters")
    cursor.expect(_ARRAY + _again(5), "a sealed key's content")
    content = cursor.block("a sealed key's content")
    cursor.expect(_STRING, "a sealed key's algorithm")
    algorithm = cursor.text("a sealed key's algorithm")
    if not cursor.goes_on_with(_again(8)):  # the same object twice
        cursor.expect(_STRING + text(algorithm), "a sealed key's algorithm, a second time")
    return Sealed(parameters, content, algorithm)


def is_object(content: bytes) -> bool:
    """Whether it begins as a serialized object does."""
    return content.startswith(_START + _OBJECT)


def read_secret(content: bytes) -> tuple[str, Secret]:
    """Algorithm and bytes of a secret key, a `SecretKeySpec` or a `KeyRep`.

    Raises `StoreUnreadable` for every other object.
    """
    cursor = Cursor(content)
    as_spec = cursor.goes_on_with(_KEY_SPEC)
    if not as_spec and not cursor.goes_on_with(_KEY_REP):
        raise StoreUnreadable("it is no secret key of a class that is known here")
    cursor.expect(_STRING, "the algorithm")
    algorithm = cursor.text("the algorithm")
    cursor.expect(_ARRAY + _BYTES_CLASS, "the key's bytes")
    key = cursor.block("the key's bytes")
    if not as_spec:
        cursor.expect(_RAW_SECRET, "the word that the bytes are a secret key's")
    if cursor.left:
        raise StoreUnreadable("there are bytes after the secret key")
    return algorithm, Secret(key)
