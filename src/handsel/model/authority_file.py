"""The part `authority:` of the mesh file."""

from __future__ import annotations

import ipaddress
from datetime import timedelta

from pydantic import Field, field_validator

from handsel.model.authority import MESH_ISSUER, USUAL_KEYS, Acme, Authority, Profile, Validation
from handsel.model.durations import Duration
from handsel.model.faults import Port, Strict
from handsel.pki.keys import KeyType


class ValidationFile(Strict):
    """How it is looked whether an ACME client controls a name."""

    http_port: Port = Field(80, description="Where http-01 asks.")
    tls_port: Port = Field(443, description="Where tls-alpn-01 connects.")
    resolver: str = Field("system", description="`system`, or a DNS server as ip:port.")
    allow_private_addresses: bool = Field(
        True, description="Whether names may lead to private addresses and loopback, and have one label."
    )
    caa: bool = Field(False, description="Whether CAA records are asked for.")

    @field_validator("resolver")
    @classmethod
    def _is_resolver(cls, text: str) -> str:
        if text != "system":
            read_address(text)
        return text


class AcmeFile(Strict):
    """The ACME door."""

    external_account_required: bool = Field(False, description="True: accounts need a key from `handsel ca acme eab`.")
    terms_of_service: str | None = Field(None, description="Address of terms that clients must agree to.")
    validation: ValidationFile = Field(ValidationFile(), description="How control of a name is looked at.")


class ProfileFile(Strict):
    """One kind of certificate."""

    key: KeyType | None = Field(None, description="The only kind of key that it may hold. Any usual one when left out.")
    keys: list[KeyType] = Field([], description="The kinds of keys that it may hold, when there are several.")
    lifetime: Duration = Field(
        timedelta(hours=24), description="How long its certificates live.", json_schema_extra={"default": "1d"}
    )
    issuer: str = Field(MESH_ISSUER, description="The CA that signs it.")
    names: list[str] = Field([], description="What its names must match. All that the policy allows when left out.")
    usages: list[str] = Field(
        ["server_auth", "client_auth"],
        description="Extended key usages: server_auth, client_auth, code_signing, email_protection, or OIDs.",
    )
    common_name: bool = Field(False, description="Whether the subject carries the first DNS name.")
    acme: bool = Field(True, description="Whether ACME clients may order it.")
    lint: bool = Field(False, description="Whether each certificate is linted, not only the profile.")
    status: bool | None = Field(
        None, description="Whether it says where its status is. If it lives longer than a week, when left out."
    )
    description: str = Field("", description="What clients are told about it.")


class AuthorityFile(Strict):
    """The authority."""

    NOT_YET = ("keys",)

    acme: AcmeFile = Field(AcmeFile(), description="The ACME door.")
    profiles: dict[str, ProfileFile] = Field({}, description="Kinds of certificates, by name.")

    leaf_lifetime: Duration = Field(
        timedelta(hours=1), description="How long a workload's certificate lives.", json_schema_extra={"default": "1h"}
    )
    renew_after: Duration | None = Field(
        None, description="For tests: renew at this age. Between half and two thirds of life when left out."
    )


def read_address(text: str) -> tuple[str, int]:
    """An address with a port, such as `10.0.0.7:443` or `[::1]:53`. Raises `ValueError`."""
    address, separator, port = text.rpartition(":")
    try:
        parsed = ipaddress.ip_address(address.strip("[]"))
        if not separator or not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise ValueError
    except ValueError:
        raise ValueError(f"{text!r} is no address with a port, such as 10.0.0.7:443") from None
    return str(parsed), int(port)


def read_authority(content: AuthorityFile) -> Authority:
    """The authority that a valid file describes."""
    acme = content.acme
    validation = Validation(**acme.validation.model_dump())
    return Authority(
        Acme(acme.external_account_required, validation, acme.terms_of_service),
        {name: _profile(name, each) for name, each in content.profiles.items()},
    )


def _profile(name: str, content: ProfileFile) -> Profile:
    keys = frozenset([*content.keys, *([content.key] if content.key else [])]) or USUAL_KEYS
    return Profile(
        name, content.lifetime, issuer=content.issuer, keys=keys, extended_usages=tuple(content.usages),
        common_name=content.common_name, acme=content.acme, names=tuple(content.names), lint_leaves=content.lint,
        pointers=content.status, description=content.description,
    )  # fmt: skip
