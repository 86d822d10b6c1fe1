"""Deliveries in the mesh file: what is said becomes the model, and every fault has its place."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.errors import InvalidFile, UsageError
from handsel.link.deliveries import decode_delivery, encode_delivery
from handsel.mesh.service import assign
from handsel.model.delivery import Content, Delivery, Kind, Reload
from handsel.model.delivery_file import parse_wish
from tests.support import read_mesh

WHOLE = """
services:
  web:
    files:
      tls:
        folder: /etc/web/./tls/
        owner: web:tls
        mode: "0640"
        contents:
          key.pem: key
          ca.pem: {kind: roots, mode: "0644", owner: "0:0"}
          web.p12: {kind: pkcs12, alias: Web}
          password: password
        reload: {command: 'nginx -s "re load"', timeout: 3s}
      plain: certs
"""


def _one(text: str) -> str:
    return f"services: {{web: {{files: {{tls: {text}}}}}}}"


def test_what_the_file_says_is_in_the_model():
    tls, plain = read_mesh(WHOLE).services["web"].files
    assert tls == Delivery(
        "tls",
        "/etc/web/tls",
        (
            Content("key.pem", "key", mode=0o640),
            Content("ca.pem", "roots", owner="0:0", mode=0o644),
            Content("web.p12", "pkcs12", alias="Web", mode=0o640),
            Content("password", "password", mode=0o640),
        ),
        "web:tls",
        Reload(command=("nginx", "-s", "re load"), timeout=timedelta(seconds=3)),
    )
    assert plain.folder == "/etc/shop/certs"
    assert {each.name: each.kind for each in plain.contents} == {
        "key.pem": "key",
        "cert.pem": "certificate",
        "ca.pem": "roots",
    }
    assert not plain.reload.is_wanted


def test_it_travels_to_the_agent_as_it_is():
    mesh = read_mesh(WHOLE)
    (sent,) = assign(mesh, ["web"]).workloads
    assert type(assign(mesh, ["web"])).decode(assign(mesh, ["web"]).encode()).workloads == (sent,)
    assert sent.deliveries == mesh.services["web"].files


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        ("{folder: /a/b}", "{folder: /}", "files.tls.folder: it must be a folder below another"),
        ("{folder: /a/b}", "{folder: /a/../b}", "without .."),
        ("{folder: b}", "{folder: ~/b}", "write the path out"),
        ("{folder: a, contents: {k: key}}", "{folder: a, contents: {.k: key}}", "begins with no dot"),
        ("{folder: a, contents: {k: key}}", "{folder: a, contents: {a/k: key}}", "contents.a/k: a file's name"),
        ("{folder: a, contents: {k: key}}", "{folder: a, contents: {k: keys}}", "must be 'key', "),
        ("{folder: a, contents: {k: key}}", "{folder: a, contents: {}}", "at least 1 item"),
        ("{folder: a, owner: web}", "{folder: a, owner: web web}", "no user, user:group"),
        ("{folder: a, owner: '10:20'}", "{folder: a, owner: 10}", "must be text"),
        ('{folder: a, mode: "0640"}', '{folder: a, mode: "0660"}', "none of 0400"),
        ('{folder: a, mode: "0640"}', "{folder: a, mode: 0640}", "written as text"),
        ('{folder: a, contents: {c: roots}, mode: "0644"}', '{folder: a, contents: {k: key}, mode: "0644"}', "nobody else's"),
        (
            '{folder: a, mode: "0644", contents: {k: {kind: key, mode: "0600"}}}',
            '{folder: a, contents: {k: {kind: bundle, mode: "0444"}}}',
            "contents.k: bundle is nobody else's",
        ),
        ("{folder: a, contents: {s: jks, password: password}}", "{folder: a, contents: {s: jks}}", "the stores have a password"),
        ("{folder: a, contents: {s: jks}, password_file: p}", "{folder: a, password_file: p}", "no store that it would be of"),
        ("{folder: a, contents: {s: jks, p: password}}", "{folder: a, contents: {k: key, p: password}}", "no store"),
        (
            "{folder: a, contents: {s: jks}, password_file: p}",
            "{folder: a, contents: {s: jks, p: password}, password_file: p}",
            "not written a second time",
        ),
        (
            "{folder: a, contents: {s: {kind: jks, alias: x}}, password_file: p}",
            "{folder: a, contents: {s: {kind: jks-trust, alias: x}}, password_file: p}",
            "only a store with a key has an alias",
        ),
        ("{folder: a, reload: {signal: HUP, pid_file: p}}", "{folder: a, reload: {signal: HUP}}", "say both"),
        ("{folder: a, reload: {signal: USR1, pid_file: p}}", "{folder: a, reload: {signal: KILL, pid_file: p}}", "must be 'HUP'"),
        ("{folder: a, reload: {command: x}}", "{folder: a, reload: {}}", "say one of signal, command and http"),
        ("{folder: a, reload: {command: x}}", "{folder: a, reload: {command: x, http: 'http://localhost/'}}", "say one of"),
        ("{folder: a, reload: {command: x}}", "{folder: a, reload: {command: \"'x\"}}", "cannot be split"),
        ("{folder: a, reload: {http: 'http://[::1]:8/r'}}", "{folder: a, reload: {http: 'http://10.0.0.1/r'}}", "no http address of this host"),
        ("{folder: a, reload: {http: 'http://127.0.0.2/'}}", "{folder: a, reload: {http: 'http://a@127.0.0.1/'}}", "of this host"),
        ("{folder: a, reload: {command: x, timeout: 5m}}", "{folder: a, reload: {command: x, timeout: 6m}}", "from 100ms to 5m"),
        ("{folder: /a/b}, other: {folder: /a/bb}", "{folder: /a/b}, other: {folder: /a/b/c}", "files.other.folder: it is, or is within"),
    ],
)  # fmt: skip
def test_a_fault_is_said_at_its_place_and_its_neighbour_is_none(good, bad, fault):
    read_mesh(_one(good))
    with pytest.raises(InvalidFile) as caught:
        read_mesh(_one(bad))
    assert fault in str(caught.value)
    assert all(each.line == 1 and each.column > 1 for each in caught.value.faults)


def test_without_an_identity_there_are_no_files():
    read_mesh("services: {web: {files: {a: b}}}")
    with pytest.raises(InvalidFile, match="no identity"):
        read_mesh("services: {web: {sidecar: false, files: {a: b}}}")


GOOD = {"service": "web", "name": "tls", "delivery": {"folder": "/etc/tls"}}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"service": "../web"}, "service: "),
        ({"name": "a\n"}, "name: "),
        ({"delivery": {"folder": "tls"}}, "no absolute path"),
        ({"delivery": {"folder": "/a/b", "contents": {"s": "jks"}, "password_file": "p"}}, "p is no absolute path"),
        ({"delivery": {"folder": "/a/b", "contents": {"s": "jks"}}}, "contents: the stores have a password"),
        ({"delivery": {"folder": "/a/b", "mode": "0777"}}, "delivery.mode: the mode 0777"),
        ({"more": 1}, "more: "),
    ],
)
def test_what_somebody_asks_an_agent_for_is_checked_in_the_same_way(change, fault):
    assert parse_wish(GOOD).model.folder == "/etc/tls"
    with pytest.raises(UsageError) as caught:
        parse_wish({**GOOD, **change})
    assert fault in str(caught.value)


@pytest.mark.parametrize("content", [None, [], "x", {"service": {}}, {"service": "web", "name": "a", "delivery": [[]]}])
def test_a_request_that_is_something_else_is_refused(content):
    with pytest.raises(UsageError):
        parse_wish(content)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: setattr(m, "folder", "etc/tls"),
        lambda m: setattr(m, "folder", "/etc/../tls"),
        lambda m: setattr(m, "name", "../a"),
        lambda m: setattr(m.contents[0], "name", "../key.pem"),
        lambda m: setattr(m.contents[1], "name", m.contents[0].name),
    ],
)
def test_a_server_that_names_places_elsewhere_is_not_believed(spoil):
    message = encode_delivery(read_mesh(WHOLE).services["web"].files[0])
    decode_delivery(message)
    spoil(message)
    with pytest.raises(ValueError):
        decode_delivery(message)


def test_the_modes_that_a_server_says_have_no_bits_beyond_permissions():
    message = encode_delivery(read_mesh(WHOLE).services["web"].files[0])
    message.contents[0].mode = 0o4755
    assert decode_delivery(message).contents[0].mode == 0o755


def test_every_kind_knows_whether_it_is_a_secret():
    public = {Kind.CERTIFICATE, Kind.LEAF, Kind.CHAIN, Kind.ROOTS, Kind.CRL, Kind.PKCS12_TRUST, Kind.JKS_TRUST}
    assert {each for each in Kind if not each.is_secret} == public
