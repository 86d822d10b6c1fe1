"""`handsel ca init`: an authority, before its server starts."""

from __future__ import annotations

from pathlib import Path

import click

from handsel.cli.ca.place import find, place_options

_KINDS = ("p256", "p384", "rsa4096", "ed25519", "mldsa65")


@click.command()
@place_options
@click.option("--trust-domain", default=None, help="The trust domain, when no mesh file says it.")
@click.option("--key", type=click.Choice(_KINDS), default="p256", show_default=True, help="The kind of the root's key.")
@click.option(
    "--offline-root", type=click.Path(path_type=Path), default=None,
    help="A folder for the root's keys, to be carried away; the server never has them.",
)  # fmt: skip
@click.option(
    "--offline-password-file", type=click.Path(path_type=Path), default=None,
    help="The file with the password that encrypts them.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
def command(
    config: Path | None, state: Path | None, key_password_file: Path | None, trust_domain: str | None, key: str,
    offline_root: Path | None, offline_password_file: Path | None, *, dry_run: bool,
) -> None:  # fmt: skip
    """Make root, next root's key and issuing CAs. The first start of a server does the same with the usual choices.

    \b
    Examples:
      handsel ca init --state /var/lib/handsel --key p384
      handsel ca init --key-password-file password --trust-domain shop.internal --state ca
      handsel ca init --offline-root /media/stick/root --offline-password-file root-password
    """
    from handsel.errors import UsageError
    from handsel.pki.keys import KeyType
    from handsel.wiring import ca

    if offline_root is None and offline_password_file is not None:
        raise UsageError("--offline-password-file is for --offline-root")
    place = find(config, state, key_password_file, trust_domain)
    if dry_run:
        names = ", ".join(["root", *(plan.name for plan in place.plans)])
        click.echo(f"would make {names} of {place.trust_domain} in {place.server.authority}", err=True)
        return
    made = ca.init(
        place, KeyType(key), offline=offline_root.absolute() if offline_root else None,
        offline_password=offline_password_file,
    )  # fmt: skip
    click.echo(f"made {', '.join(made)} of {place.trust_domain}; keys: {place.open().keys.custody}", err=True)
    if offline_root is not None:
        kept = "encrypted" if offline_password_file else "NOT encrypted, readable by their owner alone"
        click.echo(f"  the root's keys are in {offline_root}, {kept}: carry them away", err=True)
