"""`handsel join`: enrol this host."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handsel import settings
from handsel.errors import UsageError

if TYPE_CHECKING:
    from handsel.agent.join import Prove, Way
    from handsel.agent.model import Enrolment
    from handsel.wiring.host_service import HostService

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_ATTESTORS = ("ticket", "x509pop", "kubernetes", "oidc", "ssh_host", "tpm")
_UNITS = "/etc/systemd/system"
_KUBERNETES_TOKEN = Path("/var/run/secrets/tokens/handsel")


@click.command()
@click.argument("url", required=False)
@click.option("--server", "others", multiple=True, metavar="URL", help="Another server, asked when the first is away.")
@click.option("--ticket", envvar="HANDSEL_TICKET", help="The ticket that `handsel agent ticket` printed.")
@click.option(
    "--attestor", type=click.Choice(_ATTESTORS), default="ticket", show_default=True,
    help="What this host shows, when it has no ticket.",
)  # fmt: skip
@click.option("--certificate", type=_FILE, help="x509pop, tpm: certificate and chain, PEM. ssh_host: …-cert.pub.")
@click.option("--key", type=_FILE, help="x509pop, ssh_host: the certificate's key.")
@click.option("--token-file", type=_FILE, help="kubernetes, oidc: the token.")
@click.option("--tpm-key", metavar="HANDLE", help="tpm: the attestation key, as a handle or the file of a context.")
@click.option("--tpm-registers", default="sha256:0,7", show_default=True, help="tpm: the registers that are quoted.")
@click.option("--roots", type=_FILE, help="Without a ticket: the roots of the authority (`handsel ca bundle`).")
@click.option("--pin", multiple=True, help="Without a ticket: the pin of a root's key, instead of --roots.")
@click.option("--trust-domain", help="Without a ticket: the trust domain, when the roots do not say it.")
@click.option(
    "--state", type=click.Path(path_type=Path), required=True, envvar="HANDSEL_STATE",
    help="The state folder of this host.",
)  # fmt: skip
@click.option("--systemd", is_flag=True, help="Make the agent a service of this host, joined or not: write its unit.")
@click.option("--user", help="--systemd: the user that the agent runs as.  [default: this one]")
@click.option("--address", help="--systemd: where other hosts reach this one.  [default: 127.0.0.1]")
@click.option(
    "--unit-folder", type=click.Path(path_type=Path), show_default=_UNITS, help="--systemd: where the unit goes.",
)  # fmt: skip
@click.option("--start", is_flag=True, help="--systemd: start it now and at each boot, too.")
@click.option("--dry-run", is_flag=True, help="--systemd: print the unit; join nothing, change nothing.")
def command(
    url: str | None, others: tuple[str, ...], ticket: str | None, attestor: str, certificate: Path | None,
    key: Path | None, token_file: Path | None, tpm_key: str | None, tpm_registers: str, roots: Path | None,
    pin: tuple[str, ...], trust_domain: str | None, state: Path, user: str | None, address: str | None,
    unit_folder: Path | None, *, systemd: bool, start: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Enrol this host. It keeps a key that never leaves it.

    A ticket burns, and the server proves itself by it. Other evidence needs a rule under `authority: registration:` in
    the mesh file, and --roots or --pin, so that nothing is shown to a stranger.

    \b
    Examples:
      handsel join --ticket hs2.… --state /var/lib/handsel
      handsel join https://10.0.0.5:8443 --server https://10.0.0.6:8443 --ticket hs2.… --state /var/lib/handsel
      handsel join https://10.0.0.5:8443 --roots root.pem --state /var/lib/handsel \\
        --attestor x509pop --certificate host.pem --key host.key
      handsel join https://10.0.0.5:8443 --roots root.pem --state /var/lib/handsel \\
        --attestor oidc --token-file token.jwt
      handsel join https://10.0.0.5:8443 --roots root.pem --state /var/lib/handsel --attestor ssh_host \\
        --certificate /etc/ssh/ssh_host_ed25519_key-cert.pub --key /etc/ssh/ssh_host_ed25519_key
      handsel join https://10.0.0.5:8443 --ticket hs2.… --state /var/lib/handsel --systemd --user handsel \\
        --address 10.0.0.7 --start
    """
    from handsel.wiring.logs import log_to

    log_to()
    service = _service(state.absolute(), user, address, unit_folder, systemd=systemd, start=start, dry_run=dry_run)
    if service and dry_run:
        click.echo(service.text, nl=False)
        return
    if service and (there := service.enrolment()):
        _tell(there, state, service, new=False, start=start)
        return
    if attestor == "ticket":
        way = _by_ticket(ticket, url)
    else:
        if ticket:
            raise UsageError("a ticket and another attestor do not go together")
        prove = _evidence(attestor, certificate, key, token_file, tpm_key, tpm_registers)
        way = _by_evidence(attestor, prove, url, roots, pin, trust_domain)
    _join(replace(way, others=others), state, service, start=start)


def _service(
    folder: Path, user: str | None, address: str | None, unit_folder: Path | None, *, systemd: bool, start: bool,
    dry_run: bool,
) -> HostService | None:  # fmt: skip
    if not systemd:
        given = {"--user": user, "--address": address, "--unit-folder": unit_folder, "--start": start}
        for option in (name for name, value in {**given, "--dry-run": dry_run}.items() if value):
            raise UsageError(f"{option} is about --systemd", next_step="see: handsel join --help")
        return None
    from handsel.wiring.host_service import HostService

    service = HostService(folder, user=user, address=address or "127.0.0.1", folder=unit_folder or Path(_UNITS))
    if not dry_run:
        service.check(start=start)
    return service


def _join(way: Way, state: Path, service: HostService | None, *, start: bool) -> None:
    from handsel.wiring.agent import join_host

    folder = state.absolute()
    joining = service.join(way) if service else join_host(folder, settings.runtime_folder(folder), way)
    enrolment, new = asyncio.run(joining)
    _tell(enrolment, state, service, new=new, start=start)


def _tell(enrolment: Enrolment, state: Path, service: HostService | None, *, new: bool, start: bool) -> None:
    verb = "joined" if new else "has joined before"
    click.echo(f"this host {verb}: {enrolment.trust_domain}, agent {enrolment.agent_id}", err=True)
    if service is None:
        click.echo(f"next: handsel agent run --state {state}", err=True)
        return
    for warning in service.warnings():
        click.echo(f"! {warning}", err=True)
    service.install(start=start)
    click.echo(f"wrote {service.path}", err=True)
    unit = service.path.stem if str(service.path.parent) == _UNITS else service.path
    if start:
        click.echo(f"started: systemctl status {service.path.stem}", err=True)
    else:
        click.echo(f"next: systemctl daemon-reload && systemctl enable --now {unit}", err=True)


def _by_ticket(ticket: str | None, url: str | None) -> Way:
    from handsel.agent.join import Way
    from handsel.link.ticket import TicketText

    if not ticket:
        raise UsageError("a host joins with --ticket, or with --attestor", next_step="see: handsel join --help")
    return Way.by_ticket(TicketText.decode(ticket), url)


def _by_evidence(
    attestor: str, prove: Prove, url: str | None, roots: Path | None, pins: tuple[str, ...], trust_domain: str | None
) -> Way:
    from handsel.wiring.agent import known_server

    if url is None:
        raise UsageError("without a ticket the server's address is needed", next_step="handsel join https://host:port")
    if (roots is None) == (not pins):
        raise UsageError(
            "without a ticket the server is known by --roots or by --pin, one of them",
            next_step="print the roots at the server: handsel ca bundle",
        )
    pem = roots.read_bytes() if roots else None
    return asyncio.run(known_server(url, attestor, prove, pem, pins, trust_domain))


def _evidence(
    attestor: str, certificate: Path | None, key: Path | None, token_file: Path | None, tpm_key: str | None,
    tpm_registers: str,
) -> Prove:  # fmt: skip
    from handsel.agent import evidence
    from handsel.wiring.agent import quote_of_tpm

    if attestor in ("kubernetes", "oidc"):
        if token_file is None and attestor == "kubernetes" and _KUBERNETES_TOKEN.exists():
            token_file = _KUBERNETES_TOKEN
        return evidence.bearer(_needed(token_file, attestor, "--token-file").read_bytes())
    chain = _needed(certificate, attestor, "--certificate").read_bytes()
    if attestor == "tpm":
        if tpm_key is None:
            raise UsageError("the attestor tpm needs --tpm-key")
        return quote_of_tpm(chain, tpm_key, tpm_registers)
    key_pem = _needed(key, attestor, "--key").read_bytes()
    return evidence.possession(chain, key_pem) if attestor == "x509pop" else evidence.ssh_host(chain, key_pem)


def _needed(path: Path | None, attestor: str, option: str) -> Path:
    if path is None:
        raise UsageError(f"the attestor {attestor} needs {option}")
    return path
