"""What a pair of certificate and key says for which names, and what is wrong with it, as far as its files are here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from handsel.pki.certificate import Certificate, parse_pem
from handsel.pki.keys import PrivateKey

ReadFile = Callable[[str], bytes | None]
"""The bytes of a file by its absolute path; None where there is none on this machine."""


def _none(_path: str) -> bytes | None:
    return None


NO_FILES: ReadFile = _none
"""Of a machine that has none of them."""

LARGEST_KEY_STORE = 40 << 10
LARGEST_TRUST_STORE = 128 << 10
"""As CloudHub 2.0 has them, in bytes."""


@dataclass(frozen=True)
class Pair:
    """What the files of a certificate and its key say.

    `names`: the common name where it is a host name, then the DNS names, lower case. `here` False: the certificate
    is on another machine. `faults`: (key, message), the key being `public_key` or `private_key`.
    """

    names: tuple[str, ...] = ()
    is_rsa: bool = False
    here: bool = False
    has_common_name: bool = True
    size: int = 0
    faults: tuple[tuple[str, str], ...] = ()


def look(certificate: str, private_key: str, read: ReadFile) -> Pair:
    """Look at a chain, leaf first, and at its key."""
    pem, key = read(certificate), read(private_key)
    if pem is None:
        return Pair()
    faults: list[tuple[str, str]] = []
    try:
        chain = parse_pem(pem)
    except ValueError:
        return Pair(here=True, faults=(("public_key", "holds no certificate in PEM"),))
    faults += [("public_key", message) for message in _chain_faults(chain)]
    if key is not None:
        faults += [("private_key", message) for message in _key_faults(key, chain)]
    leaf = chain[0]
    common = _common_name(leaf)
    names = tuple(dict.fromkeys(each.lower() for each in (common, *leaf.dns_names) if _is_host(each)))
    if not names:
        faults.append(("public_key", "the certificate names no host: neither its CN nor a DNS name does"))
    is_rsa = isinstance(leaf.parsed.public_key(), rsa.RSAPublicKey)
    return Pair(names, is_rsa, True, bool(common), len(pem) + len(key or b""), tuple(faults))


def bundle_faults(pem: bytes) -> list[str]:
    """What is wrong with a bundle of CAs."""
    try:
        parse_pem(pem)
    except ValueError:
        return ["holds no certificate in PEM"]
    return [f"is larger than {LARGEST_TRUST_STORE >> 10} KB"] if len(pem) > LARGEST_TRUST_STORE else []


def list_faults(pem: bytes) -> list[str]:
    """What is wrong with revocation lists in PEM, one after the other."""
    marker = b"-----END X509 CRL-----"
    lists = [part + marker for part in pem.split(marker)[:-1]]
    try:
        for each in lists:
            x509.load_pem_x509_crl(each)
    except ValueError:
        return ["holds a revocation list that cannot be read"]
    return [] if lists else ["holds no revocation list in PEM"]


def _chain_faults(chain: tuple[Certificate, ...]) -> list[str]:
    for below, above in pairwise(chain):
        if below.parsed.issuer != above.parsed.subject:
            return [f"{above.subject!r} is not the issuer of {below.subject!r}: the leaf comes first, then its issuers"]
    return ["the first certificate is a CA's: the leaf comes first"] if chain[0].is_ca and len(chain) > 1 else []


def _key_faults(pem: bytes, chain: tuple[Certificate, ...]) -> list[str]:
    if b"ENCRYPTED" in pem:
        return ["has a passphrase, which nobody could enter: write it without one (openssl pkey -in … -out …)"]
    try:
        key = PrivateKey.from_pem(pem)
    except ValueError:
        return ["holds no private key in PEM that can be used"]
    return [] if key.public_der() == chain[0].public_key_der else ["does not belong to the certificate"]


def _common_name(leaf: Certificate) -> str:
    found = leaf.parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _is_host(name: str) -> bool:
    return bool(name) and " " not in name and "/" not in name and ":" not in name and "." in name
