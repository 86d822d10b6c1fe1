"""Acts about SSH certificates."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from handsel.authority import ssh
from handsel.authority.adapters.issuing import now
from handsel.authority.administration import Role
from handsel.authority.key_store import KeyStore
from handsel.authority.ssh import SshCa
from handsel.errors import UsageError
from handsel.pki.keys import KeyType
from handsel.store.outcome import Store
from handsel.wiring.admin.acts import Act, Acts, Asked


def acts(store: Store, keys: KeyStore) -> Acts:
    """The SSH CA's public key, and certificates by it. Its key is made when it is first asked for."""

    async def ca() -> SshCa:
        return SshCa.of(await asyncio.to_thread(keys.make, ssh.STORED, KeyType.ED25519))

    async def about(_asked: Asked) -> Any:
        return {"public_key": (await ca()).public_line().decode()}

    async def issue(asked: Asked) -> Any:
        wish = asked.wish
        try:
            kind = ssh.Kind(str(wish.get("type", "")))
            principals = tuple(str(each) for each in wish.get("principals", []))
            lifetime = timedelta(seconds=float(wish.get("lifetime", 0)))
        except (ValueError, TypeError, OverflowError) as error:
            raise UsageError(f"this cannot be asked for: {error}") from error
        made = ssh.draft(
            kind, str(wish.get("public_key", "")).encode(), principals, lifetime, by=asked.by, now=now()
        )  # fmt: skip
        key = await ca()
        await store.commit(made.intended(now()))  # durable before the key is used
        certificate = ssh.sign(made, key)
        await store.commit(made.issued(now()))
        return {"certificate": certificate.decode(), "serial": str(made.serial), "until": made.not_after.isoformat()}

    return {
        ("GET", "/v1/ssh"): Act(Role.VIEWER, about),
        ("POST", "/v1/ssh/issue"): Act(Role.OPERATOR, issue),
    }
