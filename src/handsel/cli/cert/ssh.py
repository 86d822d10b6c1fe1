"""`handsel cert ssh`: SSH certificates by the authority."""

from __future__ import annotations

from pathlib import Path

import click

_state = click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE", help="The server's state folder."
)


@click.group()
def command() -> None:
    """SSH certificates: users who log in without a list of keys, and hosts that nobody needs to know beforehand.

    \b
    Examples:
      handsel cert ssh ca --state /var/lib/handsel > /etc/ssh/handsel-ca.pub
      handsel cert ssh user ~/.ssh/id_ed25519.pub --principal deploy --state /var/lib/handsel
    """


@command.command("ca")
@_state
@click.option("--known-hosts", is_flag=True, help="As a line for known_hosts, for every host.")
def ca(state: Path, *, known_hosts: bool) -> None:
    """Print the SSH CA's public key: TrustedUserCAKeys of servers, and known_hosts of clients.

    \b
    Examples:
      handsel cert ssh ca --state /var/lib/handsel > /etc/ssh/handsel-ca.pub
      handsel cert ssh ca --known-hosts --state /var/lib/handsel >> ~/.ssh/known_hosts
    """
    from handsel.cli.local import call_server

    line = call_server(state.absolute(), "GET", "/v1/ssh")["public_key"]
    click.echo(f"@cert-authority * {line}" if known_hosts else line)


@command.command("user")
@click.argument("public_key", type=click.Path(path_type=Path))
@click.option("--principal", "principals", multiple=True, required=True, help="As whom its holder may log in.")
@click.option("--lifetime", default="16h", show_default=True, help="How long it lives.")
@click.option("--force", is_flag=True, help="Replace the certificate that is there.")
@_state
def user(public_key: Path, principals: tuple[str, ...], lifetime: str, state: Path, *, force: bool) -> None:
    """A certificate for a user's key, beside it: NAME.pub gets NAME-cert.pub, where ssh finds it.

    \b
    Examples:
      handsel cert ssh user ~/.ssh/id_ed25519.pub --principal deploy --state /var/lib/handsel
    """
    _issue("user", public_key, principals, lifetime, state, force=force)


@command.command("host")
@click.argument("public_key", type=click.Path(path_type=Path))
@click.option("--name", "names", multiple=True, required=True, help="The host's DNS name.")
@click.option("--lifetime", default="90d", show_default=True, help="How long it lives.")
@click.option("--force", is_flag=True, help="Replace the certificate that is there.")
@_state
def host(public_key: Path, names: tuple[str, ...], lifetime: str, state: Path, *, force: bool) -> None:
    """A certificate for a host's key, beside it: HostCertificate of sshd.

    \b
    Examples:
      handsel cert ssh host /etc/ssh/ssh_host_ed25519_key.pub --name a.shop.internal --state /var/lib/handsel
    """
    _issue("host", public_key, names, lifetime, state, force=force)


def _issue(kind: str, path: Path, principals: tuple[str, ...], lifetime: str, state: Path, *, force: bool) -> None:
    from handsel.cli.ca.files import read
    from handsel.cli.local import call_server
    from handsel.errors import UsageError
    from handsel.model.durations import parse_duration
    from handsel.wiring.ca import keep

    out = path.with_name(f"{path.name.removesuffix('.pub')}-cert.pub")
    if out.exists() and not force:
        raise UsageError(f"{out} is there already", next_step="add --force to replace it")
    try:
        seconds = parse_duration(lifetime).total_seconds()
    except ValueError as error:
        raise UsageError(f"--lifetime: {error}") from error
    wish = {
        "type": kind, "public_key": read(path).decode(errors="replace"), "principals": list(principals),
        "lifetime": seconds,
    }  # fmt: skip
    made = call_server(state.absolute(), "POST", "/v1/ssh/issue", wish)
    keep(out, f"{made['certificate']}\n".encode())
    click.echo(f"{out}: {', '.join(principals)}, serial {made['serial']}, until {made['until'][:19]}", err=True)
