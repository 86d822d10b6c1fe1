"""OpenSSH host certificates: any bytes are refused, unless the CA signed them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from handsel.authority.attest import ssh_host
from handsel.errors import Refused

KIND = b"ssh-ed25519-cert-v01@openssh.com"
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def fuzz(data: bytes) -> None:
    """Read a certificate's line, and a line around these bytes; nobody is believed."""
    for line in (data, KIND + b" " + base64.b64encode(data)):
        try:
            certificate = ssh_host.read(line)
            ssh_host.check(certificate, frozenset(), NOW)
        except Refused:
            continue
        raise AssertionError("believed without a CA")
