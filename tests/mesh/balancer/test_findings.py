"""What is said of a load balancer that works, and is weaker or says less than it looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from handsel.mesh.balancer.findings import findings
from tests.mesh.balancer.running import read

TEXT = """\
balancers:
  front:
    ssl_endpoints: [{public_key: /a.pem, private_key: /a.key, names: [shop.example.com]}]
    mappings: [{input_uri: /a/, app_name: orders}, {input_uri: /b/, app_name: orders}]
    applications: {orders: {workers: [10.0.0.1]}}
"""


def _found(before: str, after: str) -> list[tuple[str, int]]:
    assert before in TEXT
    return [(each.code, each.line) for each in findings(read(TEXT.replace(before, after, 1), Path("/etc/shop")))]


def test_of_a_sound_one_nothing_is_said():
    assert _found("", "") == []


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("/b/", "/a/b", [("HM-401", 4)]),
        ("/b/", "/a%2Fb", [("HM-402", 4)]),
        ("/b/", "/x//y", [("HM-402", 4)]),
        ("/b/, app_name: orders}]", "/a%2Fb, app_name: orders}]\n    keep_url_encoding: true", []),
        ("  front:", "  front:\n    client_cert: /c.pem\n    verify_client_mode: 'on'\n    http_mode: 'on'",
         [("HM-409", 2), ("HM-403", 6)]),
        ("  front:", "  front:\n    client_cert: /c.pem\n    verify_client_mode: optional\n    forward_failed: true",
         [("HM-404", 6)]),
        ("  front:", "  front:\n    client_cert: /c.pem", [("HM-405", 4)]),
        ("  front:", "  front:\n    tlsv1: true", [("HM-406", 2)]),
        ("  front:", "  front:\n    default_cipher_suite: RestrictCiphers", [("HM-407", 2)]),
        ("  front:", "  front:\n    default_cipher_suite: OldDefault", [("HM-408", 2)]),
        ("  front:", "  front:\n    http_mode: 'on'", [("HM-409", 2)]),
        ("  front:", "  front:\n    http_mode: redirect", []),
        ("  front:", "  front:\n    proxy_protocol: true", [("HM-410", 2)]),
        ("  front:", "  front:\n    trusted_hops: 1", [("HM-410", 2)]),
    ],
)  # fmt: skip
def test_what_is_found(before: str, after: str, found: list[tuple[str, int]]):
    assert _found(before, after) == found


def test_more_certificates_than_cloudhub_takes_are_said():
    more = ", ".join(f"{{public_key: /{n}.pem, private_key: /{n}.key, names: [n{n}.example.com]}}" for n in range(11))
    assert _found("[{public_key: /a.pem, private_key: /a.key, names: [shop.example.com]}]", f"[{more}]") == [
        ("HM-411", 2)
    ]
