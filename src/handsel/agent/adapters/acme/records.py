"""What an agent keeps of a workload's ACME CA: the account with its key, the certificate with its key and plan."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from handsel.agent.acme import Held
from handsel.agent.model import KeyPair
from handsel.errors import StateError
from handsel.pki.certificate import parse_pem, to_pem
from handsel.pki.keys import PrivateKey
from handsel.store.adapters.files import make_folder, write_file

_HELD, _ACCOUNT = "held.json", "account.json"


@dataclass(frozen=True)
class Account:
    """At one CA. `of`: the directory, and the external account that it is bound to. `url` empty: not made yet."""

    of: str
    key: PrivateKey = field(repr=False)
    url: str = ""


class AcmeRecords:
    """One folder, 0700, its files 0600 and whole or absent. Raises `StateError` where it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def held(self) -> Held | None:
        """The certificate, or None when there is none that can be read."""
        content = self._read(_HELD)
        try:
            pair = KeyPair(PrivateKey.from_pem(content["key"].encode()), parse_pem(content["chain"].encode()))
            held = Held(
                pair, content["mark"], content["account"], float(content["spread"]),
                datetime.fromisoformat(content["since"]),
                datetime.fromisoformat(content["renew_at"]), datetime.fromisoformat(content["ask_at"]),
                content["said_by_ca"], content["explanation"],
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return held if pair.leaf.public_key_der == pair.key.public_der() else None

    def save_held(self, held: Held) -> None:
        pair = held.pair
        content = {
            "key": pair.key.pem().reveal().decode(), "chain": to_pem(pair.chain).decode(), "mark": held.mark,
            "account": held.account, "spread": held.spread, "since": held.since.isoformat(),
            "renew_at": held.renew_at.isoformat(), "ask_at": held.ask_at.isoformat(),
            "said_by_ca": held.said_by_ca, "explanation": held.explanation,
        }  # fmt: skip
        self._write(_HELD, content)

    def account(self, of: str) -> Account:
        """The account for this CA; with a new key, kept before it is used, when there is none."""
        content = self._read(_ACCOUNT)
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            if content["of"] == of:
                return Account(of, PrivateKey.from_pem(content["key"].encode()), str(content["url"]))
        made = Account(of, PrivateKey.generate())
        self.save_account(made)
        return made

    def save_account(self, account: Account) -> None:
        content = {"of": account.of, "key": account.key.pem().reveal().decode(), "url": account.url}
        self._write(_ACCOUNT, content)

    def forget(self) -> None:
        """Nothing is wanted any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self._folder / name).read_bytes())
        except (OSError, ValueError):
            return None

    def _write(self, name: str, content: dict[str, Any]) -> None:
        make_folder(self._folder)
        try:
            write_file(self._folder / name, json.dumps(content).encode())
        except OSError as error:
            raise StateError(
                f"{self._folder / name} cannot be kept: {error.strerror}", next_step="check the disk"
            ) from error
