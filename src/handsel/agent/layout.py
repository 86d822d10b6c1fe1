"""Where an agent keeps what, and with which modes. Files are 0600, folders 0700."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from handsel.envoy.bootstrap import Sockets
from handsel.errors import StateError

# unix(7): sun_path has 108 bytes, the last of which is zero.
_LONGEST_SOCKET_PATH = 107


@dataclass(frozen=True)
class Layout:
    """The agent's folder (`state`) and the folder of its sockets (`runtime`), which is short."""

    state: Path
    runtime: Path

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    @property
    def enrolment(self) -> Path:
        return self.state / "enrolment.json"

    @property
    def key(self) -> Path:
        return self.state / "agent.key"

    @property
    def prepared_key(self) -> Path:
        """A key that was made before joining, so that a ticket can be bound to it."""
        return self.state / "join.key"

    @property
    def recovery_key(self) -> Path:
        """What proves who this host is when its certificate has ended."""
        return self.state / "recovery.key"

    @property
    def certificate(self) -> Path:
        return self.state / "agent.crt"

    @property
    def roots(self) -> Path:
        return self.state / "roots.crt"

    @property
    def bundle(self) -> Path:
        """Whom to believe, as the server said it."""
        return self.state / "bundle.bin"

    @property
    def revoked(self) -> Path:
        """The lists of revoked identities, PEM."""
        return self.state / "revoked.pem"

    @property
    def watch(self) -> Path:
        """The sequence up to which the watch was received."""
        return self.state / "watch.json"

    @property
    def workloads(self) -> Path:
        return self.state / "workloads"

    @property
    def control(self) -> Path:
        """The control socket, which `run` and `status` speak to."""
        return _checked(self.runtime / "control.sock")

    @property
    def secrets(self) -> Path:
        """Secrets of the services, a folder each: in the runtime folder, which a reboot empties."""
        return self.runtime / "secrets"

    def of(self, service: str) -> WorkloadLayout:
        return WorkloadLayout(self.workloads / service, self.runtime, service)


@dataclass(frozen=True)
class WorkloadLayout:
    """The folder of one workload and its sockets, whose names are hashes so that they stay short."""

    folder: Path
    runtime: Path
    service: str

    @property
    def assigned(self) -> Path:
        return self.folder / "assigned.bin"

    @property
    def ports(self) -> Path:
        return self.folder / "ports.json"

    @property
    def key(self) -> Path:
        return self.folder / "identity.key"

    @property
    def chain(self) -> Path:
        return self.folder / "identity.crt"

    @property
    def staple(self) -> Path:
        """The OCSP answer for its certificate."""
        return self.folder / "identity.ocsp"

    @property
    def store_password(self) -> Path:
        """The password of the key stores beside it, which says only that they are stores: its mode protects them."""
        return self.folder / "store-password"

    @property
    def hosts(self) -> Path:
        """What takes the place of /etc/hosts in its program."""
        return self.folder / "hosts"

    @property
    def resources(self) -> Path:
        return self.folder / "resources.bin"

    @property
    def secrets(self) -> Path:
        """The secrets that were granted to the service, as files."""
        return self.runtime / "secrets" / self.service

    @property
    def access_log(self) -> Path:
        return self.folder / "access.log"

    @property
    def envoy_log(self) -> Path:
        return self.folder / "envoy.log"

    @property
    def envoy_config(self) -> Path:
        return self.folder / "envoy.json"

    @property
    def envoy_record(self) -> Path:
        """Which process the workload's Envoy is."""
        return self.folder / "envoy.pid"

    @property
    def sockets(self) -> Sockets:
        name = hashlib.sha256(self.service.encode()).hexdigest()[:10]
        return Sockets(_checked(self.runtime / f"{name}.ads"), _checked(self.runtime / f"{name}.adm"))


def _checked(path: Path) -> Path:
    if len(bytes(path)) > _LONGEST_SOCKET_PATH:
        raise StateError(
            f"the socket path {path} is longer than {_LONGEST_SOCKET_PATH} bytes",
            next_step="set HANDSEL_RUNTIME_DIR to a shorter folder",
        )
    return path
