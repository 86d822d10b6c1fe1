"""The examples of TLS inside the program, in four languages: every pair, what is refused, and rotation while they run."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from handsel.pki.certificate import Certificate
from tests.e2e.mesh_process import environment, free_port, wait_for

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples" / "in-process"
TOOLS = {"java": ("java", "javac"), "go": ("go",), "node": ("node",), "python": ()}
LANGUAGES = tuple(TOOLS)
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp", "java")
RATE, SECONDS = 20, 4


class Place:
    """A folder with CAs, certificates and programs; each program is built once, each server started once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._built: set[str] = set()
        self._serving: dict[tuple[str, str, bool], int] = {}
        self._all = contextlib.ExitStack()
        self.issue("server", "localhost")
        self.issue("client", "orders.internal")

    def close(self) -> None:
        self._all.close()

    def issue(self, folder: str, name: str, ca: str = "ca") -> Path:
        """A new certificate in `folder`, by the script of the examples."""
        self.run(("sh", str(EXAMPLES / "issue.sh"), folder, name, ca), check=True)
        return self.folder / folder

    def run(self, command: tuple[str, ...], *, check: bool = False) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0 or not check, done.stderr
        return done

    def environment(self) -> dict[str, str]:
        handsel = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        go = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        caches = {"GOCACHE": str(self.folder / "go-cache"), "GOPATH": str(self.folder / "go-path")}
        return environment() | go | caches | {"PATH": handsel}

    def program(self, language: str, role: str) -> tuple[str, ...]:
        """The command of a client or server, which is built before when it must be. Skips when a tool is missing."""
        for tool in TOOLS[language]:
            if shutil.which(tool) is None:
                pytest.skip(f"needs {tool}")
        if language == "go" and not self._has_go():
            pytest.skip("needs go 1.22")
        if language not in self._built:
            self._build(language)
            self._built.add(language)
        return {
            "java": (*JAVA, role.capitalize()),
            "go": (str(self.folder / "go" / role),),
            "node": ("node", str(EXAMPLES / "node" / f"{role}.js")),
            "python": (sys.executable, str(EXAMPLES / "python" / f"{role}.py")),
        }[language]

    def _has_go(self) -> bool:
        version = self.run(("go", "env", "GOVERSION")).stdout.strip().removeprefix("go").split(".")
        return tuple(int(each) for each in version[:2] if each.isdecimal()) >= (1, 22)

    def _build(self, language: str) -> None:
        if language == "java":
            sources = sorted(str(each) for each in (EXAMPLES / "java").glob("*.java"))
            self.run(("javac", "-Xlint:all", "-Werror", "-d", "java", *sources), check=True)
        elif language == "go":
            out = f"{self.folder / 'go'}{os.sep}"
            self.run(("go", "-C", str(EXAMPLES / "go"), "build", "-o", out, "./server", "./client"), check=True)

    def server(self, language: str, folder: str = "server", *, one_way: bool = False) -> int:
        """The port of a server that runs until the end of the module."""
        key = (language, folder, one_way)
        if key not in self._serving:
            self._serving[key] = self._all.enter_context(self.serving(language, folder, one_way=one_way))
        return self._serving[key]

    @contextlib.contextmanager
    def serving(self, language: str, folder: str, *, one_way: bool = False) -> Iterator[int]:
        port = free_port()
        log = self.folder / f"{language}-{port}.log"
        command = (*self.program(language, "server"), str(port), folder, *(["--one-way"] if one_way else []))
        with self.running(command, log) as process:
            wait_for(lambda: _listens(port) or process.poll() is not None, 30, f"the server in {language}")
            assert process.poll() is None, log.read_text()
            yield port

    @contextlib.contextmanager
    def running(self, command: tuple[str, ...], log: Path) -> Iterator[subprocess.Popen[bytes]]:
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment(), stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)

    def client(self, language: str, port: int, folder: str = "client", *options: str) -> str:
        """What a client prints. A refusal is one line, and raises `Refused`."""
        done = self.run((*self.program(language, "client"), str(port), folder, *options))
        if done.returncode == 0:
            return done.stdout
        assert done.stdout == ""
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("refused: "), done.stderr
        raise Refused(lines[0])


class Refused(Exception):
    """A client got no answer."""


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("in-process"))
    yield made
    made.close()


def _context(roots: Path, identity: Path | None) -> ssl.SSLContext:
    """A client that has nothing of the examples."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(roots / "roots.pem")
    if identity is not None:
        made.load_cert_chain(identity / "identity.pem")
    return made


def _ask(
    port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[str, Certificate, ssl.SSLSession]:
    """The answer, the server's certificate, the session. Raises `OSError` for a refusal, and for nothing else."""
    with (
        socket.create_connection(("127.0.0.1", port), 20) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
    ):
        try:
            secure.sendall(b"hello\n")
            answer = secure.recv(1000).decode()
            if not answer:
                raise ConnectionResetError("the server left")
        except TimeoutError:
            pytest.fail("no answer and no refusal")
        assert secure.session is not None
        return answer, Certificate(secure.getpeercert(True) or b""), secure.session


def _leaf(folder: Path) -> Certificate:
    text = (folder / "identity.pem").read_text()
    return Certificate(ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :]))


# Every pair


@pytest.mark.parametrize("client", LANGUAGES)
@pytest.mark.parametrize("server", LANGUAGES)
def test_every_pair_speaks_two_way(place: Place, server: str, client: str) -> None:
    assert place.client(client, place.server(server)) == "hello orders.internal\n"


@pytest.mark.parametrize("client", LANGUAGES)
@pytest.mark.parametrize("server", LANGUAGES)
def test_every_pair_speaks_one_way(place: Place, server: str, client: str) -> None:
    assert place.client(client, place.server(server, one_way=True), "client", "--one-way") == "hello nobody\n"


# What is refused


@pytest.mark.parametrize("server", LANGUAGES)
def test_a_server_refuses_who_is_not_of_its_ca(place: Place, server: str) -> None:
    """And goes on: a client that says nothing, or no TLS, stops no other."""
    port = place.server(server)
    roots, client = place.folder / "server", place.folder / "client"
    stranger = place.issue("stranger", "orders.internal", "other-ca")
    older = _context(roots, client)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        for refused in (_context(roots, None), _context(roots, stranger), older):
            assert _ask(port, _context(roots, client))[0] == "hello orders.internal\n"
            with pytest.raises(OSError):
                _ask(port, refused)
        assert _ask(port, _context(roots, client))[0] == "hello orders.internal\n"


@pytest.mark.parametrize("server", LANGUAGES)
def test_a_name_that_looks_like_several_is_one(place: Place, server: str) -> None:
    """A URI may have a comma; what follows it is no DNS name."""
    name = x509.DNSName("orders.internal")
    _sign(place, "comma", [x509.UniformResourceIdentifier("urn:a,DNS:admin.internal"), name])
    _sign(place, "space", [x509.UniformResourceIdentifier("urn:a, DNS:admin.internal, "), name])
    comma, space = (_context(place.folder / "server", place.folder / each) for each in ("comma", "space"))
    port = place.server(server)
    assert _answer(port, comma) == "hello orders.internal\n"
    assert _answer(port, space) == ("" if server == "java" else "hello orders.internal\n")  # for Java it is no URI


@pytest.mark.parametrize("client", LANGUAGES)
def test_a_client_says_in_one_line_that_it_was_refused(place: Place, client: str) -> None:
    port = place.server("python")
    assert place.client(client, port) == "hello orders.internal\n"
    with pytest.raises(Refused):
        place.client(client, port, "client", "--one-way")


@pytest.mark.parametrize("client", LANGUAGES)
def test_a_client_refuses_another_ca_and_another_name(place: Place, client: str) -> None:
    place.issue("false-server", "localhost", "other-ca")
    place.issue("other-server", "elsewhere.internal")
    for one_way in (True, False):
        options = ["--one-way"] if one_way else []
        ours = place.server("python", one_way=one_way)
        assert place.client(client, ours, "client", *options).startswith("hello")
    for folder in ("false-server", "other-server"):
        with pytest.raises(Refused):
            place.client(client, place.server("python", folder, one_way=True), "client", "--one-way")


# Rotation


@pytest.mark.parametrize("server", LANGUAGES)
def test_a_server_takes_its_next_certificate_and_no_request_fails(place: Place, server: str) -> None:
    """Files that are broken in between end nothing either: the last good ones stay."""
    folder = f"rotated-{server}"
    before = _leaf(place.issue(folder, "localhost"))
    context = _context(place.folder / folder, place.folder / "client")
    log, command = place.folder / f"{folder}.log", ("sh", str(EXAMPLES / "issue.sh"), folder, "localhost")
    seen: list[str] = []
    with place.serving(server, folder) as port, contextlib.ExitStack() as ends:
        begun = time.monotonic()
        for turn in range(5 * RATE * SECONDS):
            if turn >= RATE * SECONDS and len(set(seen)) > 1:  # on a busy machine it takes longer
                break
            if turn == 5:
                for name in ("identity.pem", "keystore.p12"):
                    (place.folder / folder / name).write_text("half of a")
            if turn == 2 * RATE:
                issuing = ends.enter_context(place.running(command, log))
            answer, certificate, _ = _ask(port, context)  # raises when one fails
            assert answer == "hello orders.internal\n"
            seen.append(certificate.serial)
            time.sleep(max(0.0, begun + (turn + 1) / RATE - time.monotonic()))
        assert issuing.wait(10) == 0, log.read_text()
    after = _leaf(place.folder / folder)
    assert before.serial != after.serial
    assert seen == sorted(seen, key=[before.serial, after.serial].index)  # the one, and then the other
    assert set(seen) == {before.serial, after.serial}
    assert seen.count(before.serial) >= 2 * RATE


@pytest.mark.parametrize("server", LANGUAGES)
def test_a_server_believes_other_roots_from_now_on(place: Place, server: str) -> None:
    """Nor does a session of before help whom it believed then."""
    folder = f"turning-{server}"
    place.issue(folder, "localhost")
    stranger = place.issue("stranger", "billing.internal", "other-ca")
    ours, theirs = (_context(place.folder / folder, each) for each in (place.folder / "client", stranger))
    with place.serving(server, folder) as port:
        _, _, session = _ask(port, ours)
        with pytest.raises(OSError):
            _ask(port, theirs)
        for name in ("roots.pem", "truststore.p12", "password"):
            _replace(stranger / name, place.folder / folder / name)
        place.issue(folder, "localhost")  # the key store's password is another too

        assert wait_for(lambda: _answer(port, theirs), what="the other CA's client") == "hello billing.internal\n"
        for kept in (session, None):
            with pytest.raises(OSError):
                _ask(port, ours, kept)


@pytest.mark.parametrize("client", LANGUAGES)
def test_a_client_that_goes_on_takes_its_next_certificate_and_other_roots(place: Place, client: str) -> None:
    folder = f"client-in-{client}"
    place.issue(folder, "orders.internal")
    stranger = place.issue("stranger", "billing.internal", "other-ca")
    log = place.folder / f"{folder}.log"
    command = (*place.program(client, "client"), str(place.server("python")), folder, "--loop")
    with place.running(command, log) as process:
        _wait_for_line(log, process, "hello orders.internal")
        place.issue(folder, "billing.internal")
        _wait_for_line(log, process, "hello billing.internal")
        assert set(log.read_text().splitlines()) == {"hello orders.internal", "hello billing.internal"}

        _replace(stranger / "password", place.folder / folder / "password")
        for name in ("roots.pem", "truststore.p12"):
            _replace(stranger / name, place.folder / folder / name)
        assert process.wait(15) == 1
        assert log.read_text().splitlines()[-1].startswith("refused: ")


def _sign(place: Place, folder: str, names: Sequence[x509.GeneralName]) -> None:
    """A certificate of our CA with any names."""
    issuer = serialization.load_pem_private_key((place.folder / "ca" / "root.pem").read_bytes(), None)
    root = x509.load_pem_x509_certificate((place.folder / "server" / "roots.pem").read_bytes())
    assert isinstance(issuer, ec.EllipticCurvePrivateKey)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    made = (
        x509.CertificateBuilder(root.subject, x509.Name([]), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .sign(issuer, hashes.SHA256())
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (place.folder / folder).mkdir(exist_ok=True)
    (place.folder / folder / "identity.pem").write_bytes(key.private_bytes(*form) + made.public_bytes(form[0]))


def _replace(source: Path, target: Path) -> None:
    """As one step, as everybody should who changes files that others read."""
    shutil.copy(source, target.with_suffix(".new"))
    target.with_suffix(".new").replace(target)


def _answer(port: int, context: ssl.SSLContext) -> str:
    with contextlib.suppress(OSError):
        return _ask(port, context)[0]
    return ""


def _wait_for_line(log: Path, process: subprocess.Popen[bytes], line: str) -> None:
    def seen() -> bool:
        assert process.poll() is None, log.read_text()
        return line in log.read_text().splitlines()

    wait_for(seen, 20, f"{line!r} in {log}")
