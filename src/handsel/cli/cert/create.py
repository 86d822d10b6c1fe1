"""`handsel cert create`: a key with its certificate, or a request for one."""

from __future__ import annotations

from pathlib import Path

import click

_KINDS = ("p256", "p384", "ed25519", "rsa2048", "rsa3072", "rsa4096")


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file for key and chain, PEM.")
@click.option("--state", type=click.Path(path_type=Path), default=None, envvar="HANDSEL_STATE",
              help="Ask the authority whose server runs on this folder.")  # fmt: skip
@click.option("--profile", default="default", show_default=True, help="The authority's profile.")
@click.option("--self-signed", is_flag=True, help="Signed by its own key: for tests, and for roots (--ca).")
@click.option("--issuer", type=click.Path(path_type=Path), default=None,
              help="A PEM file with a CA's key and chain, which signs it.")  # fmt: skip
@click.option("--request", "only_request", is_flag=True, help="Only a key and a request: OUT, and OUT with .csr.")
@click.option("--ca", is_flag=True, help="A CA, whose name is the first of NAMES.")
@click.option("--key", type=click.Choice(_KINDS), default="p256", show_default=True, help="The kind of its key.")
@click.option("--lifetime", default="90d", show_default=True, help="With --self-signed and --issuer.")
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
@click.option("--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
def command(
    names: tuple[str, ...], out: Path, state: Path | None, profile: str, issuer: Path | None, key: str, lifetime: str,
    *, self_signed: bool, only_request: bool, ca: bool, force: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Make a key and a certificate for NAMES: DNS names, addresses, URIs and mailboxes. The key never leaves this host.

    \b
    Examples:
      handsel cert create orders.internal --state /var/lib/handsel --out orders.pem
      handsel cert create "Test root" --ca --self-signed --lifetime 365d --out root.pem
      handsel cert create orders.internal 10.0.0.7 --issuer root.pem --out orders.pem
      handsel cert create orders.internal --request --out orders.key
    """
    from handsel.cli.local import call_server
    from handsel.errors import UsageError
    from handsel.model.durations import parse_duration
    from handsel.pki.keys import KeyType
    from handsel.wiring import certificates

    ways = [bool(state) and not (self_signed or issuer or only_request), self_signed, issuer is not None, only_request]
    if ways.count(True) != 1:
        raise UsageError("say one of --state, --self-signed, --issuer and --request")
    if ca and not (self_signed or issuer):
        raise UsageError("--ca goes with --self-signed or --issuer; a CA of the authority: handsel ca")
    try:
        life = parse_duration(lifetime)
    except ValueError as error:
        raise UsageError(f"--lifetime: {error}") from error
    wish = certificates.wish_for(names, life, ca=ca)
    target = certificates.Target(out, force=force, dry_run=dry_run)
    kind = KeyType(key)
    if only_request:
        said = certificates.make_request(wish, kind, target)
    elif self_signed or issuer:
        said = certificates.make_here(wish, kind, target, issuer)
    else:
        folder = state.absolute() if state else Path()
        said = certificates.ask_authority(
            wish, kind, target, profile,
            lambda asked: call_server(folder, "POST", "/v1/certificates/issue", asked),
        )  # fmt: skip
    click.echo(said, err=True)
