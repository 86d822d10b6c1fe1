"""Numbers of TLS by their names (IANA: TLS parameters). An unknown one is named by its digits."""

from __future__ import annotations

VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}

SUITES = {
    0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384", 0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0x1304: "TLS_AES_128_CCM_SHA256", 0x1305: "TLS_AES_128_CCM_8_SHA256",
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256", 0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384",
    0xC02F: "ECDHE-RSA-AES128-GCM-SHA256", 0xC030: "ECDHE-RSA-AES256-GCM-SHA384",
    0xCCA8: "ECDHE-RSA-CHACHA20-POLY1305", 0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
    0xCCAA: "DHE-RSA-CHACHA20-POLY1305", 0x009E: "DHE-RSA-AES128-GCM-SHA256", 0x009F: "DHE-RSA-AES256-GCM-SHA384",
    0xC023: "ECDHE-ECDSA-AES128-SHA256", 0xC024: "ECDHE-ECDSA-AES256-SHA384", 0xC027: "ECDHE-RSA-AES128-SHA256",
    0xC028: "ECDHE-RSA-AES256-SHA384", 0xC009: "ECDHE-ECDSA-AES128-SHA", 0xC00A: "ECDHE-ECDSA-AES256-SHA",
    0xC013: "ECDHE-RSA-AES128-SHA", 0xC014: "ECDHE-RSA-AES256-SHA", 0x009C: "AES128-GCM-SHA256",
    0x009D: "AES256-GCM-SHA384", 0x003C: "AES128-SHA256", 0x003D: "AES256-SHA256", 0x002F: "AES128-SHA",
    0x0035: "AES256-SHA",
}  # fmt: skip
"""Cipher suites; those of TLS 1.2 by the names that OpenSSL has for them, which configurations use."""

NO_SUITES = frozenset({0x00FF, 0x5600})
"""Signals in the list of suites that are none (RFC 5746, section 3.3; RFC 7507)."""

GROUPS = {
    0x0017: "P-256", 0x0018: "P-384", 0x0019: "P-521", 0x001D: "X25519", 0x001E: "X448",
    0x001F: "brainpoolP256r1", 0x0020: "brainpoolP384r1", 0x0021: "brainpoolP512r1",
    0x0100: "ffdhe2048", 0x0101: "ffdhe3072", 0x0102: "ffdhe4096", 0x0103: "ffdhe6144", 0x0104: "ffdhe8192",
    0x0200: "MLKEM512", 0x0201: "MLKEM768", 0x0202: "MLKEM1024",
    0x11EB: "SecP256r1MLKEM768", 0x11EC: "X25519MLKEM768", 0x11ED: "SecP384r1MLKEM1024",
    0x6399: "X25519Kyber768Draft00",
}  # fmt: skip
"""Groups of the key exchange (IANA: TLS supported groups)."""

X25519MLKEM768 = 0x11EC
_HYBRID = frozenset({0x11EB, 0x11EC, 0x11ED, 0x6399})
_POST_QUANTUM = _HYBRID | {0x0200, 0x0201, 0x0202}

SIGNATURES = {
    0x0201: "RSA with SHA-1", 0x0203: "ECDSA with SHA-1", 0x0401: "RSA with SHA-256", 0x0501: "RSA with SHA-384",
    0x0601: "RSA with SHA-512", 0x0403: "ECDSA P-256 with SHA-256", 0x0503: "ECDSA P-384 with SHA-384",
    0x0603: "ECDSA P-521 with SHA-512", 0x0804: "RSA-PSS with SHA-256", 0x0805: "RSA-PSS with SHA-384",
    0x0806: "RSA-PSS with SHA-512", 0x0807: "Ed25519", 0x0808: "Ed448", 0x0809: "RSA-PSS (key) with SHA-256",
    0x080A: "RSA-PSS (key) with SHA-384", 0x080B: "RSA-PSS (key) with SHA-512", 0x0301: "RSA with SHA-224",
    0x0303: "ECDSA with SHA-224", 0x0904: "ML-DSA-44", 0x0905: "ML-DSA-65", 0x0906: "ML-DSA-87",
}  # fmt: skip

EXTENSIONS = {
    0: "server_name", 1: "max_fragment_length", 5: "status_request", 10: "supported_groups", 11: "ec_point_formats",
    13: "signature_algorithms", 16: "ALPN", 18: "signed_certificate_timestamp", 21: "padding",
    22: "encrypt_then_mac", 23: "extended_master_secret", 27: "compress_certificate", 28: "record_size_limit",
    35: "session_ticket", 41: "pre_shared_key", 42: "early_data", 43: "supported_versions", 44: "cookie",
    45: "psk_key_exchange_modes", 47: "certificate_authorities", 49: "post_handshake_auth",
    50: "signature_algorithms_cert", 51: "key_share", 0xFF01: "renegotiation_info",
}  # fmt: skip


def name(names: dict[int, str], number: int) -> str:
    """What it is called; by its digits when it has no name here, and GREASE for what tests others' patience."""
    if number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF:  # RFC 8701, section 2
        return "GREASE"
    return names.get(number, f"0x{number:04x}")


def group_in_words(number: int) -> str:
    """A group, and whether it withstands a quantum computer."""
    known = name(GROUPS, number)
    if number in _HYBRID:
        return f"{known} (hybrid: an elliptic curve and ML-KEM, which withstands quantum computers)"
    return f"{known} (post-quantum)" if number in _POST_QUANTUM else known


def is_hybrid(number: int) -> bool:
    """Whether a group joins an elliptic curve with a post-quantum key exchange."""
    return number in _HYBRID


def forward_secret(suite: int) -> bool:
    """Whether recorded traffic stays closed when the server's key is lost: not where RSA carries the secret."""
    return suite >> 8 == 0x13 or "DHE" in SUITES.get(suite, "DHE")
