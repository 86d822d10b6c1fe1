"""Injected pods, each a network namespace: the containers, rules and probes of their manifests, as a kubelet has them."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from handsel.envoy.adapters.process import ProcessRecord
from handsel.mesh.inject.model import AUDIENCE
from tests.authority.attest.issuer import Issuer
from tests.authority.attest.test_tokens import BOUND
from tests.e2e.hosts import Hosts
from tests.e2e.mesh_process import access_log, end_everything_in, run, short_folder, wait_for
from tests.e2e.network import Network, needs_network, network
from tests.mesh.inject.manifests import SETTINGS, injected, pod
from tests.mesh.inject.test_start import Kubelet

pytestmark = [
    pytest.mark.e2e,
    needs_network,
    pytest.mark.skipif(shutil.which("nft") is None, reason="needs nftables"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv"),
]

_MESH = f"""
trust_domain: shop.internal
services:
  web: {{port: 8080, namespace: shop, calls: [shop, shop-more, open, bank]}}
  shop: {{port: 8081, namespace: shop, ports: {{more: {{port: 8089, protocol: http}}}}}}
  open: {{port: 8082, namespace: shop, mode: permissive}}
external:
  bank: {{host: bank.example.com, endpoints: [127.0.0.1:9], tls: {{mode: simple, ca_certificates: FOLDER/bank.pem}}}}
authority:
  registration:
    - {{name: pods, attestor: kubernetes, issuer: "https://cluster", audience: {AUDIENCE}, keys: jwks.json,
       identities: ["spiffe://{{trust_domain}}/ns/{{namespace}}/sa/{{service_account}}"]}}
"""
_SPEC = """\
serviceAccountName: {name}
containers:
  - name: app
    image: app
    readinessProbe: {{httpGet: {{path: /ready.html, port: {port}, httpHeaders: [{{name: X-Probe, value: "yes"}}]}}}}
    livenessProbe: {{tcpSocket: {{port: {port}}}}}
"""
# Serves its folder at each port, at every address, and says which headers came.
_PROGRAM = """
import http.server, sys, threading
class Handler(http.server.SimpleHTTPRequestHandler):
    def end_headers(self):
        self.send_header("Content-Language", self.headers.get("X-Probe", "none"))
        super().end_headers()
servers = [http.server.ThreadingHTTPServer(("0.0.0.0", int(port)), Handler) for port in sys.argv[1:]]
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
"""
_ASK = """
import socket, sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for url in sys.argv[1:]:
    try:
        with opener.open(url, timeout=10) as answer:
            print(f"{answer.status} {answer.read().decode()}".strip())
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode().strip())
    except OSError as error:
        print(type(getattr(error, "reason", error)).__name__)
"""
_EXCLUDED = 9100
_MORE = (_EXCLUDED, 8089, 7777)


class Pod:
    """An injected pod of a service."""

    def __init__(
        self, folder: Path, net: Network, issuer: Issuer, config_map: dict[str, str], name: str, port: int,
        annotations: str = "",
    ) -> None:  # fmt: skip
        self.name, self.port = name, port
        self.address, self.within = net.add(name), net.within(name)
        value: Any = injected(pod(annotations, spec=_SPEC.format(name=name, port=port)), SETTINGS)[0].value
        self.spec = value["spec"]
        self.folder = folder / name
        self.folder.mkdir(mode=0o755)
        bound = {**BOUND, "serviceaccount": {"name": name, "uid": name}}
        claims = {"sub": f"system:serviceaccount:shop:{name}", "kubernetes.io": bound, "aud": AUDIENCE, "jti": name}
        self.kubelet = Kubelet(
            self.folder, self.spec, config_map, issuer.token(**claims), address=self.address, within=self.within
        )
        self.state = self.kubelet.path("handsel-sidecar", "/var/lib/handsel/agent")
        self.sidecar: subprocess.Popen[str] | None = None
        self.program: subprocess.Popen[bytes] | None = None

    def begin(self) -> subprocess.Popen[str]:
        """What the kubelet and the init containers do, the last of which goes on."""
        subprocess.run([*self.within, "ip", "route", "add", "default", "dev", "eth0"], check=True)
        for each in self.spec["securityContext"]["sysctls"]:
            place = f"/proc/sys/{each['name'].replace('.', '/')}"
            subprocess.run([*self.within, "tee", place], input=each["value"].encode(), check=True, capture_output=True)
        self.kubelet.redirect("handsel-redirect")
        return self.kubelet.start("handsel-init")

    def start(self) -> None:
        self.sidecar = self.kubelet.start("handsel-sidecar")

    def start_program(self, *more: int) -> None:
        if self.program is not None:
            return
        place = self.folder / "www"
        place.mkdir(exist_ok=True)
        for page in ("index.html", "ready.html"):
            (place / page).write_text(f"{self.name} {page}")
        words = [*self.within, sys.executable, "-c", _PROGRAM, str(self.port), *map(str, more)]
        self.program = subprocess.Popen(words, cwd=place, stderr=subprocess.DEVNULL)

    def ask(self, *urls: str, user: Sequence[str] = ()) -> list[str]:
        """What a program of the pod gets from each."""
        return asked(self.within, *urls, user=user)

    def stop(self) -> None:
        for each in (self.sidecar, self.program):
            if each is not None:
                each.kill()
                each.communicate()


def asked(within: Sequence[str], *urls: str, user: Sequence[str] = ()) -> list[str]:
    done = subprocess.run(
        [*within, *user, sys.executable, "-c", _ASK, *urls], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()


class Cluster:
    def __init__(self, folder: Path, net: Network, issuer: Issuer) -> None:
        self.net = net
        self.node = net.within("server")
        self.bank = folder / "bank.pem"
        self.hosts = Hosts(folder, _MESH.replace("FOLDER", str(folder)), net)
        roots = run("ca", "bundle", "--state", str(self.hosts.server_state)).stdout
        line = next(each for each in self.hosts.server.output().splitlines() if each.startswith("server https"))
        self.config_map = {"server": line.split()[1].rstrip(","), "roots.pem": roots}
        self.web = Pod(folder, net, issuer, self.config_map, "web", 8080)
        self.shop = Pod(
            folder, net, issuer, self.config_map, "shop", 8081,
            f'traffic.sidecar.istio.io/excludeInboundPorts: "{_EXCLUDED}"',
        )  # fmt: skip
        self.open = Pod(folder, net, issuer, self.config_map, "open", 8082, "sidecar.istio.io/interceptionMode: TPROXY")
        self.pods = (self.web, self.shop, self.open)
        self.lacking = f"503 web waits for a secret: {self.bank} is not there"

    def health(self, each: Pod) -> str:
        """What the kubelet gets, from outside."""
        (said,) = asked(self.node, f"http://{each.address}:15021/healthz/ready")
        return said

    def probe(self, each: Pod, name: str) -> str:
        (said,) = asked(self.node, f"http://{each.address}:15020/app-health/app/{name}")
        return said


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    issuer = Issuer("https://cluster")
    with network() as net, short_folder() as folder:
        folder.chmod(0o755)
        (folder / "jwks.json").write_bytes(issuer.jwks())
        with contextlib.ExitStack() as stack:
            stack.callback(end_everything_in, folder)
            made = Cluster(folder, net, issuer)
            joining = [each.begin() for each in made.pods]
            for each, initializer in zip(made.pods, joining, strict=True):
                _, said = initializer.communicate(timeout=60)
                assert initializer.returncode == 0, said
                stack.callback(each.stop)
                each.start()
            wait_for(lambda: made.health(made.web) == made.lacking, 30, "the reason")
            yield made


@pytest.fixture
def running(cluster: Cluster) -> Cluster:
    """All pods are ready, and their programs run. One of them misses a file until then."""
    cluster.bank.write_text(cluster.config_map["roots.pem"])
    for each in cluster.pods:
        wait_for(lambda each=each: cluster.health(each) == "200 ready", 30, each.name)
    return cluster


def test_it_is_ready_once_its_envoy_has_its_configuration(running: Cluster) -> None:
    """That it was not before, and said why, is what the pods of this test began with."""
    assert [running.health(each) for each in running.pods] == ["200 ready"] * 3


def test_probes_are_carried_out(running: Cluster) -> None:
    cluster, web = running, running.web
    assert cluster.probe(web, "readyz").startswith("500 the program cannot be asked")
    assert cluster.probe(web, "livez").startswith("500 the program cannot be asked")
    web.start_program()
    wait_for(lambda: cluster.probe(web, "readyz") == "200 web ready.html", what="the program")
    assert cluster.probe(web, "livez") == "200"
    assert cluster.probe(web, "startupz").startswith("404")


def test_calls_by_name_go_to_another_pod_under_mutual_tls_and_no_others_leave(running: Cluster) -> None:
    cluster = running
    cluster.shop.start_program(*_MORE)
    cluster.open.start_program()
    wait_for(lambda: cluster.web.ask("http://shop/") == ["200 shop index.html"], what="the call")
    assert cluster.web.ask("http://shop:8081/ready.html") == ["200 shop ready.html"]
    assert cluster.web.ask("http://shop-more:8089/", "http://open/") == ["200 shop index.html", "200 open index.html"]
    peers = {
        line["peer_uri"]
        for line in access_log(cluster.shop.state, "shop")
        if (line["event"], line["type"]) == ("inbound_connected", "TcpUpstreamConnected")
    }
    assert peers == {"spiffe://shop.internal/ns/shop/sa/web"}
    # Past the sidecar nobody is reached, by any address; the same calls of the sidecar's own user get through.
    past = f"http://{cluster.shop.address}:{_EXCLUDED}/"
    assert cluster.web.ask(past) == ["ConnectionResetError"]
    user = ["setpriv", "--reuid=1337", "--regid=1337", "--clear-groups"]
    assert cluster.web.ask(past, user=user) == ["200 shop index.html"]


def test_what_comes_plain_to_the_programs_port_is_refused_unless_the_port_is_permissive(running: Cluster) -> None:
    cluster = running
    shop, opened = cluster.shop, cluster.open
    shop.start_program(*_MORE)
    opened.start_program()
    wait_for(lambda: asked(cluster.node, f"http://{shop.address}:{_EXCLUDED}/") == ["200 shop index.html"], what="shop")
    wait_for(lambda: asked(cluster.node, f"http://{opened.address}:8082/") == ["200 open index.html"], what="open")
    refused = asked(cluster.node, *(f"http://{shop.address}:{port}/" for port in (8081, 8089, 7777, 15006)))
    assert not any(each.startswith("200") for each in refused)
    assert set(refused) <= {"ConnectionResetError", "RemoteDisconnected"}


def test_a_container_that_ends_takes_its_envoy_along_and_comes_back(running: Cluster) -> None:
    """The kubelet starts it again on the same volumes; in here no container is there to end what it started."""
    sidecar, record = running.open.sidecar, running.open.state / "agent" / "workloads" / "open" / "envoy.pid"
    assert sidecar is not None
    before = ProcessRecord.load(record)
    assert before is not None
    assert before.runs
    sidecar.terminate()
    sidecar.communicate(timeout=30)
    assert not before.runs
    running.open.start()
    wait_for(lambda: running.health(running.open) == "200 ready", 30, "the next one")


def test_a_hook_waits_for_the_sidecar(running: Cluster) -> None:
    cluster = running
    hook = ["handsel", "agent", "wait", "--state", "/var/lib/handsel/agent", "--timeout", "20s"]
    done = cluster.web.kubelet.start_in("handsel-sidecar", hook)
    assert done.communicate(timeout=30) == (None, "")
    assert done.returncode == 0
    nobody = cluster.web.kubelet.start_in("handsel-sidecar", [*hook[:4], "/nowhere", "--timeout", "1s"])
    _, said = nobody.communicate(timeout=30)
    assert nobody.returncode == 4
    assert "no agent runs on the state folder" in said
