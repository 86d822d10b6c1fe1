"""Who believes the roots and shows certificates of the CAs: what a rotation waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from handsel.authority.adapters.authorities_tables import Authorities
from handsel.authority.adapters.issuing import now
from handsel.authority.hierarchy import Known
from handsel.link.messages import Bundle, fingerprint_of
from handsel.link.report import WorkloadReport
from handsel.pki.revocation import signer_key_id

Places = Mapping[str, Mapping[str, WorkloadReport]]
"""What hosts reported, by host and service."""


class Holders:
    """The workloads as their hosts reported them, and the agents as the books have them."""

    def __init__(self, tables: Authorities, places: Callable[[], Places], bundle: Callable[[], Bundle]) -> None:
        self._tables = tables
        self._places = places
        self._bundle = bundle

    def waiting(self, moment: datetime) -> list[str]:
        """The holders with a living certificate that do not verify with the roots and revocation lists of now.

        One whose certificate has ended does not count: it comes back by proving again who it is. One without any list
        looks at none, so that it misses none.
        """
        bundle = self._bundle()
        wanted = fingerprint_of(bundle.roots)
        lists = {(signer_key_id(each) or b"").hex() for each in bundle.crls}
        return [
            holder
            for holder, each in self._all()
            if each.certificate_not_after is not None
            and each.certificate_not_after > moment
            and (each.bundle != wanted or (each.revocation_lists and not lists <= set(each.revocation_lists)))
        ]

    async def showing(self, cas: Iterable[Known]) -> tuple[str, ...]:
        """The holders that show a certificate of one of these CAs, or do not say of which, and agents likewise."""
        key_ids = {"", *(each.key_id for each in cas)}
        agents = await self._tables.newest_agents(now())
        return (
            *(holder for holder, each in self._all() if each.certificate_issuer in key_ids),
            *(name for name, each in agents.items() if (each.authority_key_id or b"").hex() in key_ids),
        )

    def _all(self) -> Iterator[tuple[str, WorkloadReport]]:
        for host, reports in sorted(self._places().items()):
            for service, each in sorted(reports.items()):
                yield f"{host}/{service}", each
