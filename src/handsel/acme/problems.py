"""Problem documents (RFC 7807) with ACME's types (RFC 8555, section 6.7)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CONTENT_TYPE = "application/problem+json"
_PREFIX = "urn:ietf:params:acme:error:"

_STATUS = {
    "accountDoesNotExist": 400,
    "alreadyReplaced": 409,
    "alreadyRevoked": 400,
    "badCSR": 400,
    "badNonce": 400,
    "badPublicKey": 400,
    "badRevocationReason": 400,
    "badSignatureAlgorithm": 400,
    "caa": 403,
    "compound": 400,
    "connection": 400,
    "dns": 400,
    "externalAccountRequired": 403,
    "incorrectResponse": 403,
    "invalidContact": 400,
    "invalidProfile": 400,
    "malformed": 400,
    "orderNotReady": 403,
    "rateLimited": 429,
    "rejectedIdentifier": 400,
    "serverInternal": 500,
    "tls": 400,
    "unauthorized": 403,
    "unsupportedContact": 400,
    "unsupportedIdentifier": 400,
    "userActionRequired": 403,
}
"""Every type that is used here, with its usual HTTP status."""


@dataclass(frozen=True)
class Identifier:
    """What a certificate is asked for: a DNS name (perhaps `*.` before it), or an address (RFC 8738)."""

    type: str
    value: str

    def to_json(self) -> dict[str, str]:
        return {"type": self.type, "value": self.value}

    def __str__(self) -> str:
        return self.value


class Problem(Exception):  # the RFC's word
    """A refusal that an ACME client understands.

    `kind` is the last part of the type's URN. `identifier` says which name a subproblem is about (section 6.7.1).
    `headers` go with the response: `Retry-After`, `Location`, `Link`.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        status: int | None = None,
        identifier: Identifier | None = None,
        subproblems: Sequence[Problem] = (),
        headers: tuple[tuple[str, str], ...] = (),
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status or _STATUS[kind]
        self.identifier = identifier
        self.subproblems = tuple(subproblems)
        self.headers = headers
        self.members = members

    def to_json(self) -> dict[str, Any]:
        """The document. `subproblems` is left out when there are none: a null breaks clients."""
        document: dict[str, Any] = {"type": _PREFIX + self.kind, "detail": self.detail, "status": self.status}
        if self.identifier is not None:
            document["identifier"] = self.identifier.to_json()
        if self.subproblems:
            document["subproblems"] = [each.to_json() for each in self.subproblems]
        return document | self.members

    def encode(self) -> bytes:
        return json.dumps(self.to_json()).encode()


def malformed(detail: str) -> Problem:
    """The request is not what the RFC says."""
    return Problem("malformed", detail)
