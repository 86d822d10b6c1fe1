"""Secrets through the real processes: put, granted, read by a program on a host, and taken away again."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from handsel import settings
from handsel.agent.layout import Layout
from handsel.agent.stores import key_stores
from handsel.pki.certificate import to_pem
from handsel.pki.secret import Secret
from tests.ca_keys import with_keys
from tests.e2e.mesh_process import (
    HANDSEL,
    Handsel,
    end_everything_in,
    environment,
    free_port,
    run,
    short_folder,
    wait_for,
)
from tests.support import TRUST_DOMAIN, TestAuthority
from tests.xds.sds_client import connected

pytestmark = pytest.mark.e2e

MESH = """
trust_domain: secrets.internal
services:
  web: {}
  other: {}
"""
VALUE = "correct-horse-battery-staple"


class Place:
    """A server, and hosts that have joined it."""

    def __init__(self, folder: Path, mesh: str = MESH) -> None:
        self.folder = folder
        (folder / "handsel.yaml").write_text(with_keys(folder, mesh))
        self.listen = f"127.0.0.1:{free_port()}"
        self.agents: dict[str, Handsel] = {}
        self.tickets: dict[str, str] = {}
        self.start_server()

    def start_server(self) -> None:
        name = f"server{len(list(self.folder.glob('server*.log')))}"
        self.server = Handsel(
            self.folder, name, "server", "-f", "handsel.yaml", "--state", "server", "--listen", self.listen,
            "--metrics-port", "0", "--status-port", "0",
        )  # fmt: skip
        self.server.wait_for("server https")

    def host(self, name: str, services: str) -> None:
        ticket = run("agent", "ticket", "--state", str(self.folder / "server"), "--services", services)
        assert ticket.returncode == 0, ticket.stderr
        self.tickets[name] = ticket.stdout.strip()
        joined = run("join", "--ticket", self.tickets[name], "--state", str(self.folder / name))
        assert joined.returncode == 0, joined.stderr
        self.start_agent(name)

    def start_agent(self, name: str) -> None:
        number = len(list(self.folder.glob(f"{name}*.log")))
        self.agents[name] = Handsel(self.folder, f"{name}{number}", "agent", "run", "--state", name)
        self.agents[name].wait_for("agent ")

    def secret(self, *arguments: str, ok: bool = True):
        done = run("secret", *arguments, "--state", str(self.folder / "server"))
        assert not ok or done.returncode == 0, done.stderr + self.server.output()
        return done

    def json(self, *arguments: str):
        return json.loads(self.secret(*arguments, "-o", "json").stdout)

    def put(self, name: str, value: str, *arguments: str, ok: bool = True):
        path = self.folder / "value"
        path.write_text(value)
        return self.secret("put", name, "--file", str(path), *arguments, ok=ok)

    def delivered(self, host: str, service: str, name: str) -> Path:
        return settings.runtime_folder(self.folder / host) / "secrets" / service / name

    def accesses(self, name: str) -> list[str]:
        return [each["act"] for each in self.json("history", name)["accesses"]]


@pytest.fixture
def place_of(monkeypatch):
    """Makes a place with a mesh file, once."""
    with short_folder() as folder:
        monkeypatch.setenv("HANDSEL_RUNTIME_DIR", str(folder / "r"))
        try:
            yield lambda mesh: Place(folder, mesh)
        finally:
            end_everything_in(folder)


@pytest.fixture
def place(place_of):
    return place_of(MESH)


def _is(path: Path, text: str):
    return lambda: path.exists() and path.read_text() == text


def test_a_secret_is_put_granted_read_by_a_program_and_taken_away(place) -> None:
    place.host("first", "web")
    place.host("second", "other")
    place.put("db-password", VALUE, "--kind", "password")
    assert not place.delivered("first", "web", "db-password").exists()
    place.secret("grant", "db-password", "--to", "web")
    path = place.delivered("first", "web", "db-password")
    wait_for(_is(path, VALUE), 5)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert oct(path.parent.stat().st_mode & 0o777) == "0o700"
    program = (
        "import os,pathlib,sys; sys.stdout.write(pathlib.Path(os.environ['HANDSEL_SECRETS'],'db-password').read_text())"
    )
    seen = run("run", "--service", "web", "--state", str(place.folder / "first"), "--", "python", "-c", program)
    assert seen.stdout == VALUE, seen.stderr
    assert not list(place.delivered("second", "other", "x").parents[1].rglob("db-password"))

    place.secret("revoke", "db-password", "--from", "web")
    wait_for(lambda: not path.exists())
    assert place.accesses("db-password") == ["secret put", "secret granted", "secret delivered", "secret revoked"]


async def _ask_for(path: Path, name: str) -> bytes | None:
    """What a workload's socket gives to a proxy under this name by SDS; None when it refuses."""
    refusals = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE)
    async with connected(path) as client:
        try:
            response = await client.fetch(name)
        except grpc.aio.AioRpcError as error:
            if error.code() not in refusals:
                raise
            return None
        (body,) = (each.value for each in response.resources)
        return secret_pb2.Secret.FromString(body).generic_secret.secret.inline_bytes


def test_a_proxy_gets_it_by_sds_and_a_new_version_reaches_both(place) -> None:
    place.host("first", "web,other")
    place.put("db", "first value", "--kind", "password")
    place.secret("grant", "db", "--to", "spiffe://secrets.internal/ns/default/sa/web")
    file = place.delivered("first", "web", "db")
    wait_for(_is(file, "first value"))
    layout = Layout(place.folder / "first" / "agent", settings.runtime_folder(place.folder / "first"))
    web, other = (layout.of(name).sockets.ads for name in ("web", "other"))

    def by_sds(path: Path) -> bytes | None:
        return asyncio.run(_ask_for(path, "secret:db"))

    assert (by_sds(web), by_sds(other)) == (b"first value", None)
    place.secret("rotate", "db", "--length", "40")
    made = wait_for(lambda: (text := file.read_text()) != "first value" and text)
    assert len(made) == 40
    assert by_sds(web) == made.encode()
    assert not place.delivered("first", "other", "db").exists()
    place.secret("revoke", "db", "--from", "spiffe://secrets.internal/ns/default/sa/web")
    wait_for(lambda: not file.exists())
    wait_for(lambda: by_sds(web) is None)


def test_a_host_in_quarantine_or_banned_loses_its_secrets_at_once(place) -> None:
    place.host("first", "web")
    place.put("db", VALUE)
    place.secret("grant", "db", "--to", "web")
    file = place.delivered("first", "web", "db")
    wait_for(_is(file, VALUE))
    agent = json.loads((place.folder / "first" / "agent" / "enrolment.json").read_text())["agent_id"]

    def act(*verb: str) -> None:
        done = run("agent", *verb, agent, "--state", str(place.folder / "server"))
        assert done.returncode == 0, done.stderr

    act("ban")
    wait_for(lambda: not file.exists())
    act("unban")
    wait_for(_is(file, VALUE), 40)
    again = run("join", "--ticket", place.tickets["first"], "--state", str(place.folder / "elsewhere"))
    assert "used before" in again.stderr  # which puts the host that had the ticket into quarantine
    wait_for(lambda: not file.exists())
    act("quarantine", "lift")
    wait_for(_is(file, VALUE))


def test_with_the_server_away_what_is_here_is_served_and_after_a_reboot_it_comes_again(place) -> None:
    place.host("first", "web")
    place.put("db", VALUE)
    place.put("short", "for a while", "--expires", "6s")
    for name in ("db", "short"):
        place.secret("grant", name, "--to", "web")
    file, short = (place.delivered("first", "web", name) for name in ("db", "short"))
    wait_for(lambda: file.exists() and short.exists(), 5)
    place.server.kill()
    place.agents["first"].kill()
    place.start_agent("first")
    assert file.read_text() == VALUE
    wait_for(lambda: not short.exists())
    assert file.read_text() == VALUE
    place.agents["first"].kill()
    shutil.rmtree(settings.runtime_folder(place.folder / "first"))
    place.start_server()
    place.start_agent("first")
    wait_for(_is(file, VALUE), 40)
    assert not short.exists()
    assert place.accesses("db").count("secret delivered") == 1


GROUP = """
trust_domain: secrets.internal
services:
  web: {}
contexts:
  shop:
    key_store: {secret: orders/store.p12, password: {secret: orders/password}}
    trust_store: {secret: orders/roots.pem}
secrets:
  orders: {grant: [web]}
  never-put: {grant: [web]}
  db: {grant: [web], file: {name: db.txt, mode: "0400"}, expires: 3d}
"""


def test_a_program_makes_its_tls_of_a_group_that_the_mesh_file_grants(place_of) -> None:
    place = place_of(GROUP)
    folder = place.folder
    pair = TestAuthority.make(datetime.now(UTC)).pair(TRUST_DOMAIN.workload("default", "web"))
    (store,) = key_stores(("pkcs12",), pair, Secret(b"changeit-now"), datetime.now(UTC))
    (folder / "store.p12").write_bytes(store.content)
    (folder / "pw").write_text("changeit-now\n")
    (folder / "roots.pem").write_bytes(to_pem(pair.chain[-1:]))
    wrong = place.secret(
        "put", "orders/store.p12", "--kind", "key-store", "--file", str(folder / "store.p12"), ok=False
    )
    assert (wrong.returncode, "--password-secret" in wrong.stderr) == (1, True), wrong.stderr
    place.secret(
        "put", "orders/store.p12", "--kind", "key-store", "--file", str(folder / "store.p12"),
        "--with", f"password:password={folder / 'pw'}", "--password-secret", "orders/password",
    )  # fmt: skip
    early = place.put("orders/context", "shop\n", "--kind", "context", ok=False)
    assert "takes orders/roots.pem" in early.stderr
    place.secret("put", "orders/roots.pem", "--kind", "trust-store", "--file", str(folder / "roots.pem"))
    place.put("orders/context", "shop\n", "--kind", "context")
    place.put("db", VALUE, "--kind", "password")
    place.host("first", "web")
    wait_for(lambda: place.delivered("first", "web", "orders/context").exists())
    assert oct(place.delivered("first", "web", "db.txt").stat().st_mode & 0o777) == "0o400"
    checked = run(
        "run", "--service", "web", "--state", str(folder / "first"), "--", sys.executable, "-m", "handsel", "context",
        "check", "-f", str(folder / "handsel.yaml"),
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "spiffe://test.internal/ns/default/sa/web" in checked.stdout
    refused = place.secret("revoke", "orders", "--from", "web", ok=False)
    assert "handsel.yaml:10 grants orders to web" in refused.stderr
    listed = place.json("list")["items"]
    granted = {each["name"]: each["granted"] for each in listed}["db"]
    assert granted["web"].endswith("handsel.yaml:12")
    warned = json.loads(run("status", "--state", str(folder / "server"), "-o", "json").stdout)["server"]["warnings"]
    assert any("nobody has put the secret never-put" in each for each in warned)
    assert any("the secret db ends soon" in each for each in warned)


def test_no_value_is_seen_where_it_was_not_asked_for(place) -> None:
    place.host("first", "web")
    place.put("db", VALUE, "--kind", "password", "--label", "team=shop")
    place.secret("grant", "db", "--to", "web")
    wait_for(_is(place.delivered("first", "web", "db"), VALUE))
    state = str(place.folder / "server")
    said = [
        place.secret("get", "db").stdout, place.secret("get", "db", "-o", "json").stdout, place.secret("list", "-o", "yaml").stdout,
        place.secret("history", "db", "-o", "json").stdout, place.secret("rotate", "db", "--dry-run", "-o", "json").stdout,
        place.secret("put", "db", "--file", str(place.folder / "value"), "--kind", "crl", ok=False).stderr,
        run("status", "--state", state, "-o", "json").stdout, run("status", "--state", str(place.folder / "first"), "-o", "json").stdout,
        run("config", "view", "-f", str(place.folder / "handsel.yaml"), "-o", "json").stdout,
        run("ca", "journal", "list", "--state", state, "-o", "json").stdout,
        *(log.read_text() for log in place.folder.glob("*.log")),
    ]  # fmt: skip
    kept = [
        path for path in place.folder.rglob("*") if path.is_file() and "/r/" not in str(path) and path.name != "value"
    ]
    said += [path.read_bytes().decode("latin-1") for path in kept]
    assert any("secret delivered" in each for each in said)
    for form in (VALUE, base64.b64encode(VALUE.encode()).decode()):
        assert not [each for each in said if form in each]

    assert place.secret("get", "db", "--reveal").stdout == VALUE
    assert base64.b64decode(place.json("get", "db", "--reveal")["content"]).decode() == VALUE
    assert place.secret("get", "db", "--out", "-").stdout == VALUE
    place.secret("get", "db", "--out", str(place.folder / "out"))
    assert ((place.folder / "out").read_text(), oct((place.folder / "out").stat().st_mode & 0o777)) == (VALUE, "0o600")
    assert place.accesses("db").count("secret read") == 4
    given = run("secret", "put", "db", "--value", "x", "--state", state)
    assert (given.returncode, "No such option" in given.stderr) == (2, True)


def test_a_terminal_sees_a_value_only_when_it_is_revealed(place) -> None:
    place.put("db", VALUE)
    command = [*HANDSEL, "secret", "get", "db", "--state", str(place.folder / "server")]
    for more, shown in ((["--out", "-"], False), (["--reveal"], True)):
        ours, theirs = pty.openpty()
        done = subprocess.run(
            [*command, *more], stdout=theirs, stderr=theirs, env=environment(), timeout=30, check=False
        )
        assert done.returncode == (0 if shown else 2)
        assert (VALUE in os.read(ours, 10_000).decode()) == shown
        os.close(ours)
        os.close(theirs)


def test_a_value_is_asked_for_at_a_terminal_and_not_shown(place) -> None:
    ours, theirs = pty.openpty()
    asking = subprocess.Popen(
        [*HANDSEL, "secret", "put", "typed", "--kind", "password", "--state", str(place.folder / "server")],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment(), start_new_session=True,
    )  # fmt: skip
    seen = b""
    for said in (b"The value of typed", b"Repeat"):
        while said not in seen:
            seen += os.read(ours, 1000)
        os.write(ours, VALUE.encode() + b"\n")
    assert asking.wait(20) == 0
    seen += os.read(ours, 10_000)
    os.close(ours)
    os.close(theirs)
    assert VALUE.encode() not in seen
    assert place.secret("get", "typed", "--reveal").stdout == VALUE


def test_a_mebibyte_goes_all_the_way_and_one_byte_more_does_not(place) -> None:
    place.host("first", "web")
    large = place.folder / "large"
    large.write_bytes(os.urandom(1 << 20))
    place.secret("put", "large", "--file", str(large))
    place.secret("grant", "large", "--to", "web")
    file = place.delivered("first", "web", "large")
    wait_for(lambda: file.exists() and file.read_bytes() == large.read_bytes())
    large.write_bytes(os.urandom((1 << 20) + 1))
    refused = place.secret("put", "large", "--file", str(large), ok=False)
    assert "1 MiB" in refused.stderr
    assert file.stat().st_size == 1 << 20


def test_each_role_may_do_what_it_is_for(place) -> None:
    place.put("db", VALUE)
    state = place.folder / "server"

    def add(role: str) -> Path:
        folder = place.folder / role
        done = run("ca", "admin", "add", role, "--role", role, "--out", str(folder), "--state", str(state))
        assert done.returncode == 0, done.stderr
        return folder

    allowed = {"viewer": "list", "operator": "grant", "administrator": "read"}
    acts = {
        "list": ("list",), "history": ("history", "db"), "grant": ("grant", "db", "--to", "web"),
        "put": ("put", "db", "--file", str(place.folder / "value")), "read": ("get", "db", "--reveal"),
        "rotate-key": ("rotate-key",),
    }  # fmt: skip
    ranks = {"list": 1, "history": 1, "grant": 2, "put": 2, "read": 3, "rotate-key": 3}
    for rank, role in enumerate(allowed, 1):
        folder = add(role)
        for act, words in acts.items():
            done = run("secret", *words, "--state", str(folder))
            assert (done.returncode == 0) == (ranks[act] <= rank), (role, act, done.stderr)
    assert "administrator/operator" in {each.get("by") for each in place.json("history", "db")["accesses"]}


@pytest.mark.key_files("takes the file of the key away")
def test_what_cannot_be_done_is_said_in_a_line(place) -> None:
    place.put("db", VALUE)
    for words, code, said in [
        (("get", "nothing"), 1, "HS-V001 there is no secret 'nothing'"),
        (("get", "db", "--version", "7"), 1, "HS-V001 db has no version '7'"),
        (("grant", "db", "--to", "wep"), 1, "HS-V002 there is no service 'wep', did you mean \"web\"?"),
        (("revoke", "db", "--from", "web"), 1, "HS-V002 db is not granted to web"),
        (("rotate", "db"), 1, "HS-V002 db is opaque: only passwords are made here"),
        (("put", "db/x", "--generate"), 1, "HS-V002 db is a secret already"),
        (("put", "../x", "--generate"), 1, "HS-V002 '../x' is no name"),
        (("put", "x"), 2, "HS-C002 there is no value"),
        (("put", "x", "--file", "/nowhere"), 2, "HS-C002 /nowhere cannot be read"),
        (("put", "x", "--generate", "--expires", "soon"), 2, "HS-C002 --expires: a duration"),
        (("delete", "nothing"), 1, "HS-V001"),
    ]:
        done = place.secret(*words, ok=False)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr
    (kek,) = (place.folder / "server" / "server" / "authority").glob("secrets-*.kek")
    kek.rename(kek.with_suffix(".gone"))
    place.server.stop()
    place.start_server()
    broken = place.secret("get", "db", "--reveal", ok=False)
    assert "HS-V003 secrets are sealed with the key" in broken.stderr
    kek.with_suffix(".gone").rename(kek)
    assert place.secret("get", "db", "--reveal").stdout == VALUE


def test_the_commands_of_the_example_do_what_its_page_says(monkeypatch) -> None:
    example = Path(__file__).parents[2] / "examples" / "secrets"
    if shutil.which("curl") is None or shutil.which("openssl") is None:
        pytest.skip("needs curl and openssl")
    with short_folder() as folder:
        monkeypatch.setenv("HANDSEL_RUNTIME_DIR", str(folder / "r"))
        shutil.copytree(example, folder, dirs_exist_ok=True)
        page = (folder / "README.md").read_text()
        for port in ("8080", "8081"):
            free = str(free_port())
            page = page.replace(port, free)
            mesh = (folder / "handsel.yaml").read_text()
            (folder / "handsel.yaml").write_text(mesh.replace(port, free))
        commands = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        try:
            with (folder / "output").open("wb") as out:  # no pipe: what is started would hold it open
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", commands], cwd=folder, stdout=out, stderr=out, timeout=90,
                    env=environment() | {"PATH": binaries}, check=False,
                )  # fmt: skip
            said = (folder / "output").read_text()
        finally:
            end_everything_in(folder)
        assert done.returncode == 0, said
        promised = re.findall(r"curl .*# (.*)", page)
        assert [line for line in said.splitlines() if line.startswith(("orders has", "report has"))] == promised


def test_a_program_that_runs_as_a_user_of_its_own_reads_its_secrets_and_no_others(place_of) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    place = place_of(MESH.replace("{}", "{user: auto}"))
    for each in (place.folder, place.folder / "r"):  # as /run is
        each.chmod(0o711)
    place.host("first", "web,other")
    for name in ("web", "other"):
        place.put(f"of-{name}", f"value of {name}")
        place.secret("grant", f"of-{name}", "--to", name)
        wait_for(_is(place.delivered("first", name, f"of-{name}"), f"value of {name}"))
    # Not Python, which may lie where no other user gets.
    program = 'id -u; cat "$HANDSEL_SECRETS/of-web"; echo; cat "$HANDSEL_SECRETS/../other/of-other" || echo not mine'
    seen = run("run", "--service", "web", "--state", str(place.folder / "first"), "--", "sh", "-c", program)
    assert seen.returncode == 0, seen.stderr
    user, own, others = seen.stdout.splitlines()
    assert int(user) != 0
    assert (own, others) == ("value of web", "not mine")


@pytest.mark.key_files("a backup of a token's keys is not ours to make")
def test_a_backup_with_keys_opens_secrets(place) -> None:
    place.put("db", VALUE)
    password = place.folder / "pw"
    password.write_text("a password for backups\n")
    password.chmod(0o600)
    words = (str(place.folder / "backup"), "--state", str(place.folder / "server"), "--password-file", str(password))
    saved = run("ca", "backup", "--with-keys", *words)
    assert saved.returncode == 0, saved.stderr
    place.server.stop()
    shutil.rmtree(place.folder / "server")
    restored = run("ca", "restore", *words)
    assert restored.returncode == 0, restored.stderr
    place.start_server()
    assert place.secret("get", "db", "--reveal").stdout == VALUE
