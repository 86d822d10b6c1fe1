"""OpenSSL's own verdict on a chain of certificates that came over another connection.

It verifies a chain only inside a handshake. So it is given one: it begins one under TLS 1.2 in memory, and is
answered with a ServerHello and the chain, which it judges at once and before it looks for a proof of the key. That
proof was given in the real handshake.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from handsel.pki.certificate import Certificate, to_pem

_RECORD = 1 << 14
_RSA, _OTHERS = b"\xc0\x2f", b"\xc0\x2b"  # suites whose certificates have RSA keys, and keys on curves
_DER = 2  # `_ssl.ENCODING_DER`


@dataclass(frozen=True)
class Trial:
    """`code` and `message` as OpenSSL has them (X509_V_ERR_*), 0 when the chain holds; `path` is then up to the root.

    A code below 0: it could not even be read.
    """

    code: int
    message: str = ""
    path: tuple[Certificate, ...] = ()


def judge(chain: Sequence[Certificate], roots: Sequence[Certificate] | None, name: str = "") -> Trial:
    """Whether these roots, or the system's, vouch for a chain, and with `name` whether it is of that name or address.

    A root is what was given as one, whether it has signed itself or not, as everywhere in `handsel.tls`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = bool(name)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if roots is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cadata=to_pem(tuple(roots)).decode())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        tls = context.wrap_bio(incoming, outgoing, server_hostname=name or None)
    except ValueError as error:
        return Trial(-1, str(error))
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    incoming.write(_answer(chain))
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:  # it waits for the proof: the chain holds
        return Trial(0, path=_path(tls))
    except ssl.SSLCertVerificationError as error:
        return Trial(error.verify_code, error.verify_message)
    except ssl.SSLError as error:
        return Trial(-1, str(error.reason or error))
    return Trial(-1, "OpenSSL took a handshake that was none")


def system_roots() -> int:
    """How many roots of the system's are in one file; those of a folder are not counted, since they are read late."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    return len(context.get_ca_certs(binary_form=True))


def _answer(chain: Sequence[Certificate]) -> bytes:
    suite = _RSA if isinstance(chain[0].parsed.public_key(), rsa.RSAPublicKey) else _OTHERS
    secure_renegotiation = bytes.fromhex("ff01000100")  # RFC 5746, section 3.6
    hello = b"\x03\x03" + bytes(32) + b"\0" + suite + b"\0" + _vector(2, secure_renegotiation)
    certificates = _vector(3, b"".join(_vector(3, each.der) for each in chain))
    flight = b"\x02" + _vector(3, hello) + b"\x0b" + _vector(3, certificates)
    parts = [flight[at : at + _RECORD] for at in range(0, len(flight), _RECORD)]
    return b"".join(b"\x16\x03\x03" + _vector(2, part) for part in parts)


def _vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def _path(tls: Any) -> tuple[Certificate, ...]:
    if hasattr(tls, "get_verified_chain"):  # Python 3.13
        found = tls.get_verified_chain() or []
    else:
        found = [each.public_bytes(_DER) for each in tls._sslobj.get_verified_chain() or []]  # noqa: SLF001
    return tuple(Certificate.of_peer(der) for der in found)
