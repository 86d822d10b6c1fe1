"""`balancers:` in the mesh file: everything that is wrong is said at once, each at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from handsel.errors import InvalidFile
from handsel.model.balancer import ClientMode, HttpMode, UpstreamProtocol
from handsel.model.balancer_file import worker
from handsel.model.sizes import parse_size, show_size
from handsel.model.uri_pattern import UriPattern
from tests.mesh.balancer.certificates import make, revoke
from tests.mesh.balancer.running import read

TEXT = """\
services: {orders: {port: 8080}}
balancers:
  front:
    ssl_endpoints:
      - {public_key: shop.pem, private_key: shop.key, vanity_names: [shop.example.com]}
    mappings: [{input_uri: "/{app}/", app_name: "{app}"}]
    applications: {orders: {}, old: {workers: [10.0.0.1, "10.0.0.2:99"]}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("balancer")
    public, other = make("Public CA", ca=True), make("Other CA", ca=True)
    shop = make("shop.example.com", ["shop.example.com", "*.eu.example.com"], by=public)
    shop.write(place, "shop", public)
    make("shop.example.com", ["shop.example.com", "*.eu.example.com"], rsa_key=True).write(place, "rsa")
    make("shop.example.com", ["shop.example.com", "*.eu.example.com"]).write(place, "second")
    make("other.example.com", rsa_key=True).write(place, "other")
    make("", ["san.example.com"]).write(place, "san")
    make("A person").write(place, "nobody")
    (place / "upside-down.pem").write_bytes(public.pem + shop.pem)
    (place / "unrelated.pem").write_bytes(shop.pem + other.pem)
    (place / "locked.key").write_bytes(shop.key_pem(b"secret"))
    (place / "empty.pem").write_bytes(b"")
    (place / "lists.pem").write_bytes(revoke(public))
    return place


def _faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(InvalidFile) as caught:
        read(text, folder)
    return [
        f"{each.line}: {each.path.removeprefix('balancers.front.')}: {each.message}" for each in caught.value.faults
    ]


def test_what_is_read(folder: Path):
    mesh = read(TEXT, folder)
    (balancer,) = mesh.balancers
    (endpoint,) = balancer.endpoints
    assert endpoint.names == ("shop.example.com", "*.eu.example.com")
    assert (balancer.http_mode, endpoint.clients.mode) == (HttpMode.OFF, ClientMode.OFF)
    assert balancer.callees == ("orders",)
    assert balancer.applications[1].workers == (("10.0.0.1", 0), ("10.0.0.2", 99))
    assert str(mesh.services["front"].identity) == "spiffe://mesh.internal/ns/default/sa/front"
    assert (balancer.read_timeout.total_seconds(), balancer.payload_limit) == (300, 200 << 20)


def test_a_certificate_without_cn_is_named_by_its_first_name(folder: Path):
    text = TEXT.replace("shop.pem", "san.pem").replace("shop.key", "san.key").replace("[shop.", "[san.")
    (endpoint,) = read(text, folder).balancers[0].endpoints
    assert (endpoint.name, endpoint.has_common_name) == ("san.example.com", False)


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("[shop.example.com]", "[a.b.eu.example.com]",
         ("5: ssl_endpoints[0].vanity_names[0]: the certificate does not cover a.b.eu.example.com: "
         "it has shop.example.com, *.eu.example.com")),
        ("shop.key", "rsa.key", "5: ssl_endpoints[0].private_key: does not belong to the certificate"),
        ("shop.key", "locked.key", ("5: ssl_endpoints[0].private_key: has a passphrase, which nobody could enter: "
         "write it without one (openssl pkey -in … -out …)")),
        ("shop.key", "shop.pem", "5: ssl_endpoints[0].private_key: holds no private key in PEM"),
        ("shop.key", "gone.key", "5: ssl_endpoints[0].private_key: there is no file gone.key"),
        ("shop.pem", "empty.pem", "5: ssl_endpoints[0].public_key: holds no certificate in PEM"),
        ("shop.pem", "upside-down.pem", "5: ssl_endpoints[0].public_key: 'shop.example.com' is not the issuer"),
        ("shop.pem", "unrelated.pem", "5: ssl_endpoints[0].public_key: 'Other CA' is not the issuer"),
        ("shop.pem", "nobody.pem", "5: ssl_endpoints[0].public_key: the certificate names no host"),
        ("shop.pem", "/elsewhere/shop.pem", "5: ssl_endpoints[0].names: is missing: the certificate is not on this"),
        ("vanity_names: [shop.example.com]", "more_certificates: [{public_key: second.pem, private_key: second.key}]",
         "5: ssl_endpoints[0].more_certificates: 2 of the certificates have a key of the kind ECDSA: one of each kind"),
        ("vanity_names: [shop.example.com]", "more_certificates: [{public_key: other.pem, private_key: other.key}]",
         "5: ssl_endpoints[0].more_certificates: names other.example.com, and the first shop.example.com"),
        ('"/{app}/"', '"/{App}/"', "6: mappings[0].input_uri: {App} is no variable: its name has one to 32 letters"),
        ('"/{app}/"', '"/{app}{x}/"', "6: mappings[0].input_uri: nothing is between {app} and {x}: put a literal there"),
        ('"/{app}/"', '"/{app}/{app}"', "6: mappings[0].input_uri: the variable {app} stands twice"),
        ('"/{app}/"', '"/{subdomain}/{app}"', "6: mappings[0].input_uri: {subdomain} comes from the Host"),
        ('"/{app}/"', '"/a?b/{app}"', "6: mappings[0].input_uri: '?' cannot stand in a pattern"),
        ('"/{app}/"', '"{app}/"', "6: mappings[0].input_uri: a path begins with /"),
        ('"{app}"', '"{ap}"', '6: mappings[0].app_name: the variable {ap} is not in input_uri, did you mean "app"?'),
        ('"{app}"', "order", '6: mappings[0].app_name: there is no application \'order\', did you mean "orders"?'),
        ('"{app}"', '"{app}-x"', "6: mappings[0].app_name: no application has such a name: orders, old"),
        ('"{app}"}', '"{app}", app_uri: "/{app}"}', "6: mappings[0].app_uri: has no variables"),
        ('"{app}"}', '"{app}", upstream_protocol: ftp}', "6: mappings[0].upstream_protocol: must be 'http', 'https', 'ws'"),
        ('"{app}"}', '"{app}"}, {input_uri: "/{app}/", app_name: old}',
         "6: mappings[1].input_uri: rule 1 has /{app}/ already: this one takes nothing"),
        ("{orders: {}", "{ordres: {}", ('7: applications.ordres: there is no service or external \'ordres\': say its '
         'workers, or did you mean "orders"?')),
        ("{orders: {}", "{orders: {workers: [10.0.0.3]}", "7: applications.orders: a service or an external has this name"),
        ("10.0.0.2:99", "10.0.0.2:x", "7: applications.old.workers[1]: '10.0.0.2:x' is no address"),
        ("  front:", "  internal-front:", "3: balancers.internal-front: the name of a load balancer does not begin with"),
        ("  front:", "  front:\n    default_ssl_endpoint: 1", "4: default_ssl_endpoint: there is no ssl_endpoints[1]"),
        ("  front:", "  front:\n    verify_client_mode: optional", "4: verify_client_mode: needs client_cert"),
        ("  front:", "  front:\n    client_cert: shop.key", "4: client_cert: holds no certificate in PEM"),
        ("  front:", "  front:\n    revocation_list: lists.pem", "4: revocation_list: needs client_cert"),
        ("  front:", "  front:\n    client_cert: shop.pem\n    revocation_list: shop.pem",
         "5: revocation_list: holds no revocation list in PEM"),
        ("  front:", "  front:\n    ip_allowlist: [nobody]", "4: ip_allowlist[0]: 'nobody' is no network"),
        ("  front:", "  front:\n    payload_limit: 4GB", "4: payload_limit: must be between 1B and 4095MB"),
        ("  front:", "  front:\n    payload_limit: 200", "4: payload_limit: a size is a whole number with a unit"),
        ("  front:", "  front:\n    proxy_read_timeout: 2h", "4: proxy_read_timeout: must be between 1s and 1h"),
        ("  front:", "  front:\n    default_cipher_suite: Best", "4: default_cipher_suite: must be 'NewDefault-v1',"),
        ("  front:", "  front:\n    domain: a.example", "4: domain: is for the shared preset"),
        ("  front:", "  front:\n    https_port: 80", "4: https_port: 80 is the plain port already"),
        ("  front:", "  front:\n    preset: shared", "3: domain: the shared preset needs the domain of its applications"),
    ],
)  # fmt: skip
def test_a_fault_has_its_place(folder: Path, before: str, after: str, fault: str):
    assert before in TEXT
    found = _faults(folder, TEXT.replace(before, after, 1))
    assert any(each.startswith(fault) for each in found), found


def test_every_fault_is_said_at_once(folder: Path):
    text = TEXT.replace("shop.key", "rsa.key").replace("[shop.example.com]", "[b.example.com]")
    text = text.replace('app_name: "{app}"', 'app_name: "{ap}"').replace("10.0.0.2:99", "10.0.0.2:x")
    assert [each.partition(": ")[2].partition(":")[0] for each in _faults(folder, text)] == [
        "ssl_endpoints[0].private_key", "ssl_endpoints[0].vanity_names[0]", "mappings[0].app_name",
        "applications.old.workers[1]",
    ]  # fmt: skip


@pytest.mark.parametrize(("mode", "most"), [("off", 240), ("redirect", 120)])
def test_an_allowlist_is_limited(folder: Path, mode: str, most: int):
    def text(count: int) -> str:
        networks = ", ".join(f"10.0.{each}.0/24" for each in range(count))
        return TEXT.replace("  front:", f"  front:\n    http_mode: '{mode}'\n    ip_allowlist: [{networks}]")

    assert len(read(text(most), folder).balancers[0].allow) == most
    assert _faults(folder, text(most + 1)) == [
        f"5: ip_allowlist: at most {most} networks with http_mode {mode}, not {most + 1}"
    ]


def test_two_endpoints_with_one_name_are_a_fault(folder: Path):
    same = "      - {public_key: rsa.pem, private_key: rsa.key}\n    mappings"
    assert "6: ssl_endpoints[1]: shop.example.com is a name of ssl_endpoints[0] already" in _faults(
        folder, TEXT.replace("    mappings", same)
    )


def test_names_are_written_where_the_certificate_is_elsewhere(folder: Path):
    text = TEXT.replace("shop.pem", "/elsewhere/shop.pem").replace("vanity", "names: [Shop.Example.com], vanity")
    assert read(text, folder).balancers[0].endpoints[0].names == ("shop.example.com",)


def test_the_shared_one_has_one_rule_and_other_ports(folder: Path):
    text = """\
balancers:
  shared:
    {preset: shared, domain: eu.example.com, http_mode: 'on', applications: {orders: {workers: [10.0.0.1]}},
     ssl_endpoints: [{public_key: shop.pem, private_key: shop.key}]}
"""
    (balancer,) = read(text, folder).balancers
    assert (balancer.applications[0].http_port, balancer.applications[0].https_port) == (8081, 8082)
    assert balancer.rate_limit == 1000
    assert [each.protocol for each in balancer.plain.mappings] == [UpstreamProtocol.HTTP]
    assert [each.protocol for each in balancer.endpoints[0].mappings] == [UpstreamProtocol.HTTPS]
    assert balancer.plain.names == ("*.eu.example.com",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1", ("10.0.0.1", 0)), ("10.0.0.1:80", ("10.0.0.1", 80)), ("[::1]:80", ("::1", 80)), ("::1", ("::1", 0)),
        ("worker.internal", ("worker.internal", 0)), ("10.0.0.1:", None), (":80", None), ("a:70000", None), ("", None),
        ("a b", None), ("10.0.0.1:0", None),
    ],
)  # fmt: skip
def test_workers_are_addresses(text: str, found: tuple[str, int] | None):
    assert worker(text) == found


def test_sizes_and_patterns_are_written_as_they_were_read():
    assert [show_size(parse_size(each)) for each in ("200MB", "1536KB", "7B", "2GB")] == [
        "200MB",
        "1536KB",
        "7B",
        "2GB",
    ]
    for text in ("/", "/a/{b}/c-{d}", "{x}-y"):
        assert str(UriPattern.parse(text)) == text
    assert list(UriPattern.parse("{a}-{b}").bindings("x-y-z")) == [{"a": "x-y", "b": "z"}, {"a": "x", "b": "y-z"}]
