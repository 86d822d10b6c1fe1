"""The stores of trusted roots that a machine has, each by its own tool: of the system, of Java, of NSS."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from handsel.errors import StateError
from handsel.pki.certificate import Certificate
from handsel.pki.secret import Secret

_TIMEOUT_SECONDS = 120
"""The system's tool runs the hooks of other packages; everything else answers within seconds."""
_LONGEST_QUOTE = 200
_PASSWORD = "HANDSEL_STORE_PASSWORD"  # noqa: S105  # the name of a variable
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_NSS_LINE = re.compile(r"(?P<name>\S.*?) +(?P<ssl>[A-Za-z]*),[A-Za-z]*,[A-Za-z]* *")


@dataclass(frozen=True)
class Entry:
    """A certificate in a store: the name it has there, its SHA-256 in hex, whether TLS clients trust it."""

    name: str
    fingerprint: str
    trusted: bool


class Store(Protocol):
    """A store. All of it raises `StateError` with the first line that the tool said."""

    kind: ClassVar[str]

    @property
    def place(self) -> Path: ...

    def entries(self) -> list[Entry]:
        """What is in it."""

    def put(self, name: str, root: Certificate) -> None:
        """Trust a root under a name that is not there yet; afterwards it is there whole, or not at all."""

    def take(self, name: str) -> None:
        """Take out what has this name."""


def fingerprints(pem: str) -> list[str]:
    """The SHA-256 of every certificate in a text, in order; what is no base64 is passed over."""
    found = []
    for body in _PEM.findall(pem):
        try:
            found.append(hashlib.sha256(base64.b64decode(body)).hexdigest())
        except ValueError:
            continue
    return found


@dataclass(frozen=True)
class DebianStore:
    """A folder of PEM files, which `update-ca-certificates` makes into links by hash and one bundle."""

    kind: ClassVar[str] = "system"
    tool: str
    place: Path = Path("/usr/local/share/ca-certificates")
    made: Path = Path("/etc/ssl/certs")
    hooks: Path | None = None
    """Of other packages, when the folders are not the system's. One of the system's hooks fills Debian's cacerts."""

    def entries(self) -> list[Entry]:
        return _files(self.place, self.made / "ca-certificates.crt")

    def put(self, name: str, root: Certificate) -> None:
        _put_file(self.place / f"{name}.crt", root, self._command())

    def take(self, name: str) -> None:
        # The tool forgets a file that is gone, but not its link, and tells no hook. A line with `!` in its list of
        # certificates makes it do both.
        with tempfile.TemporaryDirectory(prefix="hs") as folder:
            wanted = Path(folder) / "ca-certificates.conf"
            usual = Path("/etc/ca-certificates.conf")
            lines = usual.read_text(errors="surrogateescape") if usual.exists() else ""
            wanted.write_text(f"{lines.rstrip()}\n!{name}.crt\n", errors="surrogateescape")
            _take_file(self.place / f"{name}.crt", [*self._command(), "--certsconf", str(wanted)])

    def _command(self) -> list[str]:
        if self.hooks is None:
            return [self.tool]
        own = {"--localcertsdir": self.place, "--etccertsdir": self.made, "--hooksdir": self.hooks}
        return [self.tool, *(word for option, folder in own.items() for word in (option, str(folder)))]


@dataclass(frozen=True)
class RedHatStore:
    """A folder of PEM files, which `update-ca-trust` makes into bundles."""

    kind: ClassVar[str] = "system"
    tool: str
    place: Path = Path("/etc/pki/ca-trust/source/anchors")
    bundle: Path = Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem")

    def entries(self) -> list[Entry]:
        return _files(self.place, self.bundle)

    def put(self, name: str, root: Certificate) -> None:
        _put_file(self.place / f"{name}.crt", root, [self.tool, "extract"])

    def take(self, name: str) -> None:
        _take_file(self.place / f"{name}.crt", [self.tool, "extract"])


@dataclass(frozen=True)
class JavaStore:
    """A trust store of Java. The password is in the environment of keytool, never among its arguments."""

    kind: ClassVar[str] = "java"
    keytool: str
    place: Path
    password: Secret

    def entries(self) -> list[Entry]:
        listed = self._run(self.place, "-list", "-rfc")
        found = []
        for block in listed.split("Alias name: ")[1:]:
            name, _, rest = block.partition("\n")
            first = fingerprints(rest)[:1]
            found += [Entry(name.strip(), each, "Entry type: trustedCertEntry" in rest) for each in first]
        return found

    def put(self, name: str, root: Certificate) -> None:
        with tempfile.NamedTemporaryFile(prefix="hs", suffix=".pem") as file:
            file.write(root.pem)
            file.flush()
            self._change("-importcert", "-noprompt", "-alias", name, "-file", file.name)

    def take(self, name: str) -> None:
        self._change("-delete", "-alias", name)

    def _change(self, *arguments: str) -> None:
        """Change a copy, which then takes the place of the store: keytool writes into the file that it reads."""
        place = self.place.resolve()
        copy = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            shutil.copy2(place, copy)
            status = place.stat()
            os.chown(copy, status.st_uid, status.st_gid)
            self._run(copy, *arguments)
            copy.replace(place)
        except OSError as error:
            raise _not_written(place, error) from error
        finally:
            copy.unlink(missing_ok=True)

    def _run(self, store: Path, *arguments: str) -> str:
        # Its words are read, so they must be English.
        command = [self.keytool, "-J-Duser.language=en", *arguments, "-keystore", str(store)]
        return run([*command, "-storepass:env", _PASSWORD], {_PASSWORD: os.fsdecode(self.password.reveal())})


@dataclass(frozen=True)
class NssStore:
    """A database of NSS: what Firefox has in each profile, and Chromium in ~/.pki/nssdb."""

    kind: ClassVar[str] = "nss"
    certutil: str
    place: Path
    password_file: Path | None = None

    def entries(self) -> list[Entry]:
        found = []
        for line in self._run("-L").splitlines():
            match = _NSS_LINE.fullmatch(line)
            if match is None:
                continue
            try:
                # It shows every certificate with the same subject, the one of this name first.
                first = fingerprints(self._run("-L", "-n", match["name"], "-a"))[:1]
            except StateError:
                continue  # a name that the tool prints and does not find again, such as one with a colon
            found += [Entry(match["name"], each, "C" in match["ssl"]) for each in first]
        return found

    def put(self, name: str, root: Certificate) -> None:
        for entry in self.entries():
            if entry.fingerprint == root.fingerprint:  # a certificate has one name here, and one trust
                raise StateError(f"it is there as {entry.name!r}, without trust, and was left alone")
        with tempfile.NamedTemporaryFile(prefix="hs", suffix=".pem") as file:
            file.write(root.pem)
            file.flush()
            try:
                self._run("-A", "-n", name, "-t", "C,,", "-a", "-i", file.name)
            except StateError:
                # Without the password it puts the certificate in and then fails to trust it.
                if any(entry.name == name for entry in self.entries()):
                    self.take(name)
                raise

    def take(self, name: str) -> None:
        self._run("-D", "-n", name)

    def _run(self, *arguments: str) -> str:
        password = ["-f", str(self.password_file)] if self.password_file else []
        return run([self.certutil, arguments[0], "-d", f"sql:{self.place}", *password, *arguments[1:]])


def make_nss_database(certutil: str, folder: Path) -> None:
    """An empty database without a password, in a folder that may be new. Raises `StateError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _not_written(folder, error) from error
    run([certutil, "-N", "-d", f"sql:{folder}", "--empty-password"])


def run(command: Sequence[str], variables: Mapping[str, str] | None = None) -> str:
    """What a tool of the system prints. Raises `StateError` with the line that it signs, else its first."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(  # noqa: S603  # no shell, and the tool is the system's
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_SECONDS, check=False,
            stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C", **(variables or {})},
            start_new_session=True,  # without a terminal it cannot ask for a password there, and wait
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StateError(f"{name} did not answer within {_TIMEOUT_SECONDS} s") from error
    except OSError as error:
        raise StateError(f"{name} cannot be run: {error.strerror}") from error
    if done.returncode == 0:
        return done.stdout
    lines = [line for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith(name)), lines[0] if lines else "nothing")
    raise StateError(f"{name} failed with {done.returncode} and said {said.strip()[:_LONGEST_QUOTE]!r}")


def _files(folder: Path, bundle: Path) -> list[Entry]:
    try:
        trusted = set(fingerprints(bundle.read_text(errors="replace"))) if bundle.exists() else set()
        files = [(path.stem, path.read_text(errors="replace")) for path in sorted(folder.glob("*.crt"))]
    except OSError as error:
        raise StateError(f"{error.filename} cannot be read: {error.strerror}") from error
    return [Entry(name, each, each in trusted) for name, content in files for each in fingerprints(content)[:1]]


def _put_file(path: Path, root: Certificate, command: list[str]) -> None:
    """Write a file that everybody can read, and have the bundles made; no file when they cannot be."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(root.pem)
        temporary.chmod(0o644)
        temporary.rename(path)
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        run(command)
    except StateError:
        path.unlink(missing_ok=True)
        raise


def _take_file(path: Path, command: list[str]) -> None:
    """Take a file away, and have the bundles made; it is put back when they cannot be."""
    aside = path.with_suffix(".taken")
    try:
        path.rename(aside)
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        run(command)
    except StateError:
        aside.rename(path)
        raise
    aside.unlink()


def _not_written(path: Path, error: OSError) -> StateError:
    return StateError(
        f"{path} cannot be written: {error.strerror or error}", next_step="the stores of a machine belong to root: sudo"
    )
