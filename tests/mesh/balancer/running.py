"""A load balancer in a real Envoy, from the text of its mesh file: compiled, with its secrets as the agent reads them."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from google.protobuf import json_format

from handsel.agent.adapters.secret_files import SecretFiles
from handsel.envoy.adapters import binary
from handsel.link.report import WorkloadReport
from handsel.mesh.stages import Stage, show
from handsel.model import file
from handsel.model.graph import Mesh
from handsel.model.included import Included
from tests.e2e.mesh_process import wait_for
from tests.mesh.validating import static


def read(text: str, folder: Path) -> Mesh:
    """The graph of a mesh file that lies in `folder`."""

    def content(path: str) -> bytes | None:
        return Path(path).read_bytes() if Path(path).exists() else None

    return file.parse(
        text.encode(), "handsel.yaml", folder=str(folder), absolute=lambda path: str(folder / path),
        include=lambda _pattern: (), read_resources=lambda _documents, _around: Included(), read_file=content,
    )  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a client got."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def told(self) -> Any:
        """What the application says that it got."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Somebody who asks. `pair`: the files of a certificate and its key; `server_name` empty: no SNI."""

    port: int
    server_name: str = ""
    tls: bool = True
    pair: tuple[Path, Path] | None = None
    source: str = "127.0.0.1"
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ciphers: str = ""
    first: bytes = b""

    def connect(self) -> socket.socket:
        """A connection, with TLS as this client makes it; the server is not checked."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(self.source, 0))
        if self.first:
            plain.sendall(self.first)
        if not self.tls:
            return plain
        try:
            return self._context().wrap_socket(plain, server_hostname=self.server_name or None)
        finally:
            plain.close()  # a wrapped one is another object

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with warnings.catch_warnings(action="ignore"):  # old versions are meant
            context.minimum_version = min(self.newest, ssl.TLSVersion.TLSv1_2)
            context.maximum_version = self.newest
        if self.ciphers:
            context.set_ciphers(self.ciphers)
        if self.pair:
            context.load_cert_chain(*self.pair)
        return context

    def ask(
        self, path: str = "/", *, host: str = "", method: str = "GET", headers: Mapping[str, str] | None = None,
        body: Any = None, chunked: bool = False,
    ) -> Answer:  # fmt: skip
        """One request on a connection of its own. Raises `OSError` when it does not come through."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.sock = self.connect()
        try:
            said = {"Host": host or self.server_name or "nobody.example", **(headers or {})}
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the answer may come before the end
                connection.request(method, path, body, said, encode_chunked=chunked)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), dict(answer.headers))
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def certificate(self) -> bytes:
        """The server's certificate, DER."""
        with self.connect() as connection:
            assert isinstance(connection, ssl.SSLSocket)
            return connection.getpeercert(binary_form=True) or b""


@dataclass(frozen=True)
class Running:
    """The Envoy of a load balancer."""

    process: subprocess.Popen[bytes]
    configuration: dict[str, Any]

    def memory(self) -> int:
        """Its resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS"))

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


def bootstrap(mesh: Mesh, name: str, folder: Path) -> dict[str, Any]:
    """Envoy's configuration of a load balancer, with what the agent reads from files as its secrets."""
    report = WorkloadReport(name, "127.0.0.1", 0, 0, 0, {}, str(folder / "access.log"))
    (proxy,) = show(mesh, {"host": {name: report}}, Stage.XDS).values()
    made = static(proxy, {"tlsCertificate": {}, "validationContext": {}}, folder)
    files = SecretFiles()
    files.refresh({each["name"] for each in made["static_resources"]["secrets"]})
    assert not files.problems, files.problems
    read_ones = (secret_pb2.Secret.FromString(each.body) for each in files.resources.values())
    made["static_resources"]["secrets"] = [json_format.MessageToDict(each) for each in read_ones]
    return made


@contextlib.contextmanager
def running(text: str, folder: Path, *ports: int, name: str = "front") -> Iterator[Running]:
    """The load balancer `name` of a mesh file; it is ready when it listens at `ports`."""
    made = bootstrap(read(text, folder), name, folder)
    config = folder / f"{name}.json"
    config.write_text(json.dumps(made))
    command = [
        binary.find(None), "--config-path", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning",
    ]  # fmt: skip
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)
    try:
        for port in ports:
            wait_for(lambda port=port: _listens(port) or process.poll() is not None, what=f"port {port}")
        assert process.poll() is None, (folder / f"{name}.log").read_text()[-3000:]
        yield Running(process, made)
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
