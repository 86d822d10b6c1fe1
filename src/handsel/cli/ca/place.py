"""The options by which the verbs about an authority's folder name it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from handsel import settings
from handsel.cli import common

if TYPE_CHECKING:
    from handsel.wiring.ca import Place

_Verb = TypeVar("_Verb", bound=Callable[..., Any])

config_if_any_option = click.option(
    "-f", "--config", type=click.Path(path_type=Path), default=None, envvar="HANDSEL_CONFIG",
    show_default="handsel.yaml here or in the usual places; without one, the authority alone", help="The mesh file.",
)  # fmt: skip
_password = click.option(
    "--key-password-file", type=click.Path(path_type=Path), default=None, envvar="HANDSEL_KEY_PASSWORD_FILE",
    help="The file with the password of the CA's encrypted keys.",
)  # fmt: skip


def place_options(verb: _Verb) -> _Verb:
    """`--config`, `--state` and `--key-password-file`."""
    return config_if_any_option(common.state_option(_password(verb)))


def find(config: Path | None, state: Path | None, password_file: Path | None, trust_domain: str | None = None) -> Place:
    """The authority that these options name. Raises `UsageError` when mesh file and option say different domains."""
    from handsel.errors import UsageError
    from handsel.pki.names import TrustDomain
    from handsel.wiring.ca import Place
    from handsel.wiring.mesh_files import load_mesh_if_any

    path = config or settings.config_file()
    mesh = load_mesh_if_any(path, must_exist=config is not None)
    try:
        domain = TrustDomain(trust_domain) if trust_domain else mesh.trust_domain
    except ValueError as error:
        raise UsageError(str(error)) from error
    if domain != mesh.trust_domain and path.exists():
        raise UsageError(f"{path} says the trust domain {mesh.trust_domain}, and --trust-domain {domain}")
    return Place(common.state_of(state, str(domain)), domain, mesh.authority, password_file)
