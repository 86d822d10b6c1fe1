"""Files for programs that speak neither SDS nor the Workload API: kept new under load, told, asked for and withdrawn."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from handsel import settings
from tests.e2e.hosts import Hosts
from tests.e2e.mesh_process import (
    Handsel,
    Mesh,
    end_everything_in,
    environment,
    free_port,
    mesh,
    run,
    short_folder,
    wait_for,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "files"
TEXT = """
trust_domain: shop.internal
services: {web: {}, caller: {}}
authority: {leaf_lifetime: 60s, renew_after: 5s}
"""
TOLD = """
import os, signal, ssl, sys, time
from pathlib import Path
folder, told = Path(sys.argv[1]), Path(sys.argv[2])
def note(*_):
    here = folder.resolve()
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(here / "cert.pem", here / "key.pem")  # they are a pair
    with told.open("a") as file: file.write(here.name + "\\n")
signal.signal(signal.SIGHUP, note)
Path(sys.argv[3]).write_text(str(os.getpid()))
while True: time.sleep(0.05)
"""


def _needs(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip(f"needs {tool}")


@contextlib.contextmanager
def _program(
    command: list[str], folder: Path, name: str, **variables: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment() | variables, stdout=out, stderr=out)
    try:
        yield process, log
    finally:
        process.kill()
        process.wait(10)


def _issue(running: Mesh, service: str, folder: str, *more: str) -> str:
    done = run("cert", "issue", service, "--state", str(running.state), "--out", folder, *more, cwd=running.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _serial(file: Path) -> int:
    return x509.load_pem_x509_certificate(file.read_bytes()).serial_number


def _deliveries(state: Path) -> dict[str, dict[str, Any]]:
    done = run("cert", "deliveries", "--state", str(state), "-o", "json")
    return {each["id"]: each for each in json.loads(done.stdout)["deliveries"]}


# The mesh file


def test_a_program_is_told_of_every_new_set_and_each_is_whole() -> None:
    with short_folder() as folder:
        pid, told = folder / "pid", folder / "told"
        text = f"""
trust_domain: shop.internal
services:
  web:
    files:
      tls: {{folder: tls, mode: "0640", reload: {{signal: HUP, pid_file: {pid}}}}}
      own: {{folder: own, reload: {{command: touch {folder}/ran}}}}
authority: {{leaf_lifetime: 20s, renew_after: 2s}}
"""
        command = [sys.executable, "-c", TOLD, str(folder / "tls"), str(told), str(pid)]
        with _program(command, folder, "web") as (process, log):
            running = Mesh(folder, text)
            try:
                wait_for(lambda: told.exists() and len(told.read_text().splitlines()) >= 3, 40, "three reloads")
                wait_for((folder / "ran").exists, 20, "the command: the mesh file is of this host")
                shown = _deliveries(running.state)["web/tls"]
                assert (shown["delivered"], shown["problem"], shown["asked_for"]) == (True, "", "by the server")
                assert process.poll() is None, log.read_text()
                versions = told.read_text().splitlines()
                assert len(set(versions)) == len(versions)  # each once
                assert (folder / "tls" / "key.pem").stat().st_mode & 0o777 == 0o640

                process.kill()
                process.wait()
                problem = wait_for(lambda: _deliveries(running.state)["web/tls"]["problem"], 20, "the alarm")
                assert f"no process {process.pid} runs" in problem
                _as_before(command, folder, running)
            finally:
                running.up.stop()
                end_everything_in(folder)
                shutil.rmtree(settings.runtime_folder(running.state), ignore_errors=True)


def _as_before(command: list[str], folder: Path, running: Mesh) -> None:
    """The program is there again: the next reload works, and the alarm goes."""
    with _program(command, folder, "again"):
        wait_for(lambda: _deliveries(running.state)["web/tls"]["problem"] == "", 40, "the end of the alarm")


# On a host


@pytest.fixture(scope="module")
def running() -> Iterator[Mesh]:
    with mesh(TEXT) as made:
        _issue(made, "caller", "caller")
        yield made


class _Peers:
    """A server with a delivered identity that notes the serial number of each client."""

    def __init__(self, folder: Path) -> None:
        self.seen: list[int] = []
        self._folder, self._listening = folder, socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), plain:
                plain.settimeout(10)
                with _context(self._folder, server=True).wrap_socket(plain, server_side=True) as secure:
                    der = secure.getpeercert(binary_form=True)
                    secure.recv(100)
                    secure.sendall(b"hello\n")
                self.seen.append(x509.load_der_x509_certificate(der or b"").serial_number)

    def close(self) -> None:
        self._listening.close()


def _context(folder: Path, *, server: bool = False, own: bool = True) -> ssl.SSLContext:
    here = folder.resolve()
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(here / "ca.pem")
    if own:
        made.load_cert_chain(here / "cert.pem", here / "key.pem")
    return made


def _ask(port: int, context: ssl.SSLContext) -> tuple[str, int]:
    """The answer, and the serial number of who gave it. Raises `OSError` for a refusal."""
    with socket.create_connection(("127.0.0.1", port), 20) as plain, context.wrap_socket(plain) as secure:
        secure.sendall(b"hello\n")
        answer = secure.recv(1000).decode()
        if not answer:
            raise ConnectionResetError("the server left")
        return answer, x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"").serial_number


LANGUAGES = {
    "python": ("tls_files.py", (), lambda file: [sys.executable, file]),
    "node": ("tls_files.js", ("node",), lambda file: ["node", file]),
    "go": ("tls_files.go", ("go",), lambda file: ["go", "run", file]),
    "java": ("TlsFiles.java", ("java",), lambda file: ["java", "-Xmx64m", file]),
}
CASES = [*[(name, ()) for name in LANGUAGES], ("java", ("--jks", "--trust-store", "jks")), ("python", ("--bundle",))]
IDS = [*LANGUAGES, "java-jks", "python-bundle"]


@pytest.fixture(scope="module")
def go_caches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    caches = tmp_path_factory.mktemp("go")
    return {
        "GOCACHE": str(caches / "cache"), "GOPATH": str(caches / "path"), "GOFLAGS": "-mod=mod", "GOPROXY": "off",
        "GOTOOLCHAIN": "local", "CGO_ENABLED": "0",
    }  # fmt: skip


@pytest.mark.parametrize(("language", "options"), CASES, ids=IDS)
def test_a_printed_program_takes_each_new_certificate_without_a_restart(
    running: Mesh, go_caches: dict[str, str], language: str, options: tuple[str, ...]
) -> None:
    """As server and as client; and it speaks with nobody else than it was told."""
    name, tools, command = LANGUAGES[language]
    _needs(*tools)
    label = f"{language}{len(options)}"
    folder = running.folder / label
    folder.mkdir()
    for role, peer in (("server", "caller"), ("client", "caller"), ("other", "web")):
        (folder / role).mkdir()
        out = f"{label}-{role}-tls"
        program = _issue(running, "web", out, *options, "--snippet", language, "--peer", peer)
        (folder / role / name).write_text(program)
    caller, port = running.folder / "caller", free_port()
    peers = _Peers(caller)
    with contextlib.ExitStack() as stack:
        stack.callback(peers.close)
        server, server_log = stack.enter_context(
            _program([*command(name), "server", str(port)], folder / "server", "out", **go_caches)
        )
        answer, first = wait_for(lambda: _answer(port, caller, server, server_log), 100, f"the server in {language}")
        assert answer == "hello spiffe://shop.internal/ns/default/sa/caller\n"
        client, client_log = stack.enter_context(
            _program([*command(name), "client", str(peers.port)], folder / "client", "out", **go_caches)
        )
        wait_for(lambda: peers.seen, 100, f"the client in {language}: {client_log.read_text()}")
        begun = len(peers.seen)

        with pytest.raises(OSError):
            _ask(port, _context(caller, own=False))
        with pytest.raises(OSError):  # of the mesh, and not the one that may
            _ask(port, _context(_pem(running, "web")))
        seen = {first}
        wait_for(lambda: seen.add(_ask(port, _context(caller))[1]) or len(seen) >= 3, 60, "two rotations of the server")
        wait_for(lambda: len(set(peers.seen[begun:])) >= 3, 60, f"two of the client: {client_log.read_text()}")
        assert (server.poll(), client.poll()) == (None, None), server_log.read_text() + client_log.read_text()
        assert set(client_log.read_text().splitlines()) == {"hello"}

        stack.enter_context(_program([*command(name), "client", str(peers.port)], folder / "other", "out", **go_caches))
        said = folder / "other" / "out.log"
        wait_for(lambda: "spiffe://shop.internal/ns/default/sa/caller" in said.read_text(), 100, "the refusal")
        assert "hello" not in said.read_text()


def _pem(running: Mesh, service: str) -> Path:
    folder = running.folder / f"pem-{service}"
    if not folder.exists():
        _issue(running, service, folder.name)
    return folder


def _answer(port: int, caller: Path, server: subprocess.Popen[bytes], log: Path) -> tuple[str, int] | None:
    assert server.poll() is None, log.read_text()
    with contextlib.suppress(OSError):
        return _ask(port, _context(caller))
    return None


NGINX = """
daemon off; master_process on; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {tls}/cert.pem; ssl_certificate_key {tls}/key.pem; ssl_client_certificate {tls}/ca.pem;
    ssl_verify_client on; ssl_verify_depth 3; ssl_protocols TLSv1.3; ssl_session_tickets off;
    location / {{ return 200 "hello\\n"; }}
  }}
}}
"""


def test_nginx_is_reloaded_under_load_and_no_request_fails(running: Mesh) -> None:
    _needs("nginx")
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
    folder, port, tls = running.folder / "nginx", free_port(), running.folder / "nginx-tls"
    folder.mkdir()
    folder.chmod(0o755)
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, tls=tls))
    reload = f"{nginx} -c {config} -p {folder} -e {folder}/error.log -s reload"
    assert "is kept in" in _issue(running, "web", str(tls), "--reload-command", reload)
    failures: list[str] = []
    serials: list[int] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            try:
                answer, serial = _get(port, running.folder / "caller")
                assert answer.startswith(b"HTTP/1.1 200")
                serials.append(serial)
            except (OSError, AssertionError) as error:
                failures.append(repr(error))
            time.sleep(0.02)

    with _program([nginx, "-c", str(config), "-p", str(folder), "-e", f"{folder}/error.log"], folder, "nginx") as (
        process,
        log,
    ):
        wait_for(lambda: _listens(port), 20, f"nginx: {log.read_text()}")
        threads = [threading.Thread(target=load) for _ in range(3)]
        for each in threads:
            each.start()
        try:
            wait_for(lambda: failures or len(set(serials)) >= 4, 90, "three rotations")
        finally:
            stop.set()
            for each in threads:
                each.join()
        assert process.poll() is None
        os.kill(process.pid, signal.SIGQUIT)
        process.wait(20)
    assert failures == []
    assert len(serials) > 100
    assert _deliveries(running.state)["web/nginx-tls"]["problem"] == ""


def _get(port: int, folder: Path) -> tuple[bytes, int]:
    with socket.create_connection(("127.0.0.1", port), 20) as plain, _context(folder).wrap_socket(plain) as secure:
        secure.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        parts = []
        while part := secure.recv(1000):
            parts.append(part)
        der = secure.getpeercert(binary_form=True) or b""
        return b"".join(parts), x509.load_der_x509_certificate(der).serial_number


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_what_cannot_be_is_refused_in_one_line(running: Mesh) -> None:
    mine = running.folder / "mine"
    mine.mkdir()
    (mine / "x").touch()
    control = run(
        "cert", "issue", "web", "--state", str(running.state), "--out", str(running.folder / "n"), "--dry-run"
    )
    assert (control.returncode, "would be kept" in control.stdout) == (0, True)
    for more, text in [
        (["--out", str(mine)], "not of handsel, and is left alone"),
        (["--out", "n", "--owner", "nobody-of-this-name"], "there is no user"),
        (["--out", "n", "--mode", "0666"], "the mode 0666"),
        (["--out", "n", "--mode", "0644"], "nobody else's to read"),
        (["--out", "n", "--file", "k=keys"], "write NAME=KIND"),
        (["--out", "n", "--reload-http", "http://192.0.2.1/"], "no http address of this host"),
        (["--out", "n", "--file", "k.pem=key", "--snippet", "java"], "this snippet reads a file of the kind"),
        (["--out", "n", "--snippet", "go", "--peer", "A b"], "--peer: "),
    ]:
        done = run("cert", "issue", "web", "--state", str(running.state), *more, cwd=running.folder)
        assert done.returncode != 0, more
        assert text in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(each.name for each in mine.iterdir()) == ["x"]


# Restart, other hosts


def test_what_was_asked_for_is_kept_over_a_restart_until_it_is_withdrawn() -> None:
    with mesh(TEXT) as running:
        _issue(running, "web", "tls", "--pkcs12", "--trust-store", "pkcs12", "--pem")
        tls, before = running.folder / "tls", _serial(running.folder / "tls" / "cert.pem")
        running.up.stop()
        assert _serial(tls / "cert.pem") == before  # programs run on
        running.up = Handsel(running.folder, "up", "up", "-f", "handsel.yaml", "--state", "s")
        wait_for(lambda: _serial(tls / "cert.pem") != before, 40, "the next certificate")
        assert _deliveries(running.state)["web/tls"]["asked_for"] == "here"
        for expected in (0, 1):
            done = run("cert", "withdraw", "tls", "--state", str(running.state), cwd=running.folder)
            assert (done.returncode != 0) == bool(expected), done.stderr
        assert not list(running.folder.glob("*tls*"))
        assert "web/tls" not in _deliveries(running.state)


def test_a_command_of_the_servers_mesh_file_runs_only_where_that_is_allowed() -> None:
    with short_folder() as folder:
        text = f"""
trust_domain: apart.internal
services:
  web:
    files: {{tls: {{folder: {folder}/tls, reload: {{command: "touch {folder}/told"}}}}}}
authority: {{leaf_lifetime: 20s, renew_after: 2s}}
"""
        hosts = Hosts(folder, text)
        try:
            state = hosts.join("first", "web")
            problem = wait_for(lambda: _deliveries(state).get("web/tls", {}).get("problem"), 40, "the alarm")
            assert "the server asks for is not run here" in problem
            assert f"! web/tls in {folder}/tls: {problem}" in run("status", "--state", str(state)).stdout
            assert (folder / "tls" / "key.pem").exists()
            assert not (folder / "told").exists()
            hosts.agents["first"].stop()
            Handsel(folder, "again", "agent", "run", "--state", "first", "--allow-commands").wait_for("agent ")
            wait_for((folder / "told").exists, 40, "the command")
            wait_for(lambda: _deliveries(state)["web/tls"]["problem"] == "", 40, "the end of the alarm")
        finally:
            end_everything_in(folder)


# Out of an application


def test_stores_move_out_of_an_application_and_back_again(running: Mesh) -> None:
    _needs("keytool")
    conf, folder = running.folder / "wrapper.conf", running.folder / "app-certs"
    original = b"#encoding=UTF-8\r\nwrapper.java.classpath.1=%MULE_LIB%\r\nwrapper.java.additional.1=-Da=\xe9\r\n"
    conf.write_bytes(original)
    conf.chmod(0o640)
    words = [
        "cert",
        "externalize",
        "web",
        "--state",
        str(running.state),
        "--folder",
        str(folder),
        "--wrapper-conf",
        str(conf),
    ]
    shown = run(*words, "--dry-run")
    assert f"+wrapper.java.classpath.2={folder}" in shown.stdout
    assert (conf.read_bytes(), folder.exists()) == (original, False)

    for _ in range(2):
        done = run(*words, "--alias", "orders")
        assert done.returncode == 0, done.stderr
        assert conf.read_bytes().count(b"wrapper.java.classpath.2=" + bytes(folder) + b"\r\n") == 1
    assert conf.stat().st_mode & 0o777 == 0o640
    for store, entry in (("keystore.jks", "orders, "), ("truststore.jks", "root1, ")):
        listed = subprocess.run(
            ["keytool", "-list", "-keystore", folder / store, "-storepass:file", folder / "password"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert entry in listed.stdout
    for _ in range(2):
        assert run(*words, "--undo").returncode == 0
        assert (conf.read_bytes(), folder.is_symlink()) == (original, False)


def test_a_refused_folder_leaves_wrapper_conf_as_it_was(running: Mesh) -> None:
    conf, folder = running.folder / "other.conf", running.folder / "taken"
    conf.write_bytes(b"wrapper.java.classpath.1=a\n")
    folder.mkdir()
    (folder / "x").touch()
    words = ["--state", str(running.state), "--folder", str(folder), "--wrapper-conf", str(conf)]
    done = run("cert", "externalize", "web", *words)
    assert (done.returncode, "left alone" in done.stderr) == (1, True)
    assert conf.read_bytes() == b"wrapper.java.classpath.1=a\n"


# The example


def test_the_commands_of_the_example_work(go_caches: dict[str, str]) -> None:
    _needs("openssl", "keytool", "java", "node", "go")
    blocks = re.findall(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 4
    with short_folder() as folder:
        shutil.copy(EXAMPLE / "handsel.yaml", folder)
        variables = environment() | go_caches | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        port = str(free_port())
        try:
            for number, block in enumerate(blocks):
                done = _shell(block.replace("8443", port), folder, variables, f"block{number}")
                assert done.returncode == 0, done.stderr
                if "TlsFiles.java client" in block:
                    _wait_for_hellos(folder / f"block{number}.out")
            assert "PrivateKeyEntry" in (folder / "block0.out").read_text()
            assert "+wrapper.java.classpath.2=" in (folder / "block3.out").read_text()
            assert (folder / "wrapper.conf").read_text() == "wrapper.java.classpath.1=%MULE_LIB%\n"
        finally:
            end_everything_in(folder)
            shutil.rmtree(settings.runtime_folder(folder / "state"), ignore_errors=True)


def _wait_for_hellos(said: Path) -> None:
    """Of Node, Go and Java, in this order, once a second."""
    for who in ("web", "orders", "stock"):
        line = f"hello spiffe://shop.internal/ns/default/sa/{who}\n"
        wait_for(lambda line=line: said.read_text().count(line) > 10, 90, line)


def _shell(block: str, folder: Path, variables: dict[str, str], name: str) -> subprocess.CompletedProcess[str]:
    """What a person types. Programs in the background write where the rest does."""
    script = f"exec >{name}.out 2>{name}.err; set -e\n{block}"
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=variables, timeout=150, check=False)
    errors = (folder / f"{name}.err").read_text()
    return subprocess.CompletedProcess(done.args, done.returncode, "", errors)
