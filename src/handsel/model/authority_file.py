"""The part `authority:` of the mesh file."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Annotated, Literal

from cryptography.x509 import ObjectIdentifier
from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from handsel.documents.yaml import Path
from handsel.model.authority import (
    MESH_ISSUER,
    OWN_PROFILES,
    USUAL_KEYS,
    Acme,
    Authority,
    CrlSettings,
    IssuingCa,
    Keys,
    Limits,
    NameSet,
    Profile,
    Validation,
)
from handsel.model.durations import Duration
from handsel.model.faults import NAME, FilePath, Port, Strict
from handsel.model.name_patterns import parse
from handsel.model.policy_file import RuleFile, policy_faults, read_policy
from handsel.model.registration_file import RegistrationFile, read_registration
from handsel.model.token_uri import TokenUri
from handsel.pki.keys import KeyType
from handsel.pki.names import dns_name


class ValidationFile(Strict):
    """How it is looked whether an ACME client controls a name."""

    http_port: Port = Field(80, description="Where http-01 asks.")
    tls_port: Port = Field(443, description="Where tls-alpn-01 connects.")
    resolver: str = Field("system", description="`system`, or a DNS server as ip:port.")
    allow_private_addresses: bool = Field(
        True, description="Whether names may lead to private addresses and loopback, and have one label."
    )
    caa: bool = Field(False, description="Whether CAA records are asked for.")
    caa_names: list[str] = Field([], description="The names that stand for this authority in CAA records.")

    @field_validator("resolver")
    @classmethod
    def _is_resolver(cls, text: str) -> str:
        if text != "system":
            read_address(text)
        return text


class LimitsFile(Strict):
    """How often ACME clients may ask: so many in an hour, as many at once, 0 for no limit."""

    accounts_per_address: int = Field(1_000, ge=0, le=1_000_000, description="New accounts from one client address.")
    orders_per_account: int = Field(20_000, ge=0, le=1_000_000, description="New orders of one account.")
    orders_per_name: int = Field(
        20_000, ge=0, le=1_000_000, description="New orders for names that end in the same two labels."
    )


class AcmeFile(Strict):
    """The ACME door."""

    external_account_required: bool = Field(False, description="True: accounts need a key from `handsel ca acme eab`.")
    terms_of_service: str | None = Field(None, description="Address of terms that clients must agree to.")
    validation: ValidationFile = Field(ValidationFile(), description="How control of a name is looked at.")
    limits: LimitsFile = Field(LimitsFile(), description="How often clients may ask.")


class CrlFile(Strict):
    """The revocation lists."""

    lifetime: Duration = Field(
        timedelta(days=1), description="How long a complete list is good; made anew at half of that.",
        json_schema_extra={"default": "1d"},
    )  # fmt: skip
    delta_lifetime: Duration = Field(
        timedelta(hours=1), description="How long the list of what changed since is good.",
        json_schema_extra={"default": "1h"},
    )  # fmt: skip
    shards: int = Field(4, ge=1, le=256, description="Into how many lists the certificates of a CA are divided.")


def _is_status_url(text: str) -> str:
    if not _STATUS_URL.fullmatch(text):
        raise ValueError(
            f"{text[:60]!r} is no plain http address without a slash at its end, as http://ca.example:8880"
        )
    return text


_STATUS_URL = re.compile(r"http://[A-Za-z0-9.\-\[\]:]{1,255}(/[A-Za-z0-9._~-]{1,64}){0,4}")

_FORBIDDEN_USAGES = {"1.3.6.1.5.5.7.3.9": "signing OCSP answers", "2.5.29.37.0": "any usage"}
"""What no leaf may be for: whoever holds it could say of every certificate that it is good."""


def _is_pattern(text: str) -> str:
    parse(text)
    return text


def _is_usage(text: str) -> str:
    if text in _FORBIDDEN_USAGES:
        raise ValueError(f"{text} ({_FORBIDDEN_USAGES[text]}) is given to no leaf")
    if text not in _USAGES:
        try:
            ObjectIdentifier(text)
        except ValueError:
            raise ValueError(f"a usage is one of {', '.join(_USAGES)}, or a dotted OID, not {text[:40]!r}") from None
    return text


def _is_dns(text: str) -> str:
    return dns_name(text)


def _is_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no network, such as 10.0.0.0/8") from None


def _is_token(text: str) -> str:
    TokenUri.parse(text)
    return text


def _keys(said: object) -> object:
    """A URI alone stands for a token."""
    return {"token": said} if isinstance(said, str) else said


def ca_name(name: str) -> str:
    """The name of an issuing CA. Raises `ValueError`."""
    if not NAME.fullmatch(name) or name.startswith("root"):
        raise ValueError("a CA's name has lower-case letters, digits and dashes, and does not begin with root")
    return name


SHORTEST_CA_LIFE = timedelta(minutes=1)
_SHORTEST_LIFE, LONGEST_LIFE = timedelta(seconds=2), timedelta(days=3650)
_USAGES = ("server_auth", "client_auth", "code_signing", "email_protection")


def _is_free(name: str) -> str:
    if name in OWN_PROFILES:
        raise ValueError(f"the profile {name!r} is handsel's own: choose another name")
    if not NAME.fullmatch(name):
        raise ValueError("a profile's name has lower-case letters, digits and dashes, at most 63")
    return name


class ProfileFile(Strict):
    """One kind of certificate."""

    key: KeyType | None = Field(None, description="The only kind of key that it may hold. Any usual one when left out.")
    keys: list[KeyType] = Field([], description="The kinds of keys that it may hold, when there are several.")
    lifetime: Duration = Field(
        timedelta(hours=24), description="How long its certificates live.", json_schema_extra={"default": "1d"}
    )
    issuer: str = Field(MESH_ISSUER, description="The CA that signs it.")
    names: list[Annotated[str, AfterValidator(_is_pattern)]] = Field(
        [], description="What its names must match. All that the policy allows when left out."
    )
    usages: list[Annotated[str, AfterValidator(_is_usage)]] = Field(
        ["server_auth", "client_auth"],
        description="Extended key usages: server_auth, client_auth, code_signing, email_protection, or OIDs.",
    )
    common_name: bool = Field(False, description="Whether the subject carries the first DNS name.")
    acme: bool = Field(True, description="Whether ACME clients may order it.")
    lint: bool = Field(False, description="Whether each certificate is linted, not only the profile.")
    status: bool | None = Field(
        None, description="Whether it says where its status is. If it lives longer than a week, when left out."
    )
    validity: Literal["own", "public-web"] = Field(
        "own",
        description="`public-web`: at most as long as a public web certificate may live then (200 days and less).",
    )
    reuse_keys: bool = Field(
        True, description="Whether a certificate for the same names may have the key of the one that it follows."
    )
    description: str = Field("", description="What clients are told about it.")


class NamesFile(Strict):
    """Names, with all below them (RFC 5280, section 4.2.1.10)."""

    dns: list[Annotated[str, AfterValidator(_is_dns)]] = Field([], max_length=100, description="DNS names.")
    ip: list[Annotated[str, AfterValidator(_is_network)]] = Field([], max_length=100, description="Networks, as CIDR.")
    uri: list[Annotated[str, AfterValidator(_is_dns)]] = Field([], max_length=100, description="Hosts of URIs.")
    mail: list[Annotated[str, AfterValidator(_is_dns)]] = Field([], max_length=100, description="Hosts of mailboxes.")


class IssuingFile(Strict):
    """One issuing CA."""

    key: Literal["p256", "p384", "rsa2048", "rsa3072", "rsa4096", "ed25519", "mldsa65"] = Field(
        "p256", description="The kind of its key."
    )
    lifetime: Duration = Field(
        timedelta(days=365), description="How long it lives.", json_schema_extra={"default": "365d"}
    )
    permitted: NamesFile = Field(NamesFile(), description="The only names that it may sign for. Any when left out.")
    excluded: NamesFile = Field(NamesFile(), description="Names that it must not sign for.")


class KeysFile(Strict):
    """Where the CA's keys are."""

    password_file: FilePath | None = Field(None, description="A file with the password that encrypts the key files.")
    token: Annotated[str, AfterValidator(_is_token)] | None = Field(
        None, description="A token that holds the keys, as a pkcs11: URI (RFC 7512)."
    )


class AuthorityFile(Strict):
    """The authority."""

    keys: Annotated[KeysFile, BeforeValidator(_keys)] = Field(
        KeysFile(),
        description="Where the CA's keys are: a pkcs11: URI, or keys and values.",
    )
    issuing: dict[Annotated[str, AfterValidator(ca_name)], IssuingFile] = Field(
        {}, max_length=32, description="Issuing CAs, by name. `issuing` is the one that every authority has."
    )

    acme: AcmeFile = Field(AcmeFile(), description="The ACME door.")
    profiles: dict[Annotated[str, AfterValidator(_is_free)], ProfileFile] = Field(
        {}, description="Kinds of certificates, by name."
    )
    policy: list[RuleFile] | None = Field(
        None, description="Who may have which names. All that was proven when left out; else only what a rule allows."
    )
    registration: list[RegistrationFile] = Field([], description="Which hosts may join by evidence, and as what.")
    recovery_grace: Duration = Field(
        timedelta(days=7),
        description="How long after its certificate has ended a host may prove by its recovery key who it is.",
        json_schema_extra={"default": "7d"},
    )
    root_notice: Duration = Field(
        timedelta(days=1),
        description="How long a new root is shown before it signs, and an old one believed at least after that, for "
        "clients that read the roots from a file.",
        json_schema_extra={"default": "1d"},
    )
    status_url: Annotated[str, AfterValidator(_is_status_url)] | None = Field(
        None, description="Where readers find OCSP and CRLs. Where the server listens for them, when left out."
    )
    crl: CrlFile = Field(CrlFile(), description="The revocation lists.")
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


def authority_faults(content: AuthorityFile) -> Iterator[tuple[Path, str]]:
    """What only the whole part shows, each with its path below `authority`."""
    for name, profile in content.profiles.items():
        if not _SHORTEST_LIFE <= profile.lifetime <= LONGEST_LIFE:
            yield ("profiles", name, "lifetime"), "must be between 2s and 3650d"
        if profile.issuer != MESH_ISSUER and profile.issuer not in content.issuing:
            known = ", ".join([MESH_ISSUER, *(each for each in content.issuing if each != MESH_ISSUER)])
            yield ("profiles", name, "issuer"), f"there is no issuing CA {profile.issuer[:63]!r}; known: {known}"
    for name, issuing in content.issuing.items():
        if not SHORTEST_CA_LIFE <= issuing.lifetime <= LONGEST_LIFE:
            yield ("issuing", name, "lifetime"), "must be between 1m and 3650d"
    if content.keys.token and content.keys.password_file:
        yield ("keys",), "a token has no password's file: its URI names the file of the PIN"
    yield from policy_faults(content.policy, [*content.profiles, "default"], OWN_PROFILES)


def read_authority(
    content: AuthorityFile, where: Callable[[Path], str], absolute: Callable[[str], str] = lambda path: path
) -> Authority:
    """The authority that a valid file describes. `where` gives the place of a path below `authority`."""
    acme = content.acme
    validation = Validation(**acme.validation.model_dump() | {"caa_names": tuple(acme.validation.caa_names)})
    return Authority(
        Acme(acme.external_account_required, validation, acme.terms_of_service, Limits(**acme.limits.model_dump())),
        {name: _profile(name, each) for name, each in content.profiles.items()},
        policy=read_policy(content.policy, where),
        registration=read_registration(content.registration, absolute),
        recovery_grace=content.recovery_grace,
        root_notice=content.root_notice,
        status_url=content.status_url or "",
        crl=CrlSettings(content.crl.lifetime, content.crl.delta_lifetime, content.crl.shards),
        keys=Keys(content.keys.token or "", absolute(content.keys.password_file) if content.keys.password_file else ""),
        issuing={name: _issuing(name, each) for name, each in content.issuing.items()},
    )


def _issuing(name: str, content: IssuingFile) -> IssuingCa:
    permitted, excluded = (_names(each) for each in (content.permitted, content.excluded))
    return IssuingCa(name, KeyType(content.key), content.lifetime, permitted, excluded)


def _names(content: NamesFile) -> NameSet:
    return NameSet(tuple(content.dns), tuple(content.ip), tuple(content.uri), tuple(content.mail))


def _profile(name: str, content: ProfileFile) -> Profile:
    keys = frozenset([*content.keys, *([content.key] if content.key else [])]) or USUAL_KEYS
    return Profile(
        name, content.lifetime, issuer=content.issuer, keys=keys, extended_usages=tuple(content.usages),
        common_name=content.common_name, acme=content.acme, names=tuple(content.names), lint_leaves=content.lint,
        pointers=content.status, description=content.description, reuse_keys=content.reuse_keys,
        as_public_web=content.validity == "public-web",
    )  # fmt: skip
