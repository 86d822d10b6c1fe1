"""The named sets of cipher suites, in OpenSSL's spelling, as far as Envoy's BoringSSL has them.

It knows no DHE and no suites with SHA-256 or SHA-384 beside CBC. For each suite with an RSA key there is the one for
ECDSA keys, which MuleSoft's sets have not.
"""

from __future__ import annotations

from handsel.model.balancer import CipherSet

_GCM_256 = ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384")
_GCM_128 = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256")
_CHACHA = ("ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305")
_CBC = ("ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA")
_STATIC = ("AES256-GCM-SHA384", "AES128-GCM-SHA256")
_STATIC_CBC = ("AES256-SHA", "AES128-SHA")

_SETS = {
    CipherSet.NEW_DEFAULT: _GCM_256,
    CipherSet.OLD_DEFAULT: (*_GCM_256, *_GCM_128, *_CBC, *_STATIC, *_STATIC_CBC),
    CipherSet.ECDHE: (*_GCM_256, *_CHACHA, *_GCM_128),
    CipherSet.RESTRICT: _STATIC,
}


def suites(chosen: CipherSet, *, tls_1_0: bool) -> tuple[str, ...]:
    """The suites of a set. TLS 1.0 knows none with GCM, so it brings some of its own."""
    found = _SETS[chosen]
    return tuple(dict.fromkeys((*found, *_CBC, *_STATIC_CBC))) if tls_1_0 else found
