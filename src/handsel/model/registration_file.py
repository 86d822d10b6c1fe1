"""The part `authority.registration:` of the mesh file: which hosts join by evidence, and as what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import Field, model_validator

from handsel.model.authority import Registration
from handsel.model.faults import FilePath, Strict
from handsel.model.placeholders import fault_of

_NEEDED = {
    "x509pop": ("roots",), "ssh_host": ("roots",), "tpm": ("roots",), "oidc": ("issuer", "audience"),
    "kubernetes": ("issuer", "audience", "keys"),
}  # fmt: skip
_OF_TOKENS = ("issuer", "audience", "keys", "ca")
_STRANGE = {
    "x509pop": _OF_TOKENS, "ssh_host": _OF_TOKENS, "tpm": _OF_TOKENS, "oidc": ("roots",), "kubernetes": ("roots",),
}  # fmt: skip


class RegistrationFile(Strict):
    """A rule of which hosts may join by evidence, and for which services. The first that fits decides."""

    name: str | None = Field(None, description="What the rule is called in refusals. Its place when left out.")
    attestor: Literal["x509pop", "kubernetes", "oidc", "ssh_host", "tpm"] = Field(
        description="What the evidence is: a certificate, a token, an SSH host key, a TPM."
    )
    when: dict[str, str | list[str]] = Field(
        {},
        description="For each selector the patterns of which one must fit: * is anything without /, ** anything.",
    )
    services: list[str] = Field([], description='Templates of services, such as "{namespace}-web". "*": every service.')
    identities: list[str] = Field(
        [], description='Templates of identities, such as "spiffe://{trust_domain}/ns/{namespace}/sa/{pod}".'
    )
    issuer: str | None = Field(None, description="Who must have made the token.")
    audience: str | None = Field(None, description="For whom the token must have been made.")
    keys: str | None = Field(
        None, description="The issuer's keys: a file with a JWKS, or its https address. The issuer's own if left out."
    )
    ca: FilePath | None = Field(None, description="Roots by which the issuer's own door is checked, as PEM.")
    roots: FilePath | None = Field(None, description="CAs that are believed: PEM, for ssh_host lines of public keys.")

    @model_validator(mode="after")
    def _is_whole(self) -> RegistrationFile:
        needed = _NEEDED[self.attestor]
        missing = [name for name in needed if getattr(self, name) is None]
        strange = [name for name in _STRANGE[self.attestor] if getattr(self, name) is not None]
        if missing or strange:
            fault = f"needs {missing[0]!r}" if missing else f"knows no {strange[0]!r}"
            raise ValueError(f"the attestor {self.attestor} {fault}")
        if not (self.services or self.identities):
            raise ValueError("says neither services nor identities")
        if self.attestor == "oidc" and not self.when:
            raise ValueError("needs 'when': everybody with a token of this issuer would join")
        faults = [fault for each in (*self.services, *self.identities) if (fault := fault_of(each))]
        if faults:
            raise ValueError(faults[0])
        for address in (self.issuer if self.attestor == "oidc" else None, self.keys):
            if address is not None and "://" in address and not address.startswith("https://"):
                raise ValueError(f"{address!r} must be an https address")
        return self


def read_registration(content: Sequence[RegistrationFile], absolute: Callable[[str], str]) -> tuple[Registration, ...]:
    """The rules that a valid file has. `absolute` makes a path of the file absolute."""
    return tuple(_rule(number, each, absolute) for number, each in enumerate(content, start=1))


def _rule(number: int, content: RegistrationFile, absolute: Callable[[str], str]) -> Registration:
    def path(text: str | None) -> str:
        return absolute(text) if text and "://" not in text else text or ""

    return Registration(
        content.name or f"rule {number}",
        content.attestor,
        {name: (each,) if isinstance(each, str) else tuple(each) for name, each in content.when.items()},
        tuple(content.services),
        tuple(content.identities),
        content.issuer or "",
        content.audience or "",
        path(content.keys),
        path(content.ca),
        path(content.roots),
    )
