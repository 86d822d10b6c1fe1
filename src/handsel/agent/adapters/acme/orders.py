"""One step towards a certificate of an ACME CA, from the account to what is kept. It blocks: it runs in a thread."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from handsel.agent import acme
from handsel.agent.acme import Held, Step
from handsel.agent.adapters.acme.challenges import Challenges
from handsel.agent.adapters.acme.records import Account, AcmeRecords
from handsel.errors import HandselError, Refused, StateError
from handsel.model.acme_client import AcmeClient
from handsel.pki.certificate import Certificate, to_pem
from handsel.pki.keys import KeyType, PrivateKey
from handsel.store.adapters.files import read_password

if TYPE_CHECKING:
    from handsel.agent.adapters.acme.client import CaSession

_LARGEST_ROOTS = 1 << 20


@dataclass(frozen=True)
class OwnServer:
    """The server of this mesh as an ACME CA: the address of its directory, and how it is believed."""

    directory: str
    roots: tuple[Certificate, ...]
    server_name: str


class OrderFailed(Exception):
    """Why, and how long the CA `asked` to be left alone. `held`: a certificate that came in spite of it."""

    def __init__(self, error: HandselError, asked: timedelta | None, held: Held | None = None) -> None:
        super().__init__(str(error))
        self.error, self.asked, self.held = error, asked, held


@dataclass(frozen=True)
class Work:
    """For one workload: what is wanted, where it is kept, what is held already."""

    wish: AcmeClient
    records: AcmeRecords
    held: Held | None


class Orders:
    """`ending`: set, what is under way breaks off within a few seconds."""

    def __init__(
        self, now: Callable[[], datetime], own_server: Callable[[], OwnServer], ending: threading.Event
    ) -> None:
        self._now, self._own_server, self._ending = now, own_server, ending
        self._challenges = Challenges()

    def do(self, work: Work, step: Step) -> Held:
        """What is held afterwards, on disk already. Raises `OrderFailed`."""
        session: CaSession | None = None
        try:
            own, account, session = self._begin(work)
            held = work.held
            if step is Step.ORDER or held is None:
                held = self._order(work, account, session, own)
            return self._ask_when(work.records, held, session)
        except HandselError as error:
            raise OrderFailed(error, session.retry_after if session else None) from error
        finally:
            if session is not None:
                session.close()

    def _begin(self, work: Work) -> tuple[OwnServer | None, Account, CaSession]:
        wish = work.wish
        lacking = acme.lacks(wish)
        if lacking:
            raise StateError(lacking, next_step="bring this host's handsel to the server's version")
        own = self._own_server() if wish.is_of_mesh else None
        directory = own.directory if own else wish.directory
        external = wish.external_account
        account = work.records.account(f"{directory} {external.key_id}" if external else directory)
        roots = to_pem(own.roots).decode() if own else _read_roots(wish.roots)
        name = own.server_name if own else ""
        return own, account, _session()(directory, roots, account.key, self._ending, server_name=name)

    def _order(self, work: Work, account: Account, session: CaSession, own: OwnServer | None) -> Held:
        try:
            return self._order_by(account, work, session, own)
        except Refused:
            if not (account.url and session.account_is_gone):
                raise
            return self._order_by(replace(account, url=""), work, session, own)

    def _order_by(self, account: Account, work: Work, session: CaSession, own: OwnServer | None) -> Held:
        wish, before = work.wish, work.held
        is_new = wish.external_account is not None and not account.url
        external = read_password(Path(wish.external_account.key_file)) if is_new and wish.external_account else None
        url = session.use_account(wish, account.url, external)
        if url != account.url:
            work.records.save_account(replace(account, url=url))
        replaces = before.pair.leaf if before and before.account == url else None
        key = PrivateKey.generate(KeyType(wish.key))
        chains = session.order(wish, key, replaces, self._challenges)
        pair = acme.received(chains, key, wish, self._now(), own.roots if own else ())
        spread = secrets.randbelow(1 << 32) / (1 << 32)
        held = acme.first(pair, wish, url, spread=spread, now=self._now())
        work.records.save_held(held)
        return held

    def _ask_when(self, records: AcmeRecords, held: Held, session: CaSession) -> Held:
        """Ask the CA when to renew. That it does not say is a failure, but keeps nobody from what is held."""
        try:
            info = session.renewal_info(held.pair.leaf) if session.has_renewal_info else None
            planned = acme.planned(held, info, self._now())
            records.save_held(planned)
        except HandselError as error:
            raise OrderFailed(error, session.retry_after, held) from error
        return planned


def _session() -> type[CaSession]:
    try:
        from handsel.agent.adapters.acme.client import CaSession  # noqa: PLC0415  # an extra, and heavy
    except ImportError as error:
        raise StateError(
            "certificates of ACME CAs need the extra `acme` of handsel", next_step="pip install 'handsel[acme]'"
        ) from error
    return CaSession


def _read_roots(path: str) -> str:
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST_ROOTS + 1)
    except OSError as error:
        raise StateError(f"the roots for the ACME CA in {path} cannot be read: {error.strerror}") from error
    if not content or len(content) > _LARGEST_ROOTS or not content.isascii():
        raise StateError(f"{path} is no PEM file with the roots for the ACME CA")
    return content.decode("ascii")
