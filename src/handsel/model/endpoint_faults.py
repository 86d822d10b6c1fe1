"""What is wrong with the certificates of a load balancer: each endpoint's own, and those of its clients."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from handsel.documents.yaml import Path
from handsel.model.balancer import ClientMode, HttpMode
from handsel.model.balancer_file import BalancerFile, SslEndpointFile, names_of
from handsel.model.certificate_files import LARGEST_KEY_STORE, Pair, ReadFile, bundle_faults, list_faults, look
from handsel.model.faults import HOST
from handsel.model.mapping_faults import mappings_faults
from handsel.model.name_patterns import Pattern

MOST_ALLOWED = {HttpMode.OFF: 240, HttpMode.ON: 120, HttpMode.REDIRECT: 120}
"""Networks in an allowlist."""
_NAMES_TOLD = 5

Faults = Iterator[tuple[Path, str]]


@dataclass(frozen=True)
class Files:
    """The files that a mesh file names. `absolute` turns a path of it into an absolute one."""

    absolute: Callable[[str], str]
    read: ReadFile

    def look(self, certificate: str, private_key: str) -> Pair:
        return look(self.absolute(certificate), self.absolute(private_key), self.read)

    def faults(self, path: Path, file: str, check: Callable[[bytes], list[str]] = lambda _content: []) -> Faults:
        """A path that starts at the mesh file must be there; an absolute one is the agent's, perhaps elsewhere."""
        if not file:
            return
        content = self.read(self.absolute(file))
        if content is not None:
            yield from ((path, message) for message in check(content))
        elif not PurePath(file).is_absolute():
            yield path, f"there is no file {file}"


def allowlist_faults(path: Path, said: Sequence[str], mode: HttpMode) -> Faults:
    """What is wrong with a list of networks."""
    if len(said) > MOST_ALLOWED[mode]:
        yield path, f"at most {MOST_ALLOWED[mode]} networks with http_mode {mode}, not {len(said)}"
    for index, text in enumerate(said):
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            yield (*path, index), f"{text[:60]!r} is no network, such as 10.0.0.0/8"


def clients_faults(mode: ClientMode, ca: str, crl: str, files: Files) -> Faults:
    """What is wrong with what is said of client certificates."""
    if mode is not ClientMode.OFF and not ca:
        yield ("verify_client_mode",), "needs client_cert: the CAs by which certificates are checked"
    if crl and not ca:
        yield ("revocation_list",), "needs client_cert: the CAs whose lists they are"
    yield from files.faults(("client_cert",), ca, bundle_faults)
    yield from files.faults(("revocation_list",), crl, list_faults)


def endpoints_faults(said: BalancerFile, files: Files) -> Faults:
    """What is wrong with the endpoints, each with its path below `ssl_endpoints`."""
    taken: dict[str, int] = {}
    for index, each in enumerate(said.ssl_endpoints):
        yield from (((index, *path), message) for path, message in _endpoint(each, said, files))
        for name in names_of(each, files.absolute, files.read):
            if name in taken:
                yield (index,), f"{name} is a name of ssl_endpoints[{taken[name]}] already"
            taken.setdefault(name, index)


def _endpoint(said: SslEndpointFile, above: BalancerFile, files: Files) -> Faults:
    pairs: list[tuple[Path, str, str]] = [((), said.public_key, said.private_key)]
    for index, each in enumerate(said.more_certificates):
        pairs.append((("more_certificates", index), each.public_key, each.private_key))
    looked = [files.look(public, key) for _, public, key in pairs]
    for (path, public, key), pair in zip(pairs, looked, strict=True):
        yield from (((*path, below), text) for below, text in pair.faults)
        yield from files.faults((*path, "public_key"), public)
        yield from files.faults((*path, "private_key"), key)
    yield from _together(looked)
    names = names_of(said, files.absolute, files.read)
    if not looked[0].here and not names:
        yield ("names",), "is missing: the certificate is not on this machine, so its names are written here"
    for index, name in enumerate(said.vanity_names):
        yield from _vanity(("vanity_names", index), name.lower(), names)
    yield from ((("mappings", *path), text) for path, text in mappings_faults(said.mappings, above.applications))
    yield from allowlist_faults(("ip_allowlist",), said.ip_allowlist, above.http_mode)
    if said.verify_client_mode is not None or said.client_cert or said.revocation_list:
        mode = above.verify_client_mode if said.verify_client_mode is None else said.verify_client_mode
        crl = said.revocation_list or above.revocation_list
        yield from clients_faults(mode, said.client_cert or above.client_cert, crl, files)


def _together(looked: Sequence[Pair]) -> Faults:
    """Several certificates for the same names."""
    here = [each for each in looked if each.here and not each.faults]
    for kind, count in Counter("RSA" if each.is_rsa else "ECDSA" for each in here).items():
        if count > 1:
            yield ("more_certificates",), f"{count} of the certificates have a key of the kind {kind}: one of each kind"
    for each in here[1:]:
        if set(each.names) != set(here[0].names):
            yield ("more_certificates",), f"names {_told(each.names)}, and the first {_told(here[0].names)}"
    if sum(each.size for each in here) > LARGEST_KEY_STORE:
        yield ("public_key",), f"certificates and keys are larger than {LARGEST_KEY_STORE >> 10} KB together"


def _vanity(path: Path, name: str, names: Sequence[str]) -> Faults:
    if not HOST.fullmatch(name):
        yield path, f"{name[:60]!r} is no host name"
    elif names and not any(_covers(each, name) for each in names):
        yield path, f"the certificate does not cover {name}: it has {_told(names)}"


def _covers(certificate: str, name: str) -> bool:
    """As clients compare it: a wildcard stands for one label (RFC 6125, section 6.4.3)."""
    try:
        return Pattern("dns", certificate).covers(name)
    except ValueError:
        return certificate == name


def _told(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_TOLD
    return ", ".join(names[:_NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")
