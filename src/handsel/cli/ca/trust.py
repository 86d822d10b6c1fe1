"""`handsel ca trust`: the root in the stores of this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from handsel.cli import common

if TYPE_CHECKING:
    from handsel.pki.certificate import Certificate
    from handsel.wiring.trust import Line, Wanted

_Verb = TypeVar("_Verb", bound=Callable[..., Any])
_path = click.Path(path_type=Path)
_options = (
    click.option("--store", type=click.Choice(["system", "java", "nss", "all"]), default="all", show_default=True,
                 help="Which stores: the system's, Java's, those of Firefox and Chromium."),
    common.state_option,
    common.config_option,
    click.option("--roots", type=_path, default=None, help="A PEM file with the roots, instead of a state folder."),
    click.option("--system-anchors", type=_path, default=None, envvar="HANDSEL_SYSTEM_ANCHORS",
                 show_default="the system's", help="Where an administrator adds roots (Debian)."),
    click.option("--system-certificates", type=_path, default=None, envvar="HANDSEL_SYSTEM_CERTIFICATES",
                 show_default="the system's", help="What update-ca-certificates makes of them (Debian)."),
    click.option("--java-keystore", type=_path, default=None, envvar="HANDSEL_JAVA_KEYSTORE",
                 show_default="cacerts of JAVA_HOME, else of the java on PATH", help="The trust store of Java."),
    click.option("--password-file", type=_path, default=None, show_default="$HANDSEL_STORE_PASSWORD, else changeit",
                 help="The file with the password of Java's store."),
    click.option("--nss-database", type=_path, default=None, envvar="HANDSEL_NSS_DATABASE",
                 show_default="~/.pki/nssdb and Firefox's profiles", help="The folder of a database of NSS."),
    click.option("--nss-password-file", type=_path, default=None, help="The file with the password of NSS databases."),
    common.output_option,
)  # fmt: skip
_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


def _all_options(verb: _Verb) -> _Verb:
    for option in reversed(_options):
        verb = option(verb)
    return verb


@click.group()
def command() -> None:
    """Put the root of the authority into the stores of trusted roots of this machine, and take it out again.

    What is put in is named after the trust domain and the root's fingerprint, and nothing else is ever taken out.

    \b
    Examples:
      handsel ca trust install --state /var/lib/handsel
      handsel ca trust status --roots root.pem -o json
      handsel ca trust uninstall --store java --state /var/lib/handsel
    """


@command.command()
@click.option("--create-nss", is_flag=True, help="Make the database of NSS when there is none.")
@_dry_run
@_all_options
def install(output: str, *, dry_run: bool, create_nss: bool, **given: Any) -> None:
    """Have every root trusted in every store. What is there already stays as it is.

    \b
    Examples:
      handsel ca trust install --state /var/lib/handsel
      handsel ca trust install --roots root.pem --store nss --create-nss
      handsel ca trust install --roots root.pem --store java --java-keystore cacerts --dry-run
    """
    from handsel.wiring import trust

    roots, wanted = _read(given, create_nss=create_nss)
    _show(trust.install(roots, wanted, dry_run=dry_run), output)


@command.command()
@click.option("--former", is_flag=True, help="Also the former roots of this trust domain that were put in here.")
@_dry_run
@_all_options
def uninstall(output: str, *, dry_run: bool, former: bool, **given: Any) -> None:
    """Take out what `install` put in for these roots, and nothing else.

    \b
    Examples:
      handsel ca trust uninstall --state /var/lib/handsel
      handsel ca trust uninstall --roots root.pem --former --dry-run
    """
    from handsel.wiring import trust

    roots, wanted = _read(given)
    _show(trust.uninstall(roots, wanted, former=former, dry_run=dry_run), output)


@command.command()
@_all_options
def status(output: str, **given: Any) -> None:
    """Show where the roots are trusted, and where not.

    \b
    Examples:
      handsel ca trust status --state /var/lib/handsel
      handsel ca trust status --roots root.pem --store system -o json
    """
    from handsel.wiring import trust

    roots, wanted = _read(given)
    _show(trust.status(roots, wanted), output)


def _read(given: dict[str, Any], *, create_nss: bool = False) -> tuple[tuple[Certificate, ...], Wanted]:
    """The roots, and the stores that are meant. Raises `UsageError` or `StateError`."""
    from handsel.errors import UsageError
    from handsel.wiring import trust

    if (given["system_anchors"] is None) != (given["system_certificates"] is None):
        raise UsageError("--system-anchors and --system-certificates belong together")
    state = given["state"]
    if given["roots"] is None and state is None:
        state = common.state_of(None, common.trust_domain(given["config"], demo=False))
    wanted = trust.Wanted(
        kinds=trust.KINDS if given["store"] == "all" else (given["store"],),
        anchors=given["system_anchors"], certificates=given["system_certificates"],
        java_keystore=given["java_keystore"],
        java_password=trust.java_password(given["password_file"], os.environ.get("HANDSEL_STORE_PASSWORD")),
        nss_database=given["nss_database"], nss_password_file=given["nss_password_file"], create_nss=create_nss,
    )  # fmt: skip
    return trust.read_roots(given["roots"], state.absolute() if state else None), wanted


def _show(lines: list[Line], output: str) -> None:
    from handsel.errors import ExitCode

    if output == "table":
        rows = [(each.store, each.place or "-", each.root or "-", each.state, _said(each)) for each in lines]
        common.print_table(("STORE", "PLACE", "ROOT", "STATE", ""), rows)
    else:
        content = {"apiVersion": "handsel/v1", "kind": "TrustStoreList", "stores": [asdict(each) for each in lines]}
        click.echo(json.dumps(content, indent=2)) if output == "json" else common.print_yaml(content)
    if any(each.state == "failed" for each in lines) or all(each.state == "missing" for each in lines):
        click.get_current_context().exit(ExitCode.FAILED)


def _said(line: Line) -> str:
    return f"{line.did}: {line.next_step}" if line.next_step else line.did
