"""Certificates before pkilint, in a process of its own: profiles when they are loaded, leaves where a profile asks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.metadata
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from handsel import __version__
from handsel.authority import lint
from handsel.authority.lint import ERRORS, Finding, Specimen, Verdict
from handsel.authority.model import Domain, Draft, Issuers
from handsel.authority.profile import fingerprint
from handsel.errors import ProfileRefused, Refused
from handsel.model.authority import Profile
from handsel.pki.keys import KeyType, PrivateKey
from handsel.store.adapters.files import write_file

_SECONDS_FOR_A_START, _SECONDS_FOR_A_CERTIFICATE = 30.0, 5.0
_LONGEST_ANSWER = 1 << 20
_WORKER = (sys.executable, "-m", "handsel.authority.adapters.lint_worker")


def linter_version() -> str:
    """`pkilint` with its version; empty when the extra `lint` is not installed."""
    try:
        return f"pkilint {importlib.metadata.version('pkilint')}"
    except importlib.metadata.PackageNotFoundError:
        return ""


class Linter:
    """pkilint in a process: started when it is first needed, warm from then on, replaced when it hangs or dies."""

    def __init__(self, version: str | None = None) -> None:
        self.version = linter_version() if version is None else version
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._stand_ins: dict[KeyType, PrivateKey] = {}

    async def lint(self, der: bytes, *, seconds: float = _SECONDS_FOR_A_CERTIFICATE) -> tuple[Finding, ...]:
        """All findings about a certificate, those that are none here left out. Raises `Refused` when nobody answers."""
        async with self._turn:
            try:
                answer = await self._ask(der, seconds)
            except (OSError, ValueError, asyncio.LimitOverrunError) as error:  # a timeout is an OSError
                await self._end()
                raise Refused(f"the linter did not answer within {seconds:g} s: {error or 'it was ended'}") from error
            except BaseException:  # left in the middle: the next answer would be this one's
                await self._end()
                raise
        return tuple(found for each in answer if lint.counts(found := Finding(*each)))

    async def require_clean(self, draft: Draft) -> None:
        """Raise `Refused` when the certificate that a draft leads to has an error. It is signed by a stand-in's key."""
        if not self.version:
            raise Refused(f"the profile {draft.profile.name!r} lints each leaf, and pkilint is not installed")
        kind = draft.issuer.key.kind
        if kind not in self._stand_ins:
            self._stand_ins[kind] = await asyncio.to_thread(PrivateKey.generate, kind)
        key = self._stand_ins[kind]
        twin = await asyncio.to_thread(draft.builder.sign, key.handle, key.digest)
        for finding in await self.lint(twin.public_bytes(serialization.Encoding.DER)):
            if finding.severity in ERRORS:
                raise Refused(f"the certificate would break a standard: {finding}")

    async def stop(self) -> None:
        """End the process."""
        async with self._turn:
            await self._end()

    async def _ask(self, der: bytes, seconds: float) -> list[list[str]]:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *_WORKER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL, limit=_LONGEST_ANSWER, start_new_session=True,
            )  # fmt: skip
            seconds += _SECONDS_FOR_A_START
        process = self._process
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018  # both are pipes
        async with asyncio.timeout(seconds):
            process.stdin.write(base64.b64encode(der) + b"\n")
            await process.stdin.drain()
            found: list[list[str]] = json.loads(await process.stdout.readline())
            return found

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


class ProfileLint:
    """The verdicts about profiles, kept in a file by what they depend on: profile, issuer, versions."""

    def __init__(self, file: Path, linter: Linter) -> None:
        self._file = file
        self._linter = linter
        self.verdicts: dict[str, Verdict] = {}
        self._known = 0

    @property
    def summary(self) -> str:
        """What can be said of all profiles together, for a status."""
        if not self._linter.version:
            return "structurally checked only: pkilint is not installed (handsel[lint])"
        wrong = sum(bool(each.errors) for each in self.verdicts.values())
        errors = f", {wrong} with errors" if wrong else ""
        return f"{len(self.verdicts) - wrong} of {self._known} clean by {self._linter.version}{errors}"

    async def load(self, profiles: Iterable[Profile], issuers: Issuers, domain: Domain, *, now: datetime) -> None:
        """Look at profiles that were loaded or changed. Raises `ProfileRefused` for the first one with an error."""
        self._known = len(domain.profiles.by_name)
        known = read_verdicts(self._file)
        fresh: dict[str, Verdict] = {}
        for profile in profiles:
            if profile.issuer not in issuers.by_name:
                raise ProfileRefused(
                    f"the profile {profile.name!r} is signed by {profile.issuer!r}, and there is no such CA",
                    next_step=f"CAs are {', '.join(issuers.by_name)}",
                )
            if profile.lint_leaves and not self._linter.version:
                raise ProfileRefused(
                    f"the profile {profile.name!r} lints each leaf, and pkilint is not installed",
                    next_step="install handsel[lint], or take `lint: true` out",
                )
            key = self._key(profile, issuers, domain)
            verdict = known.get(key) or await self._look(profile, issuers, domain, now)
            fresh[key] = self.verdicts[profile.name] = verdict
            if verdict.errors:
                raise ProfileRefused(f"the profile {profile.name!r} breaks a standard: {verdict.errors[0]}")
        if fresh.keys() - known.keys():
            _write_verdicts(self._file, {**known, **fresh})

    def _key(self, profile: Profile, issuers: Issuers, domain: Domain) -> str:
        """All that a specimen depends on."""
        issuer = issuers[profile.issuer].certificate.fingerprint[:16]
        status = domain.status.url if domain.status and profile.says_where_status_is else "nowhere"
        return f"{fingerprint(profile)} {issuer} {status} {self._linter.version} handsel {__version__}"

    async def _look(self, profile: Profile, issuers: Issuers, domain: Domain, now: datetime) -> Verdict:
        issuer = issuers[profile.issuer]
        made: Sequence[Specimen] = await asyncio.to_thread(lint.specimens, profile, issuer, domain, now=now)
        findings: list[Finding] = []
        for each in made:
            if each.fault is not None:
                findings.append(Finding("ERROR", "handsel.structure", "certificate", "", each.fault, each.label))
            elif self._linter.version:
                findings += [replace(f, specimen=each.label) for f in await self._linter.lint(each.certificate.der)]
        telling = tuple(each for each in findings if each.severity in (*ERRORS, "WARNING"))
        return Verdict(profile.name, fingerprint(profile), self._linter.version, telling)


_MOST_VERDICTS = 200


def read_verdicts(file: Path) -> Mapping[str, Verdict]:
    """What was found before; nothing when the file is not there or not whole: then it is looked again."""
    try:
        content = json.loads(file.read_bytes())
        return {
            key: Verdict(
                each["profile"], each["fingerprint"], each["linter"], tuple(Finding(**f) for f in each["findings"])
            )
            for key, each in content.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _write_verdicts(file: Path, verdicts: Mapping[str, Verdict]) -> None:
    newest = list(verdicts.items())[-_MOST_VERDICTS:]
    write_file(file, json.dumps({key: asdict(verdict) for key, verdict in newest}, indent=1).encode())
