"""Ordinary ACME clients get, renew and revoke certificates at a server that the real command runs."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dnslib import QTYPE, RR, A
from dnslib.server import BaseResolver, DNSServer

from handsel.pki.certificate import Certificate, parse_pem
from tests.e2e.authority_process import Authority, authority
from tests.e2e.mesh_process import environment, free_port, wait_for

pytestmark = pytest.mark.e2e

_CERTBOT = Path(sys.executable).parent / "certbot"
_SECONDS = 60


class Zone(BaseResolver):
    """Names that lead to this machine, and the TXT records that hooks wrote: one `name text` a line of a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def resolve(self, request: Any, _handler: Any) -> Any:
        reply = request.reply()
        name = str(request.q.qname).rstrip(".").lower()
        if not name.endswith("test.internal"):
            return reply
        if request.q.qtype == QTYPE.A:
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A("127.0.0.1"), ttl=0))
        if request.q.qtype == QTYPE.TXT and self._file.exists():
            for line in self._file.read_text().splitlines():
                if line.split()[0].lower() == name:
                    reply.add_answer(*RR.fromZone(f'{name}. 0 IN TXT "{line.split()[1]}"'))
        return reply


class World:
    """An authority, and the ports at which it looks for challenges."""

    def __init__(self, running: Authority, http_port: int, tls_port: int, records: Path) -> None:
        self.authority = running
        self.folder = running.folder
        self.http_port, self.tls_port = http_port, tls_port
        self.records = records
        self.directory = f"{running.url}/acme/directory"

    def certbot(self, *arguments: str, account: str = "one", fails: bool = False) -> str:
        """What certbot says; it must succeed, or fail when that is wanted."""
        if not _CERTBOT.exists():
            pytest.skip("needs certbot")
        folder = self.folder / account
        folders = [f"--{name}-dir={folder / name}" for name in ("config", "work", "logs")]
        done = subprocess.run(
            [str(_CERTBOT), *folders, "--server", self.directory, "-n", "--agree-tos", *arguments], check=False,
            capture_output=True, text=True, timeout=_SECONDS,
            env={**environment(), "REQUESTS_CA_BUNDLE": str(self.authority.roots)},
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, said
        return said

    def order(self, *arguments: str, account: str = "one", fails: bool = False) -> str:
        """`certbot certonly` by a server of its own on the port of http-01."""
        return self.certbot(
            "certonly", "--standalone", f"--http-01-port={self.http_port}", "--register-unsafely-without-email",
            *arguments, account=account, fails=fails,
        )  # fmt: skip

    def got(self, name: str, account: str = "one") -> Certificate:
        """What certbot keeps under a name."""
        return parse_pem((self.folder / account / "config" / "live" / name / "fullchain.pem").read_bytes())[0]


_MESH_FILE = """
trust_domain: test.internal
authority:
  acme:
    external_account_required: {required}
    validation: {{http_port: {http_port}, tls_port: {tls_port}, resolver: "127.0.0.1:{dns_port}"}}
  profiles:
    short: {{lifetime: 1h, description: one hour}}
"""


@contextlib.contextmanager
def world(*, required: bool = False) -> Iterator[World]:
    """A server that asks a name server of the test."""
    http_port, tls_port, dns_port = free_port(), free_port(), free_port()
    text = _MESH_FILE.format(required=str(required).lower(), http_port=http_port, tls_port=tls_port, dns_port=dns_port)
    with authority(text) as running:
        records = running.folder / "records"
        servers = [DNSServer(Zone(records), address="127.0.0.1", port=dns_port, tcp=tcp) for tcp in (False, True)]
        for server in servers:
            server.start_thread()
        try:
            yield World(running, http_port, tls_port, records)
        finally:
            for server in servers:
                server.stop()
                server.server.server_close()


@pytest.fixture(scope="module")
def open_world() -> Iterator[World]:
    with world() as made:
        yield made


# certbot


def test_certbot_gets_renews_and_revokes(open_world: World) -> None:
    """http-01 by its own server; renewal in the window that the authority says; revocation by the account."""
    open_world.order("-d", "a.test.internal", "-d", "b.test.internal")
    first = open_world.got("a.test.internal")
    assert first.dns_names == ["a.test.internal", "b.test.internal"]
    renew = ["renew", "--cert-name", "a.test.internal", "--no-random-sleep-on-renew"]
    kept = open_world.certbot(*renew)
    assert "not yet due" in kept
    open_world.certbot(*renew, "--force-renewal")
    second = open_world.got("a.test.internal")
    assert second.serial != first.serial
    open_world.certbot("revoke", "--cert-name", "a.test.internal", "--reason", "superseded", "--delete-after-revoke")
    window = _renewal_window(open_world, second)
    assert window["end"] <= _renewal_window(open_world, first)["start"]


def test_certbot_renews_when_the_authority_says_so(open_world: World) -> None:
    """RFC 9773: what was revoked is renewed at once, though it has a long time to live."""
    open_world.order("-d", "ari.test.internal")
    first = open_world.got("ari.test.internal")
    open_world.certbot(
        "revoke", "--cert-name", "ari.test.internal", "--reason", "superseded", "--no-delete-after-revoke"
    )
    renew = ["renew", "--cert-name", "ari.test.internal", "--no-random-sleep-on-renew"]
    open_world.certbot(*renew)
    second = open_world.got("ari.test.internal")
    assert second.serial != first.serial
    assert "not yet due" in open_world.certbot(*renew)


def _renewal_window(made: World, certificate: Certificate) -> dict[str, str]:
    from handsel.acme.certid import CertificateId

    assert certificate.authority_key_id is not None
    named = CertificateId(certificate.authority_key_id, certificate.parsed.serial_number)
    context = _trusting(made)
    url = f"{made.authority.url}/acme/renewal-info/{named}"
    with urllib.request.urlopen(url, context=context, timeout=10) as answer:
        return json.load(answer)["suggestedWindow"]


def _trusting(made: World) -> ssl.SSLContext:
    """A client that trusts the authority's root alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=made.authority.roots)
    return context


def test_certbot_revokes_by_the_key_of_the_certificate(open_world: World) -> None:
    """By somebody who has no account: only the key."""
    open_world.order("-d", "key.test.internal")
    live = open_world.folder / "one" / "config" / "live" / "key.test.internal"
    files = ["--cert-path", str(live / "cert.pem"), "--key-path", str(live / "privkey.pem")]
    open_world.certbot("revoke", *files, "--reason", "keycompromise", "--no-delete-after-revoke", account="two")
    said = open_world.certbot("revoke", *files, "--no-delete-after-revoke", account="two", fails=True)
    assert "alreadyRevoked" in said or "already revoked" in said.lower() or "was revoked" in said


def test_certbot_gets_an_address_and_a_profile(open_world: World) -> None:
    """RFC 8738; draft-ietf-acme-profiles."""
    open_world.order("--ip-address", "127.0.0.1", "--preferred-profile", "short")
    leaf = open_world.got("127.0.0.1")
    assert (leaf.ip_names, leaf.dns_names) == (["127.0.0.1"], [])
    assert (leaf.not_after - leaf.not_before).total_seconds() < 3700


def test_certbot_by_webroot(open_world: World) -> None:
    """A web server that is there already shows the file."""
    root = open_world.folder / "www"
    root.mkdir()

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(root))

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", open_world.http_port), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        open_world.certbot(
            "certonly", "--webroot", "-w", str(root), "-d", "w.test.internal", "--register-unsafely-without-email"
        )
        server.shutdown()
    assert open_world.got("w.test.internal").dns_names == ["w.test.internal"]


def test_certbot_by_dns(open_world: World) -> None:
    """dns-01 by hooks, for a wildcard and its base at once: two TXT records of one name."""
    hook = open_world.folder / "hook.sh"
    hook.write_text(f'#!/bin/sh\necho "_acme-challenge.$CERTBOT_DOMAIN $CERTBOT_VALIDATION" >> {open_world.records}\n')
    hook.chmod(0o700)
    open_world.certbot(
        "certonly", "--manual", "--preferred-challenges", "dns", "--manual-auth-hook", str(hook),
        "-d", "*.d.test.internal", "-d", "d.test.internal", "--register-unsafely-without-email",
    )  # fmt: skip
    assert set(open_world.got("d.test.internal").dns_names) == {"*.d.test.internal", "d.test.internal"}


def test_a_name_that_is_not_controlled_is_refused(open_world: World) -> None:
    """The control of all the others: certbot's server listens elsewhere, so nothing is shown."""
    said = open_world.certbot(
        "certonly", "--standalone", f"--http-01-port={free_port()}", "-d", "no.test.internal",
        "--register-unsafely-without-email", fails=True,
    )  # fmt: skip
    assert "no.test.internal" in said
    assert not (open_world.folder / "one" / "config" / "live" / "no.test.internal").exists()


def test_certbot_with_an_external_key() -> None:
    """RFC 8555 §7.3.4: refused without, accepted with; the key's names are all that it gets; commands show it."""
    with world(required=True) as made:
        made.order("-d", "e.test.internal", fails=True)
        dry = json.loads(made.authority.run("ca", "acme", "eab", "create", "--dry-run").stdout)
        assert (dry["kid"], dry["hmac_key"]) == (None, None)
        wish = ["--names", "e.test.internal", "--profile", "short", "--comment", "for e", "--lifetime", "1d"]
        key = json.loads(made.authority.run("ca", "acme", "eab", "create", *wish).stdout)
        eab = ["--eab-kid", key["kid"], "--eab-hmac-key", key["hmac_key"]]
        made.order("-d", "e.test.internal", *eab)
        leaf = made.got("e.test.internal")
        assert (leaf.not_after - leaf.not_before).total_seconds() < 3700
        made.order("-d", "f.test.internal", fails=True)
        assert "used before" in made.order("-d", "e.test.internal", *eab, account="two", fails=True)
        (listed,) = made.authority.json("ca", "acme", "eab", "list")["keys"]
        assert (listed["key_id"], listed["state"], listed["comment"]) == (key["kid"], "used", "for e")
        assert key["hmac_key"] not in made.authority.run("ca", "acme", "eab", "list", "-o", "json").stdout
        assert made.authority.run("ca", "acme", "eab", "remove", key["kid"]).returncode == 0
        assert made.authority.run("ca", "acme", "eab", "remove", key["kid"]).returncode != 0
        (account,) = made.authority.json("ca", "acme", "accounts", "list")["accounts"]
        assert (account["status"], account["external_key"]) == ("valid", key["kid"])
        done = made.authority.run("ca", "acme", "accounts", "deactivate", account["account"])
        assert done.returncode == 0, done.stderr
        said = made.certbot("renew", "--no-random-sleep-on-renew", "--force-renewal", fails=True)
        assert "deactivated" in said


def test_nothing_is_answered_without_tls(open_world: World) -> None:
    """RFC 8555 §6.1 HTTPS only; the control is the same address by HTTPS."""
    https = f"{open_world.authority.url}/acme/directory"
    with urllib.request.urlopen(https, context=_trusting(open_world), timeout=10) as answer:
        assert "newOrder" in json.load(answer)
    with pytest.raises(OSError):
        urllib.request.urlopen(https.replace("https:", "http:"), timeout=10)


# uacme


def uacme(made: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    """uacme trusts the system's roots alone: in a mount namespace of its own, ours are the system's."""
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    script = f'mount --bind "$0" {bundle} && exec uacme "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, str(made.authority.roots), "-c", str(made.folder / "uacme"),
         "-a", made.directory, "-v", *arguments],
        capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment(),
    )  # fmt: skip


def test_uacme_gets_and_revokes(open_world: World) -> None:
    """http-01 by a hook; revocation by the account."""
    if shutil.which("uacme") is None or not Path("/etc/ssl/certs/ca-certificates.crt").exists():
        pytest.skip("needs uacme")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    root = open_world.folder / "uacme-www"
    (root / ".well-known" / "acme-challenge").mkdir(parents=True)
    hook = open_world.folder / "uacme-hook.sh"
    hook.write_text(
        '#!/bin/sh\n[ "$2" = http-01 ] || exit 1\n'
        f'[ "$1" != begin ] || printf %s "$5" > {root}/.well-known/acme-challenge/"$4"\n'
    )
    hook.chmod(0o700)
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(open_world.http_port), "--bind", "127.0.0.1"], cwd=root,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        made = uacme(open_world, "-y", "new")
        assert made.returncode == 0, made.stderr
        done = uacme(open_world, "-h", str(hook), "issue", "u.test.internal")
        assert done.returncode == 0, done.stderr
    finally:
        server.kill()
        server.wait()
    file = open_world.folder / "uacme" / "u.test.internal" / "cert.pem"
    leaf = parse_pem(file.read_bytes())[0]
    assert leaf.dns_names == ["u.test.internal"]
    revoked = uacme(open_world, "revoke", str(file))
    assert revoked.returncode == 0, revoked.stderr
    assert _renewal_window(open_world, leaf)["end"] < leaf.not_after.isoformat()


# Caddy


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_caddy_serves_what_it_was_given(open_world: World, challenge: str) -> None:
    """A web server that orders for itself, and then shows the certificate to its clients."""
    if shutil.which("caddy") is None:
        pytest.skip("needs caddy")
    name = f"{challenge.partition('-')[0]}.test.internal"
    ports = {
        "http-01": {"alternate_port": open_world.http_port},
        "tls-alpn-01": {"alternate_port": open_world.tls_port},
    }
    other = "tls-alpn-01" if challenge == "http-01" else "http-01"
    challenges = {
        {"http-01": "http", "tls-alpn-01": "tls-alpn"}[challenge]: ports[challenge],
        {"http-01": "http", "tls-alpn-01": "tls-alpn"}[other]: {"disabled": True},
    }
    issuer = {
        "module": "acme", "ca": open_world.directory, "trusted_roots_pem_files": [str(open_world.authority.roots)],
        "challenges": challenges,
    }  # fmt: skip
    listening = open_world.tls_port if challenge == "tls-alpn-01" else free_port()
    config = {
        "admin": {"disabled": True},
        "storage": {"module": "file_system", "root": str(open_world.folder / f"caddy-{challenge}")},
        "apps": {
            "http": {
                "http_port": open_world.http_port,
                "https_port": listening,
                "servers": {
                    "one": {
                        "listen": [f"127.0.0.1:{listening}"],
                        "routes": [
                            {"match": [{"host": [name]}], "handle": [{"handler": "static_response", "body": "hi"}]}
                        ],
                    }
                },
            },
            "tls": {"automation": {"policies": [{"subjects": [name], "issuers": [issuer]}]}},
        },
    }
    file = open_world.folder / f"caddy-{challenge}.json"
    file.write_text(json.dumps(config))
    log = (open_world.folder / f"caddy-{challenge}.log").open("wb")
    home = {**environment(), "HOME": str(open_world.folder), "XDG_DATA_HOME": str(open_world.folder / "caddy-data")}
    caddy = subprocess.Popen(["caddy", "run", "--config", str(file)], stdout=log, stderr=log, env=home)
    try:
        context = _trusting(open_world)

        def shown() -> Certificate | None:
            with contextlib.suppress(OSError):
                return _peer(context, name, listening)
            return None

        leaf = wait_for(shown, 30, f"{name} at Caddy")
        assert leaf.dns_names == [name]
    finally:
        caddy.terminate()
        caddy.wait(20)
        log.close()


def _peer(context: ssl.SSLContext, name: str, port: int) -> Certificate:
    """The certificate that a server shows, once it is one that the authority's root vouches for."""
    import socket

    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        der = secure.getpeercert(binary_form=True)
        assert der is not None
        return Certificate(der)
