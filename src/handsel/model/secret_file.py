"""The part `secrets:` of the mesh file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from handsel.documents.yaml import Path
from handsel.model.durations import Duration
from handsel.model.faults import Strict, did_you_mean
from handsel.model.secret import FILE_MODE, OWNER, PART, SECRET_NAME, Declared, DeliveredFile, SecretDeclared
from handsel.pki.names import SpiffeId, TrustDomain

_ALLOWED_MODE = 0o640
_SHORTEST = timedelta(seconds=1)


def _is_part(text: str) -> str:
    if not PART.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no name: letters, digits, dots, dashes, at most 100")
    return text


def _is_owner(text: str) -> str:
    if not OWNER.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no user, or user:group")
    return text


def _is_mode(text: object) -> str:
    if not isinstance(text, str) or len(text) not in (3, 4) or any(digit not in "01234567" for digit in text):
        raise ValueError('a mode is written as text, in octal: "0600"')
    if int(text, 8) & ~_ALLOWED_MODE or not int(text, 8) & 0o400:
        raise ValueError(f"the mode {text} is none of 0400, 0600, 0440, 0640: a secret is nobody else's to read")
    return text


class DeliveredFileFile(Strict):
    """How a secret lies on a host."""

    name: Annotated[str, AfterValidator(_is_part)] | None = Field(
        None, description="The file's name. The secret's when left out."
    )
    owner: Annotated[str, AfterValidator(_is_owner)] | None = Field(
        None, description="Whose it is: a user or user:group of the host. The agent's user when left out."
    )
    mode: Annotated[str, BeforeValidator(_is_mode)] = Field(
        f"{FILE_MODE:04o}", description='Its mode: "0400", "0600", "0440" or "0640".'
    )


class SecretFile(Strict):
    """Who gets a secret, and how. Its value is put by `handsel secret put`, never written here."""

    grant: list[str] = Field([], max_length=1000, description="Services, or SPIFFE IDs, that get it.")
    group: Annotated[str, AfterValidator(_is_part)] | None = Field(
        None, description="The group that it is of: granted and delivered as one."
    )
    file: DeliveredFileFile = Field(DeliveredFileFile(), description="How it lies on a host.")
    expires: Duration | None = Field(None, description="How long a version is delivered after it was put.")


def secret_faults(
    written: Mapping[str, SecretFile], services: list[str], trust_domain: TrustDomain
) -> Iterator[tuple[Path, str]]:
    """What only the whole tells: the path of the setting, and what is wrong. `services`: those with a sidecar."""
    places: dict[tuple[str, str], str] = {}
    for key, each in written.items():
        place: Path = ("secrets", key)
        if not SECRET_NAME.fullmatch(key) or (each.group is not None and "/" in key):
            yield place, "a name has letters, digits, dots and dashes, at most 100, perhaps its group and / before it"
        if each.expires is not None and each.expires < _SHORTEST:
            yield (*place, "expires"), "must be at least a second"
        for index, grantee in enumerate(each.grant):
            if message := grantee_fault(grantee, services, trust_domain):
                yield (*place, "grant", index), message
            there = (grantee, _file_of(key, each))
            if there in places:
                yield (*place, "file"), f"{grantee!r} has the file {there[1]} of {places[there]!r} already"
            places[there] = key


def grantee_fault(grantee: str, services: list[str], trust_domain: TrustDomain) -> str:
    """What is wrong with somebody to whom a secret is granted; empty when nothing is."""
    if grantee.startswith("spiffe:"):
        try:
            identity = SpiffeId.parse(grantee)
        except ValueError as error:
            return str(error)
        if identity.trust_domain != trust_domain:
            return f"{grantee} is not of {trust_domain}, and no agent here delivers to it"
        return f"{grantee} is a part of handsel itself" if identity.is_reserved else ""
    if grantee not in services:
        hint = did_you_mean(grantee, services)
        return f"there is no service {grantee!r}{hint and ', '}{hint}"
    return ""


def read_secrets(written: Mapping[str, SecretFile], origin: Callable[[Path], str]) -> Declared:
    """The secrets that a file declares, by their whole names. `origin` says where a setting is written."""
    found = {}
    for key, each in written.items():
        name = f"{each.group}/{key}" if each.group else key
        grant = {grantee: origin(("secrets", key, "grant", index)) for index, grantee in enumerate(each.grant)}
        file = DeliveredFile(each.file.name or "", each.file.owner or "", int(each.file.mode, 8))
        found[name] = SecretDeclared(name, grant, file, each.expires)
    return found


def _file_of(key: str, written: SecretFile) -> str:
    name = f"{written.group}/{key}" if written.group else key
    before, slash, last = name.rpartition("/")
    return f"{before}{slash}{written.file.name or last}"
