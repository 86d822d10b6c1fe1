"""`handsel server`: the server alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from click.core import ParameterSource

from handsel import settings
from handsel.cli import common
from handsel.errors import UsageError


@click.command()
@click.option(
    "-f",
    "--config",
    type=click.Path(path_type=Path),
    default=None,
    envvar="HANDSEL_CONFIG",
    show_default="handsel.yaml here or in the usual places; without one, the authority alone",
    help="The mesh file, or a folder with it or with Istio resources.",
)
@common.state_option
@click.option(
    "--listen", default=f"127.0.0.1:{settings.API_PORT}", show_default=True, help="Where the HTTPS door opens."
)
@click.option(
    "--metrics-port", default=settings.METRICS_PORT, show_default=True, help="Metrics on loopback; 0 takes a free port."
)
@click.option(
    "--status-port", default=settings.STATUS_PORT, show_default=True,
    help="OCSP and CRLs over plain HTTP, at the host of --listen; 0 takes a free port.",
)  # fmt: skip
@common.database_options
@click.option(
    "--key-password-file", type=click.Path(path_type=Path), default=None, envvar="HANDSEL_KEY_PASSWORD_FILE",
    help="The file with the password of the CA's encrypted keys.",
)  # fmt: skip
@click.option("--migrate", is_flag=True, help="Bring an older PostgreSQL database to this version's schema first.")
@click.option("--watch", is_flag=True, help="Read the mesh file and what it includes again when they change.")
@click.option("--read-only", is_flag=True, help="A standby: answer what can be read, write nothing, make no tables.")
def command(
    config: Path | None, state: Path | None, listen: str, metrics_port: int, status_port: int, database: str | None,
    database_password_file: Path | None, key_password_file: Path | None, *, migrate: bool, read_only: bool, watch: bool,
) -> None:  # fmt: skip
    """Run the server alone: the authority, and the configuration compiled from the mesh file.

    \b
    Examples:
      handsel server -f handsel.yaml
      handsel server -f istio/ --watch        a folder of Istio resources, read again when they change
      handsel server --state ca --listen 127.0.0.1:8443     an authority without a mesh
      handsel server --state /var/lib/handsel --listen 10.0.0.5:8443
      handsel server --state /var/lib/handsel --database postgresql://handsel@db/handsel --migrate
    """
    from handsel.wiring.configuration import Given
    from handsel.wiring.host_service import told_to_the_host
    from handsel.wiring.logs import log_to
    from handsel.wiring.server import Server
    from handsel.wiring.storage import Storage

    given = Given(config or settings.config_file(), must_exist=config is not None, watch=watch)
    mesh = given.load()
    folder = common.state_of(state, str(mesh.trust_domain))
    host, port = _address(listen)
    storage = Storage.at(
        database, database_password_file, seen=common.database_is_seen(), migrate=migrate, read_only=read_only
    )

    context = click.get_current_context()
    not_written = [
        door for door in ("metrics", "status")
        if context.get_parameter_source(f"{door}_port") is ParameterSource.DEFAULT
    ]  # fmt: skip

    async def serve(stopping: asyncio.Event) -> int:
        runtime = settings.runtime_folder(folder)
        server = Server(
            mesh, folder, runtime, host=host, port=port, metrics_port=metrics_port, status_port=status_port,
            may_move=not_written, storage=storage, key_password_file=key_password_file, given=given,
        )  # fmt: skip
        try:
            await server.start()
            for line in server.moved:
                click.echo(line, err=True)
            where = f"server {server.url}, trust domain {mesh.trust_domain}, status {server.status_places.url}"
            click.echo(where, err=True)
            async with told_to_the_host(where):
                await stopping.wait()
        finally:
            await server.stop()
        return 0

    log_to()
    common.run_until_signal(serve)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen {text!r} is no address with a port", next_step="such as 0.0.0.0:8443 or [::1]:8443")
    return host.strip("[]"), int(port)
