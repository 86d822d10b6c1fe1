"""`handsel server`: the server alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from handsel import settings
from handsel.cli import common


@click.command()
@common.config_option
@common.state_option
@click.option(
    "--listen", default=f"127.0.0.1:{settings.API_PORT}", show_default=True, help="Where the HTTPS door opens."
)
def command(config: Path, state: Path | None, listen: str, metrics_port: int) -> None:
    """Run the server alone: the authority, and the configuration compiled from the mesh file.

    \b
    Examples:
      handsel server -f handsel.yaml
      handsel server --state /var/lib/handsel --listen 10.0.0.5:8443
    """
    from handsel.wiring.mesh_files import load_mesh
    from handsel.wiring.server import Server

    mesh = load_mesh(config)
    folder = common.state_of(state, str(mesh.trust_domain))
    host, _, port = listen.rpartition(":")

    async def serve(stopping: asyncio.Event) -> int:
        server = Server(mesh, folder, settings.runtime_folder(folder), host=host.strip("[]"), port=int(port), metrics_port=metrics_port)
        try:
            await server.start()
            click.echo(f"server {server.url}, trust domain {mesh.trust_domain}", err=True)
            await stopping.wait()
        finally:
            await server.stop()
        return 0

    common.log_to()
    common.run_until_signal(serve)
