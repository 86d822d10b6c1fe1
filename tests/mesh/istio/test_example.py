"""The example `external-system`: both of its files say the same, its programs do what they say, and all of it runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from handsel.link.messages import Resources
from handsel.link.report import WorkloadReport
from handsel.mesh.compiler import Compiler
from handsel.mesh.render import protos, workload
from handsel.mesh.translate import translate
from handsel.model.graph import ExternalTls
from handsel.wiring.mesh_files import load_mesh
from handsel.xds.resources import CLUSTER, ROUTE

EXAMPLE = Path(__file__).parents[3] / "examples" / "external-system"
PLACES = {"host": {"client": WorkloadReport("client", "127.0.0.1", 8080, 9001, 9002, {"external-system": 9003}, "/l")}}


def external(file):
    return load_mesh(EXAMPLE / file).externals["external-system"]


def test_both_files_declare_the_same_external():
    native, istio = external("handsel.yaml"), external("handsel-istio.yaml")
    assert native.tls is ExternalTls.MUTUAL
    assert replace(istio, origin=native.origin, request_timeout=native.request_timeout) == native
    mesh = load_mesh(EXAMPLE / "handsel-istio.yaml")
    ((rule,),) = (each.http for each in mesh.routes)
    assert (rule.timeout, rule.to[0].callee) == (timedelta(seconds=5), "external-system")
    assert mesh.notes == ()


@pytest.mark.parametrize("file", ["handsel.yaml", "handsel-istio.yaml"])
def test_the_client_s_sidecar_makes_mutual_tls_of_plain_http(file):
    (body,) = Compiler().compile(load_mesh(EXAMPLE / file), PLACES).bodies.values()
    resources = {(each.type_url, each.name): each.body for each in Resources.decode(body).resources}
    cluster = protos.to_json(CLUSTER, resources[CLUSTER, "external-system"])
    tls = cluster["transportSocket"]["typedConfig"]
    assert tls["sni"] == "external.system.com"
    certificate = tls["commonTlsContext"]["tlsCertificateSdsSecretConfigs"][0]["name"]
    assert certificate == f"file-cert:{EXAMPLE}/certs/cert.pem~{EXAMPLE}/certs/key.pem"
    assert '"external.system.com:80"' in json.dumps(protos.to_json(ROUTE, resources[ROUTE, "proxy"]))


@pytest.mark.parametrize(
    ("port", "domains"),
    [(80, ["external.system.com", "external.system.com:80"]), (8080, ["external.system.com:8080"])],
)
def test_the_proxy_goes_by_the_port_that_programs_use(port, domains):
    mesh = load_mesh(EXAMPLE / "handsel.yaml")
    outside = replace(mesh.externals["external-system"], plain_port=port, request_timeout=timedelta(seconds=1000000))
    (plan,) = translate(replace(mesh, externals={"external-system": outside}), PLACES).values()
    rendered = workload.render(plan)
    hosts = rendered[ROUTE]["proxy"]["virtualHosts"]
    assert hosts[0]["domains"] == domains
    assert hosts[0]["routes"][0]["route"]["timeout"] == "1000000s"
    assert workload.to_resources(rendered)  # and Envoy's API takes it


@pytest.mark.parametrize(
    ("endpoints", "kind"),
    [((), "STRICT_DNS"), ((("10.0.0.7", 443),), "STATIC"), ((("10.0.0.7", 443), ("a.example.com", 443)), "STRICT_DNS")],
)
def test_names_of_endpoints_are_resolved_by_dns(endpoints, kind):
    mesh = load_mesh(EXAMPLE / "handsel.yaml")
    outside = replace(mesh.externals["external-system"], endpoints=endpoints)
    (plan,) = translate(replace(mesh, externals={"external-system": outside}), PLACES).values()
    assert workload.render(plan)[CLUSTER]["external-system"]["type"] == kind


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def program(folder: Path, name: str, **environment: str):
    """One of the example's programs, running in a copy of its folder; yields its port and a way to read what it said."""
    port = free_port()
    shutil.copy(EXAMPLE / name, folder)
    output = folder / f"{name}.log"
    clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, str(folder / name)],
            env={**clean, **environment, "PORT": str(port)},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: listens(port) or process.poll() is not None)
        yield port, output.read_text
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert "Traceback" not in output.read_text()
    finally:
        process.kill()
        process.wait()


def wait_for(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tls_context(certs: Path, *, client: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certs / "ca.pem")
    if client:
        context.load_cert_chain(certs / "cert.pem", certs / "key.pem")
    return context


def ask(port: int, context: ssl.SSLContext, requests: int = 1) -> list[bytes]:
    """The answers to several requests on one connection."""
    answers = []
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    with context.wrap_socket(raw, server_hostname="external.system.com") as connection:
        for _ in range(requests):
            connection.sendall(b"GET /secured-endpoint HTTP/1.1\r\nHost: external.system.com\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}\n"):
                more = connection.recv(65536)
                if not more:
                    raise ConnectionError("closed")
                answer += more
            answers.append(answer)
    return answers


def test_the_third_party_says_whom_it_saw_on_a_connection_that_lives_on(tmp_path):
    with program(tmp_path, "third_party.py") as (port, _):
        context = tls_context(tmp_path / "certs", client=True)
        first, second = ask(port, context, requests=2)
        seen = json.loads(first.partition(b"\r\n\r\n")[2])["client_certificate"]
        assert seen["subject"] == "CN=Client of the third party"
        certificate = x509.load_pem_x509_certificate((tmp_path / "certs" / "cert.pem").read_bytes())
        assert int(seen["serial"], 16) == certificate.serial_number
        assert first.startswith(b"HTTP/1.1 200 ")
        assert second.startswith(b"HTTP/1.1 200 ")


def test_the_third_party_refuses_whoever_shows_no_certificate_or_speaks_plain(tmp_path):
    with program(tmp_path, "third_party.py") as (port, said):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(port, tls_context(tmp_path / "certs", client=False))
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/secured-endpoint", timeout=10)
        wait_for(lambda: said().count("refused 127.0.0.1") == 2)


def test_the_keys_are_for_their_owner_s_eyes_only_and_new_at_each_start(tmp_path):
    keys = []
    for _ in range(2):
        with program(tmp_path, "third_party.py"):
            certs = tmp_path / "certs"
            assert certs.stat().st_mode & 0o777 == 0o700
            assert {each.name: each.stat().st_mode & 0o777 for each in certs.iterdir()} == dict.fromkeys(
                ["ca.pem", "cert.pem", "key.pem", "server.pem"], 0o600
            )
            keys.append((certs / "key.pem").read_bytes())
    assert keys[0] != keys[1]


def test_the_client_asks_through_its_proxy_and_passes_on_the_answer(tmp_path):
    proxy = tmp_path / "proxy.py"
    proxy.write_text(
        "import os, socketserver\n"
        "class Proxy(socketserver.StreamRequestHandler):\n"
        "    def handle(self):\n"
        "        line = self.rfile.readline()\n"
        "        while self.rfile.readline().strip(): pass\n"
        "        body = line.split()[1] + b'\\n'\n"
        "        self.wfile.write(b'HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(body) + body)\n"
        "socketserver.ThreadingTCPServer(('127.0.0.1', int(os.environ['PORT'])), Proxy).serve_forever()\n"
    )
    proxy_port = free_port()
    process = subprocess.Popen([sys.executable, str(proxy)], env={**os.environ, "PORT": str(proxy_port)})
    try:
        environment = {"http_proxy": f"http://127.0.0.1:{proxy_port}"}
        with program(tmp_path, "client.py", **environment) as (port, said):
            wait_for(lambda: "client: at start: 200 http://external.system.com/secured-endpoint" in said())
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                assert answer.read() == b"http://external.system.com/secured-endpoint\n"
    finally:
        process.kill()
        process.wait()


def test_the_client_says_that_nobody_answers(tmp_path):
    with program(tmp_path, "client.py", http_proxy=f"http://127.0.0.1:{free_port()}") as (port, _):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
        with caught.value as answer:
            assert answer.code == 502
            assert json.loads(answer.read())["error"].startswith("the third party did not answer: ")
