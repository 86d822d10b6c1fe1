"""What is written is taken by those for whom it is: by their own checks, and in handshakes with the same context here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12

from handsel.envoy.adapters import binary
from handsel.errors import EnvoyMissing
from handsel.model.context import TlsContext
from handsel.pki.certificate import to_pem
from handsel.tls.convert.model import BOTH, Side
from handsel.tls.convert.write import envoy, go, java, nginx, node
from tests.support import TestAuthority
from tests.tls.convert.contexts import GOLDEN, golden
from tests.tls.world import HOST, World, say, serving

TWO_WAY = "{key_store: {path: server.pem}, trust_store: {path: roots.pem}}"
STRANGER = "{trust_store: {path: others.pem}}"
BILLING = "{key_store: {path: client.pem}, trust_store: {path: roots.pem}, peers: [orders.internal], alpn: [h2]}"
OTHER_PEER = "{key_store: {path: client.pem}, trust_store: {path: roots.pem}, peers: [nobody.internal]}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.issue("server")
    made.issue("client", dns=("billing.internal",))
    made.write("others.pem", to_pem((TestAuthority.make().issuer.root,)))
    return made


def _declared(world: World, text: str) -> TlsContext:
    return world.context("orders", text).declared


def _tool(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/go/bin")
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def _run(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=110, check=False, **options
    )  # type: ignore[call-overload]


# nginx


def _nginx(world: World, context: TlsContext, spoil: str = "") -> subprocess.CompletedProcess[str]:
    """What `nginx -t` says of both sides."""
    tool, files = _tool("nginx"), nginx.write(context).files
    version = tuple(int(each) for each in re.findall(r"\d+", _run(tool, "-v").stderr.split("/")[1].split()[0])[:3])
    for name, text in files.items():
        known = text if version >= (1, 25, 1) else text.replace("http2 on;\n", "")
        world.write(name, (known + spoil).encode())
    server = f"include {world.folder}/orders-server.conf;" if "orders-server.conf" in files else ""
    config = f"""
pid {world.folder}/pid; error_log stderr; daemon off;
events {{}}
http {{
  access_log off; resolver 127.0.0.1;
  {"".join(f"{each}_temp_path {world.folder}/{each};" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))}
  server {{
    listen 127.0.0.1:1 {"ssl" if server else ""}; {server}
    location / {{ proxy_pass https://127.0.0.1:2; include {world.folder}/orders-proxy.conf; }}
  }}
}}
"""
    path = world.write("nginx.conf", config.encode())
    return _run(tool, "-t", "-c", path, "-p", world.folder)


NGINX = [
    TWO_WAY,
    BILLING,
    "{trust_store: {path: roots.pem}, ciphers: [ECDHE-ECDSA-AES128-GCM-SHA256], protocols: [TLSv1.2]}",
    "{key_store: {path: server.pem}, insecure: true}",
    (
        "{key_store: {path: server.pem}, trust_store: {path: roots.pem}, client_certificate: optional, "
        "revocation: {responder: 'http://127.0.0.1:3/', whole_chain: true}}"
    ),
]


@pytest.mark.parametrize("text", NGINX)
def test_nginx_takes_it(world: World, text: str) -> None:
    done = _nginx(world, _declared(world, text))
    assert done.returncode == 0, done.stderr


def test_nginx_would_refuse_what_is_wrong(world: World) -> None:
    """The control of the test above."""
    assert _nginx(world, _declared(world, TWO_WAY), "ssl_protocol TLSv1.2;").returncode != 0
    (world.folder / "server.pem").unlink()
    assert _nginx(world, _declared(world, TWO_WAY)).returncode != 0


# Envoy


def _envoy(world: World, context: TlsContext, change: str = "") -> subprocess.CompletedProcess[str]:
    """What Envoy says of a static configuration with both sides."""
    try:
        found = binary.find(None)
    except EnvoyMissing:
        pytest.skip("needs Envoy")
    sides = {
        name.rpartition("-")[2].removesuffix(".yaml"): yaml.safe_load(text.replace("exact:", change or "exact:"))
        for name, text in envoy.write(context).files.items()
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 9}}
    upstream = {
        "name": "u", "type": "STATIC", **sides["upstream"],
        "load_assignment": {"cluster_name": "u", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
    }  # fmt: skip
    proxy = {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "x", "cluster": "u",
        },
    }  # fmt: skip
    listeners = [
        {"name": "d", "address": address, "filter_chains": [{"filters": [proxy], **sides["downstream"]}]}
    ] if "downstream" in sides else []  # fmt: skip
    path = world.write(
        "envoy.yaml", yaml.safe_dump({"static_resources": {"clusters": [upstream], "listeners": listeners}}).encode()
    )
    return _run(found, "--mode", "validate", "--config-path", path, "--log-level", "error")


@pytest.mark.parametrize("text", [*NGINX, "{trust_store: {system: true}, protocols: [TLSv1.3]}"])
def test_envoy_takes_it(world: World, text: str) -> None:
    done = _envoy(world, _declared(world, text))
    assert done.returncode == 0, done.stderr


def test_envoy_would_refuse_what_is_wrong(world: World) -> None:
    """The control of the test above."""
    assert _envoy(world, _declared(world, BILLING)).returncode == 0
    assert _envoy(world, _declared(world, BILLING), "exactly:").returncode != 0


# Node

_NODE_CLIENT = """
import tls from "node:tls";
import * as orders from "./orders.mjs";
orders.secureContext();
const socket = tls.connect({ host: "127.0.0.1", port: Number(process.argv[2]), servername: "HOST", ...orders.client() });
socket.on("secureConnect", () => socket.write("hello"));
socket.on("data", () => { socket.destroy(); process.exit(0); });
socket.on("error", (error) => { console.error(error.message); process.exit(7); });
socket.on("close", () => process.exit(7));
"""
_NODE_SERVER = """
import tls from "node:tls";
import * as orders from "./orders.mjs";
const server = tls.createServer(orders.server(), (socket) => {
  socket.on("error", () => {});
  if (orders.checkPeer?.(socket.getPeerCertificate())) return socket.destroy();
  socket.pipe(socket);
});
server.on("tlsClientError", () => {});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
"""


def _node_client(world: World, text: str, port: int) -> bool:
    """Whether a client in Node with this context gets an answer."""
    world.write("orders.mjs", node.write(_declared(world, text)).files["orders.mjs"].encode())
    done = _run(_tool("node"), world.write("client.mjs", _NODE_CLIENT.replace("HOST", HOST).encode()), port)
    assert done.returncode in (0, 7), done.stderr
    return done.returncode == 0


def test_a_client_in_node(world: World) -> None:
    with serving(world.context("server", TWO_WAY).server()) as port:
        assert _node_client(world, BILLING, port)
        assert not _node_client(world, OTHER_PEER, port)
        assert not _node_client(world, STRANGER, port)
        assert not _node_client(world, "{trust_store: {path: roots.pem}}", port)  # it has no certificate to show
    with serving(world.context("server", "{key_store: {path: server.pem}}").server()) as port:
        assert not _node_client(world, STRANGER, port)
        assert _node_client(world, "{insecure: true}", port)


@contextmanager
def _server(*command: object, folder: Path) -> Iterator[int]:
    """A program that says its port on its first line, until the end of the block."""
    words = [str(word) for word in command]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(100, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                pytest.fail(process.stderr.read() if process.stderr else "it said nothing")
            yield int(line)
        finally:
            timer.cancel()
            process.kill()


def _gets_through(world: World, text: str, port: int) -> bool:
    try:
        say(port, world.context("me", text).client())
    except OSError:
        return False
    return True


def test_a_server_in_node(world: World) -> None:
    text = "{key_store: {path: server.pem}, trust_store: {path: roots.pem}, peers: [billing.internal]}"
    world.issue("stranger", dns=("stranger.internal",))
    world.write("orders.mjs", node.write(_declared(world, text)).files["orders.mjs"].encode())
    with _server(_tool("node"), world.write("server.mjs", _NODE_SERVER.encode()), folder=world.folder) as port:
        assert _gets_through(world, "{key_store: {path: client.pem}, trust_store: {path: roots.pem}}", port)
        assert not _gets_through(world, "{key_store: {path: stranger.pem}, trust_store: {path: roots.pem}}", port)
        assert not _gets_through(world, "{trust_store: {path: roots.pem}}", port)


@pytest.mark.parametrize("name", golden())
def test_node_and_go_can_read_what_was_recorded(name: str, tmp_path: Path) -> None:
    module, package = GOLDEN / name / "node" / f"{name}.mjs", GOLDEN / name / "go" / f"{name}.go"
    checked = _run(_tool("node"), "--check", module)
    assert checked.returncode == 0, checked.stderr
    formatted = _run(_tool("gofmt"), "-e", "-d", package)
    assert (formatted.returncode, formatted.stdout) == (0, ""), formatted.stderr
    broken = tmp_path / "broken.go"
    broken.write_text(package.read_text() + "}")
    assert _run(_tool("gofmt"), "-e", broken).returncode != 0


# Go

_GO_MAIN = """package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"os"
)

func main() {
	names := map[string]func() (*tls.Config, error){%s}
	config, err := names[os.Args[1]]()
	if err != nil {
		panic(err)
	}
	config.ServerName = "%s"
	connection, err := tls.Dial("tcp", "127.0.0.1:"+os.Args[2], config)
	if err == nil {
		fmt.Fprint(connection, "hello")
		_, err = io.ReadFull(connection, make([]byte, 5))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(7)
	}
}
"""


def test_clients_in_go(world: World) -> None:
    tool = _tool("go")
    folder = world.folder / "go"
    folder.mkdir()
    clients = {"good": BILLING, "peer": OTHER_PEER, "stranger": STRANGER, "plain": "{trust_store: {path: roots.pem}}"}
    for name, text in clients.items():
        context = world.context(name, text).declared
        made = go.write(context, BOTH).files[f"{name}.go"]
        (folder / f"{name}.go").write_text(made.replace("package contexts", "package main"))
    table = ", ".join(f'"{name}": {name.capitalize()}Client' for name in clients)
    (folder / "main.go").write_text(_GO_MAIN % (table, HOST))
    (folder / "go.mod").write_text("module main\n\ngo 1.19\n")
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
    built = _run(tool, "build", "-o", "client", ".", cwd=folder, env=environment)
    assert built.returncode == 0, built.stderr

    def gets_through(name: str, port: int) -> bool:
        done = _run(folder / "client", name, port)
        assert done.returncode in (0, 7), done.stderr
        return done.returncode == 0

    with serving(world.context("server", TWO_WAY).server()) as port:
        assert [name for name in clients if gets_through(name, port)] == ["good"]
    with serving(world.context("server", "{key_store: {path: server.pem}}").server()) as port:
        assert [name for name in clients if gets_through(name, port)] == ["good", "plain"]


# Java

_JAVA_CLIENT = """
import java.io.*; import java.nio.file.*; import java.util.*; import javax.net.ssl.*;
class Client { public static void main(String[] words) throws Exception {
  Properties given = new Properties();
  given.load(Files.newBufferedReader(Path.of(words[0])));
  for (String key : given.stringPropertyNames()) {
    String value = given.getProperty(key);
    if (value.startsWith("${")) value = System.getenv(value.substring(2, value.length() - 1));
    System.setProperty(key, value);
  }
  SSLSocket socket = (SSLSocket) SSLSocketFactory.getDefault().createSocket("127.0.0.1", Integer.parseInt(words[1]));
  try {
    SSLParameters wanted = socket.getSSLParameters();
    wanted.setServerNames(List.of(new SNIHostName(words[2])));
    socket.setSSLParameters(wanted);
    socket.getOutputStream().write("hello".getBytes());
    if (socket.getInputStream().readNBytes(5).length == 5) System.exit(0);
  } catch (IOException error) { System.err.println(error); }
  System.exit(7);
} }
"""


def test_a_jvm_with_what_was_written(world: World) -> None:
    tool = _tool("java")
    _tool("javac")
    _java_stores(world)
    client = world.write("Client.java", _JAVA_CLIENT.encode())
    environment = {**os.environ, "STORE": "changeit"}

    def gets_through(text: str, port: int) -> bool:
        exported = java.write(_declared(world, text), (Side.CLIENT,))
        (name,) = exported.files
        assert "changeit" not in exported.files[name]
        done = _run(tool, client, world.write(name, exported.files[name].encode()), port, HOST, env=environment)
        assert done.returncode in (0, 7), done.stderr
        return done.returncode == 0

    trust = "trust_store: {path: roots.p12, type: pkcs12, password: {env: STORE}}"
    key = "key_store: {path: client.p12, password: {env: STORE}}"
    with serving(world.context("server", "{key_store: {path: server.pem}, protocols: [TLSv1.3]}").server()) as port:
        assert gets_through(f"{{{trust}}}", port)
        assert not gets_through(f"{{{trust}, protocols: [TLSv1.2]}}", port)
        assert not gets_through("{}", port)
    suite = "ciphers: [ECDHE-ECDSA-AES256-GCM-SHA384]"
    with serving(world.context("server", TWO_WAY).server()) as port:
        assert gets_through(f"{{{trust}, {key}, {suite}}}", port)
        assert not gets_through(f"{{{trust}, {suite}}}", port)


def _java_stores(world: World) -> None:
    """The files of the world again, as Java has them."""
    content = (world.folder / "client.pem").read_bytes()
    key, chain = load_pem_private_key(content, None), x509.load_pem_x509_certificates(content)
    roots = x509.load_pem_x509_certificates((world.folder / "roots.pem").read_bytes())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    sealed = BestAvailableEncryption(b"changeit")
    world.write("client.p12", pkcs12.serialize_key_and_certificates(b"client", key, chain[0], chain[1:], sealed))
    trusted = [pkcs12.PKCS12Certificate(each, b"root") for each in roots]
    world.write("roots.p12", pkcs12.serialize_java_truststore(trusted, sealed))
