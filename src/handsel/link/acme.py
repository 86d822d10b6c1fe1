"""What a workload wants of an ACME CA, as it travels in an assignment. `wire.proto` is the format."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import urlsplit

from handsel.link import wire_pb2 as wire
from handsel.model.acme_client import AcmeClient, ExternalAccount
from handsel.model.acme_client_file import canonical

_MOST_NAMES, _MOST_CONTACTS = 100, 10


def encode_acme(wish: AcmeClient) -> wire.AcmeClient:
    """The message of a wish."""
    external = wish.external_account
    return wire.AcmeClient(
        directory=wish.directory,
        names=wish.names,
        roots=wish.roots,
        contact=wish.contact,
        external_account=wire.AcmeClient.ExternalAccount(key_id=external.key_id, key_file=external.key_file)
        if external
        else None,
        challenge=wish.challenge,
        listen_address=wish.listen_address,
        listen_port=wish.listen_port,
        profile=wish.profile,
        key=wish.key,
        preferred_chain=wish.preferred_chain,
    )


def decode_acme(message: wire.AcmeClient) -> AcmeClient:
    """The wish of a message. Raises `ValueError` for what a mesh file could not say."""
    wish = AcmeClient(
        directory=message.directory,
        names=tuple(canonical(each) for each in message.names),
        roots=message.roots,
        contact=tuple(message.contact),
        external_account=_external(message),
        challenge=message.challenge,
        listen_address=message.listen_address,
        listen_port=message.listen_port,
        profile=message.profile,
        key=message.key,
        preferred_chain=message.preferred_chain,
    )
    if not 1 <= len(wish.names) <= _MOST_NAMES or len(wish.contact) > _MOST_CONTACTS:
        raise ValueError("a certificate of an ACME CA has from 1 to 100 names, and 10 contacts")
    if not wish.is_of_mesh and urlsplit(wish.directory).scheme != "https":
        raise ValueError("the directory of an ACME CA has an https address")
    if wish.roots and not PurePosixPath(wish.roots).is_absolute():
        raise ValueError("the roots of an ACME CA have an absolute path")
    if not 1 <= wish.listen_port <= 65535:
        raise ValueError("challenges are answered at a port from 1 to 65535")
    return wish


def _external(message: wire.AcmeClient) -> ExternalAccount | None:
    if not message.HasField("external_account"):
        return None
    return ExternalAccount(message.external_account.key_id, message.external_account.key_file)
