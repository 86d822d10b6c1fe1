"""What `cert issue` and `cert externalize` ask the agent of this host for, from their options."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from handsel.errors import UsageError
from handsel.model.delivery import SIGNALS, Kind

_PEM = {"key.pem": Kind.KEY, "cert.pem": Kind.CERTIFICATE, "ca.pem": Kind.ROOTS}
_BUNDLE = {"identity.pem": Kind.BUNDLE, "ca.pem": Kind.ROOTS}
_TRUST = {
    "pem": {"ca.pem": Kind.ROOTS},
    "pkcs12": {"truststore.p12": Kind.PKCS12_TRUST},
    "jks": {"truststore.jks": Kind.JKS_TRUST},
}
_Verb = TypeVar("_Verb", bound=Callable[..., Any])


@dataclass(frozen=True)
class Options:
    """What a person said, beside service and folder."""

    pem: bool
    bundle: bool
    pkcs12: bool
    jks: bool
    crl: bool
    trust_store: tuple[str, ...]
    named: tuple[str, ...]
    alias: str | None
    owner: str | None
    mode: str
    password_file: Path | None
    reload_signal: str | None
    pid_file: Path | None
    reload_command: str | None
    reload_http: str | None


def options(verb: _Verb) -> _Verb:
    """The options that say which files, whose, and what is done afterwards."""
    path = click.Path(path_type=Path)
    for add in reversed(
        (
            click.option("--pem", is_flag=True, help="key.pem, cert.pem with its chain, ca.pem."),
            click.option("--bundle", is_flag=True, help="identity.pem with key and chain in one, ca.pem."),
            click.option("--pkcs12", is_flag=True, help="keystore.p12."),
            click.option("--jks", is_flag=True, help="keystore.jks."),
            click.option(
                "--trust-store", type=click.Choice(list(_TRUST)), multiple=True,
                help="The roots: ca.pem, truststore.p12, truststore.jks.",
            ),
            click.option("--crl", is_flag=True, help="revoked.pem: the identities that are revoked."),
            click.option(
                "--file", "named", multiple=True, metavar="NAME=KIND",
                help=f"A file of any name. Kinds: {', '.join(Kind)}.",
            ),
            click.option("--alias", help="The key's name in a store.  [default: identity]"),
            click.option("--owner", help="Whose the files are: user, user:group, or numbers."),
            click.option("--mode", default="0600", show_default=True, help="Their mode."),
            click.option("--password-file", type=path, help="The stores' password.  [default: made, in `password`]"),
            click.option("--reload-signal", type=click.Choice(SIGNALS), help="Sent when files are new."),
            click.option("--pid-file", type=path, help="Where the program keeps its process id."),
            click.option("--reload-command", metavar="COMMAND", help="Run when files are new, without a shell."),
            click.option("--reload-http", metavar="URL", help="Called (POST) when files are new; on this host only."),
        )
    ):  # fmt: skip
        verb = add(verb)
    return verb


def wish(service: str, folder: Path, name: str | None, said: Options) -> dict[str, Any]:
    """The request. What is wrong in it, the agent says as for a mesh file. Raises `UsageError`."""
    files = contents(said)
    aliased = {Kind.PKCS12, Kind.JKS} if said.alias else set()
    delivery: dict[str, Any] = {
        "folder": str(folder.absolute()),
        "contents": {
            each: {"kind": str(kind), "alias": said.alias} if kind in aliased else {"kind": str(kind)}
            for each, kind in files.items()
        },
        "owner": said.owner,
        "mode": said.mode,
        "password_file": _absolute(said.password_file),
        "reload": _reload(said),
    }
    kept = {key: value for key, value in delivery.items() if value is not None}
    return {"service": service, "name": name or _name_of(folder), "delivery": kept}


def contents(said: Options) -> dict[str, Kind]:
    """The files by their names."""
    files: dict[str, Kind] = {}
    asked = said.bundle or said.pkcs12 or said.jks or said.trust_store or said.named
    if said.pem or not asked:
        files |= _PEM
    if said.bundle:
        files |= _BUNDLE
    if said.pkcs12:
        files["keystore.p12"] = Kind.PKCS12
    if said.jks:
        files["keystore.jks"] = Kind.JKS
    for each in said.trust_store:
        files |= _TRUST[each]
    if said.crl:
        files["revoked.pem"] = Kind.CRL
    for each in said.named:
        file, _, kind = each.partition("=")
        if kind not in set(Kind):
            raise UsageError(f"--file {each}: write NAME=KIND, with one of these kinds: {', '.join(Kind)}")
        files[file] = Kind(kind)
    stores = any(kind.is_store for kind in files.values())
    if stores and said.password_file is None and Kind.PASSWORD not in files.values():
        files["password"] = Kind.PASSWORD
    return files


def _reload(said: Options) -> dict[str, Any] | None:
    wanted = {
        "signal": said.reload_signal, "pid_file": _absolute(said.pid_file), "command": said.reload_command,
        "http": said.reload_http,
    }  # fmt: skip
    return {key: value for key, value in wanted.items() if value is not None} or None


def _absolute(path: Path | None) -> str | None:
    return str(path.absolute()) if path else None


def _name_of(folder: Path) -> str:
    """What a delivery is called when nobody says: as its folder, in the letters that a name has."""
    return re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-")[:63].strip("-") or "files"
