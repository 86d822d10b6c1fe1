"""RabbitMQ without the service of the system: a node in a folder, on free ports, over TLS only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.mesh_process import free_port
from tests.e2e.servers.process import Server, running

# The command in /usr/sbin wants to be root, and goes to the folder of the service.
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@contextmanager
def serving(folder: Path, *, two_way: bool) -> Iterator[Server]:
    """A node with `server.pem`, and with clients checked by `roots.pem`, all of `folder`."""
    if not _SERVER.exists() or shutil.which("epmd") is None:
        pytest.skip("needs RabbitMQ")
    port, names, nodes = free_port(), free_port(), free_port()
    own = folder / ("rabbitmq-two-way" if two_way else "rabbitmq")
    own.mkdir()
    (own / "rabbitmq.conf").write_text(
        f"listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{port}\n"
        f"ssl_options.certfile = {folder}/server.pem\nssl_options.keyfile = {folder}/server.pem\n"
        f"ssl_options.cacertfile = {folder}/roots.pem\n"
        f"ssl_options.verify = {'verify_peer' if two_way else 'verify_none'}\n"
        f"ssl_options.fail_if_no_peer_cert = {str(two_way).lower()}\n"
    )
    variables = _variables(own, nodes) | {"ERL_EPMD_PORT": str(names), "ERL_EPMD_ADDRESS": "127.0.0.1"}
    # The node would start the daemon of names itself, and leave it behind.
    with (
        running("epmd", ("epmd",), own, ports=[names], more=variables),
        running("rabbitmq", (str(_SERVER),), own, ports=[port], more=variables) as log,
    ):
        yield Server(port, log)


def _variables(own: Path, port: int) -> dict[str, str]:
    """Everything of the node in its folder; `port`: for other nodes."""
    return {
        "HOME": str(own),
        "RABBITMQ_NODENAME": "test@localhost",
        "RABBITMQ_DIST_PORT": str(port),
        "RABBITMQ_CONFIG_FILE": str(own / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(own / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(own / "environment"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(own / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(own / "data"),
        "RABBITMQ_LOG_BASE": str(own),
        "RABBITMQ_LOGS": "-",
        # With this the script becomes the node, instead of a parent of it.
        "RABBITMQ_ALLOW_INPUT": "1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "-noinput -start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none"
        ),
    }
