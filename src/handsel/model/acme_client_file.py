"""The part `services.NAME.acme:` of the mesh file."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from handsel.documents.yaml import Path
from handsel.model.acme_client import OF_MESH, TAKEN_NAMES, AcmeClient, Challenge, ExternalAccount
from handsel.model.faults import FilePath, Strict
from handsel.pki.names import Names

_MAIL = re.compile(r"(mailto:)?[^\s@,?:]{1,64}@[^\s@,?:]{1,253}")
_LISTEN = re.compile(r"(?P<address>\[[0-9a-f:.]+\]|[0-9.]*):(?P<port>\d{1,5})")
_MOST_NAMES = 100


def _is_directory(text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port
        fine = parts.scheme == "https" and bool(parts.hostname) and parts.username is None and not parts.fragment
    except ValueError:
        fine = False
    if text != OF_MESH and not (fine and text.isascii() and text.isprintable() and " " not in text):
        raise ValueError(f"{text[:60]!r} is neither `{OF_MESH}` nor the https address of an ACME directory")
    return text


def _is_mail(text: str) -> str:
    if not _MAIL.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no mail address")
    return text


def _is_listen(text: str) -> str:
    read_listen(text)
    return text


def read_listen(text: str) -> tuple[str, int]:
    """`127.0.0.1:8089`, `[::1]:8089`, or `:80` for every address. Raises `ValueError`."""
    match = _LISTEN.fullmatch(text)
    try:
        address = match["address"].strip("[]") if match else "?"
        if address:
            ipaddress.ip_address(address)
    except ValueError:
        match = None
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise ValueError(f"{text[:60]!r} is no address to listen at: 127.0.0.1:8089, or :80 for every address")
    return address, int(match["port"])


class ExternalAccountFile(Strict):
    """The account at the CA that the ACME account is bound to."""

    key_id: Annotated[str, Field(min_length=1, max_length=200)] = Field(description="As the CA gave it.")
    key: FilePath = Field(description="A file of the host (0600) whose first line is the key, base64url.")


class AcmeClientFile(Strict):
    """A certificate of an ACME CA, which the agent orders and renews; the CA's terms of service are agreed to."""

    directory: Annotated[str, AfterValidator(_is_directory)] = Field(
        description=f"Address of the CA's directory, or `{OF_MESH}`: the server of this mesh."
    )
    names: list[str] = Field(min_length=1, max_length=_MOST_NAMES, description="DNS names and IP addresses.")
    roots: FilePath | None = Field(
        None, description="PEM file with whom to believe when speaking to the CA. The system's when left out."
    )
    contact: list[Annotated[str, AfterValidator(_is_mail)]] = Field(
        [], max_length=10, description="Mail addresses that the CA may write to."
    )
    external_account: ExternalAccountFile | None = Field(None, description="Where the CA asks for one.")
    challenge: Challenge = Field(Challenge.HTTP, description="How control of the names is shown.")
    listen: Annotated[str, AfterValidator(_is_listen)] | None = Field(
        None, description="Where the agent answers challenges: `127.0.0.1:8089`. `:80`, or `:443`, when left out."
    )
    profile: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        None, description="One of the CA's profiles. Its usual one when left out."
    )
    key: Literal["p256", "p384", "rsa2048", "rsa3072", "rsa4096"] = Field(
        "p256", description="The kind of key; a new one for each certificate."
    )
    preferred_chain: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Common name of the root that the chain leads to, where the CA offers several."
    )


def acme_client_faults(written: AcmeClientFile) -> Iterator[tuple[Path, str]]:
    """What pydantic's fields do not tell: the path of the setting below `acme`, and what is wrong."""
    seen: set[str] = set()
    for index, name in enumerate(written.names):
        try:
            found = canonical(name)
        except ValueError as error:
            yield ("names", index), str(error)
            continue
        if found.startswith("*."):
            yield ("names", index), f"{written.challenge} cannot show control of a wildcard"
        if found in TAKEN_NAMES:
            yield ("names", index), f"{found!r} means something else on a workload's socket"
        if found in seen:
            yield ("names", index), f"{found!r} is there twice"
        seen.add(found)
    if written.directory == OF_MESH and written.roots is not None:
        yield ("roots",), f"the directory `{OF_MESH}` is believed by the roots of the mesh"


def canonical(name: str) -> str:
    """A DNS name or an IP address as certificates have it. Raises `ValueError`."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return Names(dns=(name,)).dns[0]


def read_acme_client(written: AcmeClientFile, absolute: Callable[[str], str]) -> AcmeClient:
    """What a person wrote, as the model has it."""
    external = written.external_account
    usual = ("", written.challenge.usual_port)
    address, port = read_listen(written.listen) if written.listen else usual
    return AcmeClient(
        directory=written.directory,
        names=tuple(canonical(each) for each in written.names),
        roots=absolute(written.roots) if written.roots else "",
        contact=tuple(each if each.startswith("mailto:") else f"mailto:{each}" for each in written.contact),
        external_account=ExternalAccount(external.key_id, absolute(external.key)) if external else None,
        challenge=str(written.challenge),
        listen_address=address,
        listen_port=port,
        profile=written.profile or "",
        key=written.key,
        preferred_chain=written.preferred_chain or "",
    )
