"""What the verbs about key stores share: options, asking for a password, saying what was done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from handsel.pki.secret import Secret
    from handsel.wiring.store_acts import Done
    from handsel.wiring.stores import Ask

PATH = click.Path(path_type=Path)
FORMATS = click.Choice(["jks", "pkcs12", "pem"])
_MOST_ALIASES, _LONGEST_ALIAS = 12, 60
_Verb = TypeVar("_Verb", bound=Callable[..., Any])

_password = click.option(
    "--password-file", type=PATH, default=None, show_default="$HANDSEL_STORE_PASSWORD, else asked for",
    help="The file with the store's password.",
)  # fmt: skip
_key_password = click.option(
    "--key-password-file", type=PATH, default=None, show_default="as the store's",
    help="The file with the password of its keys.",
)  # fmt: skip
dry_run = click.option("--dry-run", is_flag=True, help="Do everything but write.")
force = click.option("--force", is_flag=True, help="Replace the file that is there.")
plain = click.option("--plain", is_flag=True, help="Keys in PEM get no password.")
out = click.option("--out", type=PATH, required=True, help="The file to write; of mode 0600.")


def password_options(verb: _Verb) -> _Verb:
    """`--password-file` and `--key-password-file`."""
    return _password(_key_password(verb))


def new_password(default: str) -> Callable[[_Verb], _Verb]:
    """`--new-password-file`."""
    return click.option(
        "--new-password-file", type=PATH, default=None, show_default=default,
        help="The file with the password of what is written.",
    )  # fmt: skip


def ask() -> Ask | None:
    """Asks at the terminal; None when there is none."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def asked(what: str, *, twice: bool = False) -> Secret:
        from handsel.pki.secret import Secret

        text = click.prompt(what, default="", hide_input=True, show_default=False, confirmation_prompt=twice, err=True)
        return Secret(text.encode())

    return asked


def tell(done: Done, *, dry_run: bool) -> None:
    """One line that says what was written, or would be; before it what a person should know."""
    from handsel.pki.inspect import printable

    for note in done.notes:
        click.echo(f"  {printable(note)}", err=True)
    verb = "would hold" if dry_run else "holds"
    aliases = ", ".join(printable(each[:_LONGEST_ALIAS]) for each in done.aliases[:_MOST_ALIASES]) or "nothing"
    if len(done.aliases) > _MOST_ALIASES:
        aliases += f" and {len(done.aliases) - _MOST_ALIASES} more"
    click.echo(f"{done.file} ({done.kind}) {verb} {aliases}", err=True)
