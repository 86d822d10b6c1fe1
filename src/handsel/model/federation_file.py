"""`spiffe:` and `federation:` in the mesh file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from handsel.model.durations import Duration
from handsel.model.faults import FilePath, Strict
from handsel.model.federation import EndpointProfile, Federated, SpiffeSettings
from handsel.pki.names import SpiffeId, TrustDomain

Faults = Iterator[tuple[tuple[str | int, ...], str]]
_LEAST_HINTS = 10


class SpiffeFile(Strict):
    """JWT-SVIDs and the bundle of this trust domain."""

    jwt_lifetime: Duration = Field(timedelta(minutes=5), description="How long a JWT-SVID lives.")
    jwt_key_lifetime: Duration = Field(timedelta(days=1), description="How long a key signs JWT-SVIDs.")
    refresh_hint: Duration = Field(timedelta(minutes=5), description="How often others should look at our bundle.")


class FederatedFile(Strict):
    """Another trust domain."""

    url: str = Field(description="Where its bundle is: https://host/path.")
    profile: Literal["https_web", "https_spiffe"] = Field(
        description="How its server proves itself: by a certificate for the host of the URL, or by its X.509-SVID."
    )
    endpoint_id: str | None = Field(None, description="https_spiffe: the SPIFFE ID of that server.")
    bundle: FilePath | None = Field(None, description="https_spiffe: a file with its bundle for the first contact.")
    roots: FilePath | None = Field(None, description="https_web: PEM file to check it with. The system's if left out.")


def spiffe_faults(content: SpiffeFile) -> Faults:
    """What is wrong with the times, each with its path."""
    if not timedelta(seconds=2) <= content.jwt_lifetime <= timedelta(hours=1):
        yield ("jwt_lifetime",), "must be between 2s and 1h"
    if not timedelta(seconds=1) <= content.refresh_hint <= timedelta(days=1):
        yield ("refresh_hint",), "must be between 1s and 1d"
    if not _LEAST_HINTS * content.refresh_hint <= content.jwt_key_lifetime <= timedelta(days=90):
        yield ("jwt_key_lifetime",), f"must be between {_LEAST_HINTS} times refresh_hint and 90d"


def federation_faults(content: Mapping[str, FederatedFile], own: TrustDomain) -> Faults:
    """What only the whole of a part can tell, each with its path."""
    for name, each in content.items():
        try:
            if TrustDomain(name) == own:
                yield (name,), "is this trust domain itself"
        except ValueError as error:
            yield (name,), str(error)
        yield from (((name, *path), message) for path, message in _faults_of(name, each))


def _faults_of(name: str, each: FederatedFile) -> Faults:
    if not _is_https(each.url):
        yield ("url",), f"{each.url!r} is no https address without a user"
    if each.profile == "https_web":
        for key in ("endpoint_id", "bundle"):
            if getattr(each, key) is not None:
                yield (key,), "belongs to https_spiffe"
        return
    if each.roots is not None:
        yield ("roots",), "belongs to https_web"
    if each.endpoint_id is None or each.bundle is None:
        yield (), "https_spiffe needs endpoint_id, and bundle for the first contact"
        return
    try:
        identity = SpiffeId.parse(each.endpoint_id)
    except ValueError as error:
        yield ("endpoint_id",), str(error)
        return
    if str(identity.trust_domain) != name or not identity.path:
        yield ("endpoint_id",), f"must be somebody of {name}: its bundle proves who serves it"


def _is_https(url: str) -> bool:
    try:
        parsed = urlsplit(url)
        return (
            parsed.scheme == "https" and bool(parsed.hostname) and parsed.username is None and parsed.password is None
            and not parsed.fragment and (parsed.port is None or parsed.port > 0)
        )  # fmt: skip
    except ValueError:
        return False


def read_spiffe(content: SpiffeFile) -> SpiffeSettings:
    return SpiffeSettings(content.jwt_lifetime, content.jwt_key_lifetime, content.refresh_hint)


def read_federation(content: Mapping[str, FederatedFile], absolute: Callable[[str], str]) -> dict[str, Federated]:
    """The other trust domains by name, of a part without faults."""
    return {
        name: Federated(
            TrustDomain(name), each.url, EndpointProfile(each.profile),
            SpiffeId.parse(each.endpoint_id) if each.endpoint_id else None,
            absolute(each.bundle) if each.bundle else "", absolute(each.roots) if each.roots else "",
        )
        for name, each in content.items()
    }  # fmt: skip
