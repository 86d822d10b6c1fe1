"""Acts about secrets. A value is in one answer only, that of `read`, for administrators; and it is written down."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from handsel.authority.administration import Role
from handsel.errors import SecretMissing, SecretRefused, UsageError
from handsel.model.secret import group_of, unit_of
from handsel.model.secret_file import grantee_fault
from handsel.pki.secret import Secret
from handsel.secrets import service
from handsel.secrets.adapters.vault import now, random
from handsel.secrets.envelope import KeyEncryptionKey
from handsel.secrets.model import Entry, Kind, Version
from handsel.secrets.service import Known, Wish
from handsel.store.outcome import Outcome
from handsel.wiring.admin.acts import Act, Acts, Asked
from handsel.wiring.secrets import Secrets, ending

_MOST_ACCESSES = 500


def acts(secrets: Secrets) -> Acts:
    """What may be asked about secrets."""
    asking = _Asking(secrets)
    return {
        ("GET", "/v1/secrets"): Act(Role.VIEWER, asking.everything),
        ("GET", "/v1/secrets/facts"): Act(Role.VIEWER, asking.facts),
        ("GET", "/v1/secrets/history"): Act(Role.VIEWER, asking.history),
        ("POST", "/v1/secrets/put"): Act(Role.OPERATOR, asking.put),
        ("POST", "/v1/secrets/grant"): Act(Role.OPERATOR, asking.grant),
        ("POST", "/v1/secrets/revoke"): Act(Role.OPERATOR, asking.revoke),
        ("POST", "/v1/secrets/delete"): Act(Role.ADMINISTRATOR, asking.delete),
        ("POST", "/v1/secrets/read"): Act(Role.ADMINISTRATOR, asking.read),
        ("POST", "/v1/secrets/rotate-key"): Act(Role.ADMINISTRATOR, asking.rotate_key),
    }


class _Asking:
    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._tables = secrets.vault.tables

    async def everything(self, asked: Asked) -> Any:
        wanted = asked.query.get("group", "")
        granting, entries = await self._secrets.granting(), {each.name: each for each in await self._tables.entries()}
        return [
            {**_shown(entries[each.name], each), "granted": dict(granting.by_unit.get(unit_of(each.name), {}))}
            for each in await self._tables.newest()
            if each.name in entries and (not wanted or group_of(each.name) == wanted)
        ]

    async def facts(self, asked: Asked) -> Any:
        entry, version = await self._find(asked.query.get("name", ""), asked.query.get("version"))
        granting = await self._secrets.granting()
        return {**_shown(entry, version), "granted": dict(granting.by_unit.get(entry.unit, {}))}

    async def history(self, asked: Asked) -> Any:
        name = asked.query.get("name", "")
        versions = await self._tables.versions(name)
        accesses = await self._tables.accesses(name, unit_of(name), _MOST_ACCESSES)
        if not versions and not accesses:
            raise service.missing(name, [each.name for each in await self._tables.entries()])
        return {
            "name": name,
            "versions": [_version(each) for each in versions],
            "accesses": [{"at": line["at"], "act": line["kind"], **_fields(line)} for line in accesses],
        }

    async def put(self, asked: Asked) -> Any:
        wish = asked.wish
        written = wish.get("secrets")
        if not isinstance(written, list) or not written:
            raise UsageError("there is nothing to put")
        wishes = await self._with_passwords([_read_wish(each) for each in written], written)

        async def decide(kek: KeyEncryptionKey) -> Outcome[list[Version]]:
            return await asyncio.to_thread(
                service.put, wishes, await self._known(), kek, by=asked.by, now=now(), random=random,
                must_exist=bool(wish.get("must_exist")),
            )  # fmt: skip

        if wish.get("dry_run"):
            # Sealed under a key that is thrown away: a dry run makes none.
            return [_version(each) for each in (await decide(_Nowhere())).answer]
        versions = await self._secrets.vault.write(decide)
        await self._secrets.compile()
        return [_version(each) for each in versions]

    async def grant(self, asked: Asked) -> Any:
        wish, known = asked.wish, await self._known()
        name, grantee = str(wish.get("name", "")), str(wish.get("to", ""))
        mesh = self._secrets.mesh()
        fault = grantee_fault(grantee, list(mesh.members), mesh.trust_domain)
        if fault:
            raise SecretRefused(fault, next_step="name a service of the mesh that has a sidecar, or its SPIFFE ID")
        outcome = service.grant(name, grantee, known, by=asked.by, now=now())
        if not wish.get("dry_run"):
            await self._secrets.store.commit(outcome.writes)
            await self._secrets.compile()
        return {"unit": outcome.answer.unit, "to": grantee, "secrets": _of_unit(outcome.answer.unit, known)}

    async def revoke(self, asked: Asked) -> Any:
        wish, known = asked.wish, await self._known()
        name, grantee = str(wish.get("name", "")), str(wish.get("from", ""))
        outcome = service.take_back(name, grantee, known, await self._tables.grants(), by=asked.by, now=now())
        if not wish.get("dry_run"):
            await self._secrets.store.commit(outcome.writes)
            await self._secrets.compile()
        return {"unit": outcome.answer, "from": grantee, "secrets": _of_unit(outcome.answer, known)}

    async def delete(self, asked: Asked) -> Any:
        name = str(asked.wish.get("name", ""))
        outcome = service.delete(name, await self._known(), await self._tables.grants(), by=asked.by, now=now())
        if not asked.wish.get("dry_run"):
            await self._secrets.store.commit(outcome.writes)
            await self._secrets.compile()
        return {"secrets": outcome.answer}

    async def read(self, asked: Asked) -> Any:
        number = asked.wish.get("version")
        entry, found = await self._find(str(asked.wish.get("name", "")), None if number is None else str(number))
        version, value = await self._secrets.vault.value(found.version_id)
        await self._secrets.store.commit(service.read(version, by=asked.by, now=now()).writes)
        return {**_shown(entry, version), "content": base64.b64encode(value.reveal()).decode()}

    async def rotate_key(self, asked: Asked) -> Any:
        done = await self._secrets.vault.rotate_key(by=asked.by)
        return {
            "key": done.key_id, "place": done.place, "rewrapped": done.rewrapped, "forgotten": list(done.forgotten),
            "continued": done.continued,
        }  # fmt: skip

    async def _known(self) -> Known:
        mesh = self._secrets.mesh()
        return Known({each.name: each for each in await self._tables.entries()}, mesh.contexts, mesh.secrets)

    async def _find(self, name: str, number: str | None) -> tuple[Entry, Version]:
        entry = await self._tables.entry(name)
        if entry is None:
            raise service.missing(name, [each.name for each in await self._tables.entries()])
        versions = await self._tables.versions(name)
        wanted = str(entry.number) if number is None else number
        for each in versions:
            if str(each.number) == wanted:
                return entry, each
        kept = ", ".join(str(each.number) for each in versions)
        raise SecretMissing(f"{name} has no version {wanted[:20]!r}", next_step=f"kept are: {kept}")

    async def _with_passwords(self, wishes: list[Wish], written: list[Any]) -> list[Wish]:
        """With the passwords of stores: of the same call, or of a secret that is there."""
        values = {wish.name: wish.value for wish in wishes}
        found = []
        for wish, each in zip(wishes, written, strict=True):
            name = each.get("password_secret")
            if name:
                value = values.get(str(name))
                if value is None:
                    _, version = await self._find(str(name), None)
                    value = (await self._secrets.vault.value(version.version_id))[1]
                found.append(replace(wish, password=value))
            else:
                found.append(wish)
        return found


class _Nowhere:
    """In a dry run there is no key."""

    key_id, place, is_quick = "", "", True

    def wrap(self, _key: Secret, _bound_to: bytes) -> bytes:
        return b""

    def unwrap(self, _wrapped: bytes, _bound_to: bytes) -> Secret:
        raise SecretMissing("in a dry run nothing is sealed")


def _read_wish(written: Any) -> Wish:
    """Raises `UsageError`."""
    if not isinstance(written, dict):
        raise UsageError("a secret that is put is a JSON object")
    labels = written.get("labels")
    if labels is not None and not (isinstance(labels, list) and all(isinstance(each, str) for each in labels)):
        raise UsageError("labels are a list of key=value")
    kind = written.get("kind")
    if kind is not None and kind not in set(Kind):
        raise UsageError(f"a kind is one of {', '.join(Kind)}")
    return Wish(
        str(written.get("name", "")),
        None if written.get("content") is None else _secret(written, "content"),
        Kind(kind) if kind else None,
        _number(written, "length") or service.DEFAULT_LENGTH,
        _seconds(written),
        service.read_labels(labels) if labels is not None else None,
        _number(written, "keep"),
        _secret(written, "password") if written.get("password") is not None else None,
    )


def _secret(written: Mapping[str, Any], name: str) -> Secret:
    try:
        return Secret(base64.b64decode(str(written[name]), validate=True))
    except (binascii.Error, ValueError):
        raise UsageError(f"{name} is bytes, as base64") from None


def _number(written: Mapping[str, Any], name: str) -> int | None:
    found = written.get(name)
    if found is not None and (not isinstance(found, int) or isinstance(found, bool)):
        raise UsageError(f"{name} is a whole number")
    return found


def _seconds(written: Mapping[str, Any]) -> timedelta | None:
    found = written.get("expires_seconds")
    if found is None:
        return None
    try:
        return timedelta(seconds=float(found))
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(f"expires_seconds is no number of seconds: {error}") from error


def _of_unit(unit: str, known: Known) -> list[str]:
    return [name for name in known.entries if unit_of(name) == unit]


def _shown(entry: Entry, version: Version) -> dict[str, Any]:
    return {**_version(version), "group": group_of(entry.name), "labels": dict(entry.labels), "keep": entry.keep}


def _version(version: Version) -> dict[str, Any]:
    return {
        "name": version.name, "secret_kind": str(version.kind), "version": version.number, "size": version.size,
        "facts": version.facts, "expires": version.expires.isoformat() if version.expires else None,
        "warning": ending(version, now()), "put_at": version.put_at.isoformat(), "put_by": version.put_by,
    }  # fmt: skip


def _fields(line: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in line["fields"].items() if key != "secret_kind"}
