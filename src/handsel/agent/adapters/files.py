"""The agent's folder: what it holds, on disk, so that neither a restart nor an absent server loses anything."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from handsel.agent import staples
from handsel.agent.layout import Layout, WorkloadLayout
from handsel.agent.model import Enrolment, Holdings, KeyPair, Owner, Ports, Staple, Workload
from handsel.agent.stores import ENDINGS, StoreFile, key_stores, trust_stores
from handsel.errors import ProtocolError, StateError
from handsel.link.messages import AssignedWorkload, Assignment, Bundle, Resources
from handsel.pki.certificate import parse_pem, to_pem
from handsel.pki.keys import PrivateKey
from handsel.pki.names import TrustDomain
from handsel.pki.pem_blocks import written
from handsel.pki.secret import Secret
from handsel.store.adapters.files import hold_lock, make_folder, write_file


class AgentFolder:
    """Reads and writes one agent's state. Every file is whole or absent."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def prepare(self) -> None:
        """Make the folders, 0700. Raises `StateError`."""
        for folder in (self.layout.state, self.layout.workloads, self.layout.runtime.parent, self.layout.runtime):
            make_folder(folder, passable=True)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the folder for this process. Raises `StateInUse` with who holds it."""
        with hold_lock(self.layout.lock, "agent"):
            yield

    def enrolment(self) -> Enrolment | None:
        """Where this host has joined, or None."""
        try:
            content = json.loads(self.layout.enrolment.read_text())
            url, domain, agent_id = content["url"], TrustDomain(content["trust_domain"]), content["agent_id"]
            others = tuple(str(each) for each in content.get("others", ()))
            return Enrolment(url, domain, agent_id, others, str(content.get("machine", "")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StateError(f"{self.layout.enrolment} cannot be read: {error}", next_step="join again") from error

    def save_enrolment(self, enrolment: Enrolment, pair: KeyPair, holdings: Holdings) -> None:
        """Remember that the host has joined; the enrolment last, since it says that the rest is whole."""
        self.save_own(pair)
        self._save_bundle(holdings)
        self.write_enrolment(enrolment)
        self.layout.prepared_key.unlink(missing_ok=True)

    def write_enrolment(self, enrolment: Enrolment) -> None:
        """The enrolment alone, as it is by now."""
        content = {
            "url": enrolment.url, "trust_domain": str(enrolment.trust_domain), "agent_id": enrolment.agent_id,
            "others": list(enrolment.others), "machine": enrolment.machine,
        }  # fmt: skip
        write_file(self.layout.enrolment, json.dumps(content).encode())

    def prepared_key(self, *, make: bool = False) -> PrivateKey | None:
        """The key that was made before joining. `make`: make it now if there is none. Raises `StateError`."""
        path = self.layout.prepared_key
        if not path.exists():
            if not make:
                return None
            write_file(path, PrivateKey.generate().pem().reveal())
        return _load_key(path)

    def save_recovery_key(self, key: PrivateKey) -> None:
        write_file(self.layout.recovery_key, key.pem().reveal())

    def recovery_key(self) -> PrivateKey:
        """What proves who this host is when its certificate has ended. Raises `StateError`."""
        return _load_key(self.layout.recovery_key)

    def save_own(self, pair: KeyPair) -> None:
        """The agent's own key and certificate."""
        write_file(self.layout.key, pair.key.pem().reveal())
        write_file(self.layout.certificate, to_pem(pair.chain))

    def own(self) -> KeyPair:
        """The agent's own key and certificate. Raises `StateError`."""
        pair = _load_pair(self.layout.key, self.layout.certificate)
        if pair is None:
            raise StateError(f"the agent's key in {self.layout.state} cannot be read", next_step="join again")
        return pair

    def load(self) -> Holdings:
        """Everything that was held when the last agent ended. What cannot be read is asked for again."""
        bundle, whole = self._bundle()
        workloads: dict[str, Workload] = {}
        for folder in sorted(self.layout.workloads.iterdir()):
            workload = self._load_workload(self.layout.of(folder.name))
            if workload is None:
                whole = False
            else:
                workloads[workload.service] = workload
        try:
            content = json.loads(self.layout.watch.read_text())
            sequence, digests = int(content["sequence"]), _read_digests(content["digests"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            sequence, digests = 0, {}
        return Holdings(bundle, workloads, sequence if whole else 0, digests)

    def _bundle(self) -> tuple[Bundle, bool]:
        """Whom to believe, and whether that is all that the server said; the roots alone are enough to ask again."""
        with contextlib.suppress(OSError, ProtocolError):
            return Bundle.decode(self.layout.bundle.read_bytes()), True
        try:
            return Bundle(parse_pem(self.layout.roots.read_bytes())), False
        except (OSError, ValueError) as error:
            raise StateError(
                f"the roots in {self.layout.roots} cannot be read: {error}",
                next_step=f"remove {self.layout.enrolment} and join again with a new ticket",
            ) from error

    def save(self, before: Holdings, after: Holdings) -> None:
        """Write what has changed, the sequence last. Raises `StateError`."""
        try:
            if before.bundle != after.bundle or _opens(before) != _opens(after):
                self._save_bundle(after)
            for service, workload in after.workloads.items():
                was = before.workloads.get(service)
                if was != workload:
                    self._save_workload(was, workload)
                self._save_stores(before, was, after, workload)
            for service in before.workloads.keys() - after.workloads.keys():
                shutil.rmtree(self.layout.of(service).folder, ignore_errors=True)
            if (before.sequence, before.digests) != (after.sequence, after.digests):
                content = {"sequence": after.sequence, "digests": _digests_content(after.digests)}
                write_file(self.layout.watch, json.dumps(content).encode())
        except OSError as error:
            raise StateError(
                f"cannot write to {self.layout.state}: {error.strerror}",
                next_step="check the disk and the folder's mode",
            ) from error

    def _save_bundle(self, holdings: Holdings) -> None:
        """Whom to believe: as the server said it, and as files for programs."""
        public = _opens(holdings)
        write_file(self.layout.roots, to_pem(holdings.roots), public=public)
        lists = b"".join(written("X509 CRL", each) for each in holdings.crls)
        write_file(self.layout.revoked, lists, public=public)
        write_file(self.layout.bundle, holdings.bundle.encode())

    def _save_workload(self, before: Workload | None, workload: Workload) -> None:
        place = self.layout.of(workload.service)
        was = before.owner if before else None
        self._open_to(workload.owner, place)
        placed = (workload.ports, workload.owner)
        if workload.ports is not None and (before is None or (before.ports, before.owner) != placed):
            write_file(place.ports, json.dumps(_ports_content(workload.ports, workload.owner)).encode())
        if before is None or before.key_pair != workload.key_pair or was != workload.owner:
            _save_pair(place, workload.key_pair, workload.owner)
        if workload.staple is not None and (before is None or before.staple != workload.staple):
            write_file(place.staple, workload.staple.answer)
        if before is None or before.resources != workload.resources:
            if workload.resources is not None:
                write_file(place.resources, workload.resources.encode())
            else:
                place.resources.unlink(missing_ok=True)
        if before is None or before.assigned != workload.assigned:
            write_file(place.assigned, Assignment((workload.assigned,)).encode())

    def _open_to(self, owner: Owner | None, place: WorkloadLayout) -> None:
        """Let a workload's user pass through our folders to its own, where it may read what is given to its group."""
        layout = self.layout
        if owner is None:
            make_folder(place.folder)
            return
        for folder in (layout.state.parent, layout.state, layout.workloads, layout.runtime.parent, layout.runtime):
            folder.chmod(0o711)
        place.folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(place.folder, -1, owner.gid)
        place.folder.chmod(0o750)

    def _save_stores(self, before: Holdings, was: Workload | None, after: Holdings, workload: Workload) -> None:
        """Key stores for a program that makes its own TLS; the trust first, so that a new root is believed in time."""
        place, formats = self.layout.of(workload.service), workload.assigned.stores
        new_formats = was is None or (was.assigned.stores, was.owner) != (formats, workload.owner)
        if new_formats:
            for name in set(ENDINGS) - set(formats):
                for half in ("trust", "identity"):
                    (place.folder / f"{half}.{ENDINGS[name]}").unlink(missing_ok=True)
        if not formats:
            return
        now, group = datetime.now(UTC), _group(workload.owner)
        files: list[StoreFile] = []
        if new_formats or before.roots != after.roots:
            files += trust_stores(formats, after.roots, _store_password(place, group), now)
        pair = workload.key_pair
        if pair is not None and (new_formats or was is None or was.key_pair != pair):
            files += key_stores(formats, pair, _store_password(place, group), now)
        for each in files:
            write_file(place.folder / each.name, each.content, group=group)

    def _load_workload(self, place: WorkloadLayout) -> Workload | None:
        try:
            assigned: AssignedWorkload = Assignment.decode(place.assigned.read_bytes()).workloads[0]
            resources = Resources.decode(place.resources.read_bytes()) if place.resources.exists() else None
            ports, owner = _load_ports(place.ports)
        except (OSError, ProtocolError, IndexError, ValueError, KeyError, TypeError):
            return None
        pair = _load_pair(place.key, place.chain)
        return Workload(assigned, ports, pair, resources, owner, staple=_load_staple(place.staple, pair))


def _digests_content(digests: Mapping[tuple[str, str], bytes]) -> list[list[str]]:
    return [[kind, key, digest.hex()] for (kind, key), digest in digests.items()]


def _read_digests(content: list[list[str]]) -> dict[tuple[str, str], bytes]:
    return {(kind, key): bytes.fromhex(digest) for kind, key, digest in content}


def _store_password(place: WorkloadLayout, group: int | None) -> Secret:
    """Made once: programs read it when they start."""
    if not place.store_password.exists():
        write_file(place.store_password, secrets.token_hex(16).encode(), group=group)
    return Secret(place.store_password.read_bytes())


def _opens(holdings: Holdings) -> bool:
    """Whether programs of other users read here."""
    return any(each.owner for each in holdings.workloads.values())


def _group(owner: Owner | None) -> int | None:
    return owner.gid if owner else None


def _save_pair(place: WorkloadLayout, pair: KeyPair | None, owner: Owner | None) -> None:
    if pair is None:
        place.key.unlink(missing_ok=True)
        place.chain.unlink(missing_ok=True)
    else:
        write_file(place.key, pair.key.pem().reveal(), group=_group(owner))
        write_file(place.chain, to_pem(pair.chain), group=_group(owner))


def _ports_content(ports: Ports, owner: Owner | None) -> dict[str, object]:
    return {
        "application": ports.application,
        "mesh": ports.mesh,
        "proxy": ports.proxy,
        "callees": dict(ports.callees),
        "addresses": dict(ports.addresses),
        "more": {str(port): mesh_port for port, mesh_port in ports.more.items()},
        "owner": [owner.uid, owner.gid] if owner else None,
    }


def _load_ports(path: Path) -> tuple[Ports | None, Owner | None]:
    if not path.exists():
        return None, None
    content = json.loads(path.read_text())
    callees = {str(name): int(port) for name, port in content["callees"].items()}
    addresses = {str(name): str(address) for name, address in content.get("addresses", {}).items()}
    more = {int(port): int(mesh_port) for port, mesh_port in content.get("more", {}).items()}
    ports = Ports(int(content["application"]), int(content["mesh"]), int(content["proxy"]), callees, addresses, more)
    owner = content.get("owner")
    return ports, Owner(int(owner[0]), int(owner[1])) if owner else None


def _load_key(path: Path) -> PrivateKey:
    try:
        return PrivateKey.from_pem(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StateError(f"the key in {path} cannot be read: {error}", next_step="join again") from error


def _load_staple(path: Path, pair: KeyPair | None) -> Staple | None:
    try:
        return staples.read(path.read_bytes(), pair.leaf.serial) if pair else None
    except (OSError, ValueError):
        return None


def _load_pair(key_path: Path, chain_path: Path) -> KeyPair | None:
    """The pair in two files, or None when it is absent, unreadable or does not fit (a crash between two writes)."""
    try:
        pair = KeyPair(PrivateKey.from_pem(key_path.read_bytes()), parse_pem(chain_path.read_bytes()))
    except (OSError, ValueError):
        return None
    return pair if pair.key.public_der() == pair.leaf.public_key_der else None
