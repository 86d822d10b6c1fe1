"""The settings of a load balancer that have one of their own: each in a small real Envoy."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from handsel.link.report import WorkloadReport
from handsel.mesh.stages import Stage, show
from handsel.xds.resources import LISTENER
from tests.e2e.mesh_process import free_port
from tests.mesh.balancer.certificates import make, revoke
from tests.mesh.balancer.running import Client, Running, read, running
from tests.mesh.balancer.workers import Worker

ENDPOINT = "[{public_key: shop.pem, private_key: shop.key}]"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hs-") as name:
        place = Path(name)
        clients = make("Partners", ca=True)
        (place / "clients.pem").write_bytes(clients.pem)
        make("shop.example.com", ["shop.example.com", "*.shop.example.com"], rsa_key=True).write(place, "shop")
        make("mallory").write(place, "mallory")
        yield place


@pytest.fixture(scope="module")
def worker() -> Worker:
    return Worker("one")


@contextlib.contextmanager
def balancer(folder: Path, worker: Worker, **said: str) -> Iterator[tuple[Client, Client, Running]]:
    """A client by TLS, a plain one, and the Envoy of a load balancer with these settings."""
    http, https = free_port(), free_port()
    usual = {
        "bind": "127.0.0.1", "http_port": str(http), "https_port": str(https), "ssl_endpoints": ENDPOINT,
        "mappings": "[{input_uri: /, app_name: orders}]",
        "applications": f"{{orders: {{workers: ['127.0.0.1:{worker.port}'], check_health: false}}}}",
    }  # fmt: skip
    keys = {key: value for key, value in (usual | said).items() if value}
    text = "\n".join(("balancers:", "  front:", *(f"    {key}: {value}" for key, value in keys.items())))
    ports = [https, *([http] if said.get("http_mode", "off") != "off" else [])]
    with running(text, folder, *ports) as envoy:
        yield Client(https, "shop.example.com"), Client(http, tls=False), envoy


def test_http_off_is_nobody_there_and_redirect_keeps_host_and_path(folder: Path, worker: Worker):
    with balancer(folder, worker) as (tls, plain, _):
        assert tls.ask().status == 200
        with pytest.raises(ConnectionRefusedError):
            plain.ask()
    with balancer(folder, worker, http_mode="redirect") as (tls, plain, _):
        answer = plain.ask("/a?b=c", host="shop.example.com:80")
        assert (answer.status, answer.headers["location"]) == (301, f"https://shop.example.com:{tls.port}/a?b=c")


def test_a_stopped_one_listens_nowhere(folder: Path):
    text = f"balancers: {{front: {{state: STATE, ssl_endpoints: {ENDPOINT}, mappings: [{{input_uri: /, app_name: a}}],"
    text += " applications: {a: {workers: [10.0.0.1]}}}}"
    report = WorkloadReport("front", "127.0.0.1", 0, 0, 0, {}, "/log")

    def listeners(state: str) -> list[str]:
        mesh = read(text.replace("STATE", state), folder)
        (proxy,) = show(mesh, {"host": {"front": report}}, Stage.XDS).values()
        return list(proxy[LISTENER])

    assert listeners("started") == ["balancer.https"]
    assert listeners("stopped") == []


def test_an_application_that_takes_too_long_is_504(folder: Path, worker: Worker):
    with balancer(folder, worker, proxy_read_timeout="1s") as (tls, _, _):
        assert tls.ask("/quick").status == 200
        assert tls.ask("/slow").status == 504


def test_the_shared_one_finds_applications_by_their_host_and_limits_the_rate(folder: Path, worker: Worker):
    said = {"preset": "shared", "domain": "shop.example.com", "http_mode": '"on"', "mappings": "", "rate_limit": "20"}
    said["applications"] = f"{{orders: {{workers: [127.0.0.1], http_port: {worker.port}, check_health: false}}}}"
    with balancer(folder, worker, **said) as (tls, plain, _):
        assert plain.ask("/a", host="orders.shop.example.com").told["path"] == "/a"
        assert plain.ask("/a", host="Orders.Shop.Example.com:80").told["path"] == "/a"
        assert plain.ask("/a", host="nobody.shop.example.com").status == 404
        assert plain.ask("/a", host="orders.example.com").status == 404
        # Towards its TLS port where the client spoke TLS: nobody is there.
        assert tls.ask("/a", host="orders.shop.example.com").status == 503
        statuses = {plain.ask("/a", host="orders.shop.example.com").status for _ in range(60)}
        assert statuses == {200, 429}


def test_tls_1_0_is_spoken_where_somebody_wrote_so(folder: Path, worker: Worker):
    old = {"newest": ssl.TLSVersion.TLSv1, "ciphers": "ALL:@SECLEVEL=0"}
    with balancer(folder, worker, tlsv1="true", default_cipher_suite="OldDefault") as (tls, _, _):
        assert replace(tls, **old).ask().status == 200
        assert tls.ask().status == 200
    with balancer(folder, worker) as (tls, _, _), pytest.raises(OSError):
        replace(tls, **old).ask()


@pytest.mark.parametrize("suites", ["NewDefault-v1", "OldDefault", "EcdheEcdsaRsa", "RestrictCiphers"])
def test_every_named_set_of_suites_is_spoken(folder: Path, worker: Worker, suites: str):
    with balancer(folder, worker, default_cipher_suite=suites) as (tls, _, _):
        assert replace(tls, newest=ssl.TLSVersion.TLSv1_2, ciphers="ALL").ask().status == 200


def test_paths_are_made_normal_unless_they_are_to_be_kept(folder: Path, worker: Worker):
    rules = (
        "[{input_uri: /a%2Fb, app_name: orders, app_uri: /kept}, {input_uri: /a/b, app_name: orders, app_uri: /made}]"
    )
    with balancer(folder, worker, mappings=rules) as (tls, _, _):
        assert tls.ask("/a%2Fb").told["path"] == "/made"
        assert tls.ask("/a//b").told["path"] == "/made"
    with balancer(folder, worker, mappings=rules, keep_url_encoding="true") as (tls, _, _):
        assert tls.ask("/a%2Fb").told["path"] == "/kept"
        assert tls.ask("/a/b%20c%23d").told["path"] == "/made%20c%23d"
        assert tls.ask("/a//b").status == 404


def test_a_failed_certificate_comes_through_marked_where_that_is_said(folder: Path, worker: Worker):
    said = {"client_cert": "clients.pem", "verify_client_mode": "optional", "forward_failed": "true"}
    with balancer(folder, worker, **said) as (tls, _, _):
        mallory = replace(tls, pair=(folder / "mallory.pem", folder / "mallory.key"))
        headers = mallory.ask().told["headers"]
        assert (headers["x-ssl-client-verify"], headers["x-ssl-client-dn"]) == ("FAILED", "CN=mallory")
        assert "x-forwarded-client-cert" not in headers


def test_nothing_is_told_where_that_is_said(folder: Path, worker: Worker):
    said = {"client_cert": "clients.pem", "verify_client_mode": "optional", "forward_client_certificate": "false"}
    with balancer(folder, worker, **said) as (tls, _, _):
        assert not [name for name in tls.ask().told["headers"] if "ssl" in name]
        assert replace(tls, pair=(folder / "mallory.pem", folder / "mallory.key")).ask().status == 403


def test_an_allowlist_behind_a_proxy_looks_at_whom_the_proxy_saw(folder: Path, worker: Worker):
    with balancer(folder, worker, ip_allowlist="[203.0.113.0/24]", proxy_protocol="true") as (tls, _, _):
        line = b"PROXY TCP4 203.0.113.7 127.0.0.1 40000 443\r\n"
        answer = replace(tls, first=line).ask()
        assert answer.told["headers"]["x-forwarded-for"] == "203.0.113.7"
        with pytest.raises(OSError):
            replace(tls, first=line.replace(b"203.0.113.7", b"198.51.100.7")).ask()
    with balancer(folder, worker, ip_allowlist="[203.0.113.0/24]", trusted_hops="1") as (tls, _, _):
        assert tls.ask(headers={"x-forwarded-for": "198.51.100.7, 203.0.113.7"}).status == 200
        assert tls.ask(headers={"x-forwarded-for": "203.0.113.7, 198.51.100.7"}).status == 403


def test_a_dead_worker_costs_no_request(folder: Path, worker: Worker):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = closed.getsockname()[1]
    workers = f"['127.0.0.1:{dead}', '127.0.0.1:{worker.port}']"
    with balancer(folder, worker, applications=f"{{orders: {{workers: {workers}, check_health: false}}}}") as (
        tls,
        _,
        _,
    ):
        assert {tls.ask().status for _ in range(6)} == {200}


def test_a_revoked_ca_is_refused_where_every_ca_has_a_list(folder: Path, worker: Worker):
    root = make("Root", ca=True)
    well, gone = make("Well", ca=True, by=root), make("Gone", ca=True, by=root)
    (folder / "root.pem").write_bytes(root.pem + well.pem + gone.pem)
    for name, ca in (("well", well), ("gone", gone)):
        make(f"client of {name}", by=ca).write(folder, name, ca)
    said = {"client_cert": "root.pem", "verify_client_mode": '"on"', "revocation_list": "lists.pem"}

    def statuses() -> tuple[int, int]:
        with balancer(folder, worker, **said) as (tls, _, _):
            return tuple(_status(replace(tls, pair=(folder / f"{name}.pem", folder / f"{name}.key"))) for name in ("well", "gone"))  # fmt: skip

    lists = [revoke(root, gone), revoke(well), revoke(gone)]
    (folder / "lists.pem").write_bytes(b"".join(lists))
    assert statuses() == (200, 0)
    # Without one for the root only leaves can be looked at.
    (folder / "lists.pem").write_bytes(b"".join(lists[1:]))
    assert statuses() == (200, 200)


def _status(client: Client) -> int:
    try:
        return client.ask().status
    except OSError:
        return 0
