"""Names of cipher suites: OpenSSL's, which a context has, and IANA's, which Java, Mule, Spring and Go have."""

from __future__ import annotations

from collections.abc import Iterable

_CIPHERS = {
    "AES128-GCM-SHA256": "AES_128_GCM_SHA256",
    "AES256-GCM-SHA384": "AES_256_GCM_SHA384",
    "CHACHA20-POLY1305": "CHACHA20_POLY1305_SHA256",
    "AES128-CCM": "AES_128_CCM",
    "AES256-CCM": "AES_256_CCM",
    "AES128-SHA256": "AES_128_CBC_SHA256",
    "AES256-SHA384": "AES_256_CBC_SHA384",
}
_EXCHANGES = {"ECDHE-ECDSA": "ECDHE_ECDSA", "ECDHE-RSA": "ECDHE_RSA", "DHE-RSA": "DHE_RSA"}
IANA = {
    f"{own}-{cipher}": f"TLS_{theirs}_WITH_{name}"
    for own, theirs in _EXCHANGES.items()
    for cipher, name in _CIPHERS.items()
    # Those of them that exist (IANA's registry of TLS parameters).
    if not (own == "ECDHE-RSA" and "CCM" in cipher) and not (own == "DHE-RSA" and cipher == "AES256-SHA384")
}
"""IANA's name of each suite for TLS 1.2 that is no shame, by OpenSSL's."""
OPENSSL = {theirs: own for own, theirs in IANA.items()}
TLS_1_3 = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")
"""The suites of TLS 1.3, which have one name everywhere."""
_ALSO_1_3 = ("TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256")


def sort(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Names in either spelling as OpenSSL's names for TLS 1.2, suites of TLS 1.3, and those that are not taken."""
    old: list[str] = []
    new: list[str] = []
    others: list[str] = []
    for name in names:
        if name in TLS_1_3 or name in _ALSO_1_3:
            new.append(name)
        elif name in IANA or name in OPENSSL:
            old.append(OPENSSL.get(name, name))
        else:
            others.append(name)
    return tuple(dict.fromkeys(old)), tuple(dict.fromkeys(new)), tuple(others)
