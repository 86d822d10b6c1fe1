"""The messages about secrets, as values. The watch carries references only; values come by a call of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from handsel.link import wire_pb2 as wire
from handsel.link.codec import decode
from handsel.model.secret import OWNER, PART, SECRET_NAME, group_of
from handsel.pki.secret import Secret

MOST_AT_ONCE = 8
"""Values in one call: each has at most 1 MiB, and an answer at most 16."""
_MODES = (0o400, 0o440, 0o600, 0o640)
_SERVICE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class SecretRef:
    """A secret that a service gets: which version, and how it lies on the host.

    `file`: the file's name, in the folder of the service, or of the `group` in it. `owner`: `user` or `user:group`,
    empty: the agent's own. `expires`: from then on it is taken away, whoever is away.
    """

    name: str
    version: str
    service: str
    file: str
    owner: str = ""
    mode: int = 0o600
    group: str = ""
    expires: datetime | None = None


@dataclass(frozen=True)
class SecretRefs:
    """The body of a frame of kind `secrets`: everything that the services of a host get."""

    KIND = "secrets"
    refs: tuple[SecretRef, ...]

    def encode(self) -> bytes:
        return wire.SecretRefs(refs=[_encode(ref) for ref in self.refs]).SerializeToString(deterministic=True)

    @classmethod
    def decode(cls, body: bytes) -> SecretRefs:
        """What cannot be delivered so by this version is left out: the rest must not wait for it."""
        return decode(wire.SecretRefs, body, lambda m: cls(tuple(_decode(ref) for ref in m.refs if _is_sound(ref))))


@dataclass(frozen=True)
class SecretsRequest:
    """(service, name, version) of each value that is asked for, at most `MOST_AT_ONCE`; none: only whether one may."""

    wanted: tuple[tuple[str, str, str], ...]

    def encode(self) -> bytes:
        wanted = [wire.SecretsRequest.Wanted(service=s, name=n, version=v) for s, n, v in self.wanted]
        return wire.SecretsRequest(wanted=wanted).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> SecretsRequest:
        return decode(wire.SecretsRequest, body, lambda m: cls(_bounded(m)))


@dataclass(frozen=True)
class SecretsResponse:
    """The values by (service, name, version), and for each other one why it does not come."""

    values: dict[tuple[str, str, str], Secret]
    refused: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def encode(self) -> bytes:
        given = [
            wire.SecretsResponse.Value(service=s, name=n, version=v, value=value.reveal())
            for (s, n, v), value in self.values.items()
        ]
        given += [
            wire.SecretsResponse.Value(service=s, name=n, version=v, refused=why)
            for (s, n, v), why in self.refused.items()
        ]
        return wire.SecretsResponse(values=given).SerializeToString()

    @classmethod
    def decode(cls, body: bytes) -> SecretsResponse:
        return decode(
            wire.SecretsResponse,
            body,
            lambda m: cls(
                {(v.service, v.name, v.version): Secret(v.value) for v in m.values if not v.refused},
                {(v.service, v.name, v.version): v.refused for v in m.values if v.refused},
            ),
        )


def _encode(ref: SecretRef) -> wire.SecretRefs.Ref:
    return wire.SecretRefs.Ref(
        name=ref.name, version=ref.version, service=ref.service, file=ref.file, owner=ref.owner, mode=ref.mode,
        group=ref.group, expires_ms=round(ref.expires.timestamp() * 1000) if ref.expires else 0,
    )  # fmt: skip


def _is_sound(message: wire.SecretRefs.Ref) -> bool:
    # They become names of files and folders.
    return bool(
        _SERVICE.fullmatch(message.service)
        and SECRET_NAME.fullmatch(message.name)
        and PART.fullmatch(message.file)
        and message.group == group_of(message.name)
        and message.mode in _MODES
        and (not message.owner or OWNER.fullmatch(message.owner))
    )


def _decode(message: wire.SecretRefs.Ref) -> SecretRef:
    return SecretRef(
        message.name, message.version, message.service, message.file, message.owner, message.mode, message.group,
        datetime.fromtimestamp(message.expires_ms / 1000, UTC) if message.expires_ms else None,
    )  # fmt: skip


def _bounded(message: wire.SecretsRequest) -> tuple[tuple[str, str, str], ...]:
    if len(message.wanted) > MOST_AT_ONCE:
        raise ValueError(f"at most {MOST_AT_ONCE} values are asked for at once")
    return tuple((each.service, each.name, each.version) for each in message.wanted)
