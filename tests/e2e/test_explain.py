"""`explain` names the right cause: each fault is there for real, beside healthy calls that are explained as such."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.mesh_process import HTTP_PROGRAM, TCP_PROGRAM, Mesh, fetch, free_port, mesh, run, short_folder
from tests.e2e.programs import third_parties
from tests.e2e.programs.third_parties import Authority, Files, serving, tls

pytestmark = pytest.mark.e2e

NAME = "ext.example"
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


class World:
    """The third parties: which server runs at which port, and what the mesh file says of each."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.good, self.other = Authority(folder, "good"), Authority(folder, "other")
        self.server = self.good.issue("server", [NAME])
        self.client, self.stranger = self.good.issue("client"), self.other.issue("stranger")
        self._stack = stack
        self.externals: dict[str, dict[str, Any]] = {}

    def external(
        self,
        name: str,
        context: ssl.SSLContext | None,
        mode: str = "simple",
        speak: Callable[..., None] = third_parties.answer,
        *,
        client: Files | None = None,
        protocol: str = "http",
    ) -> None:
        """A third party that runs."""
        port = self._stack.enter_context(serving(context, speak))
        self.declare(name, port, mode, client=client, protocol=protocol)

    def declare(
        self, name: str, port: int, mode: str = "simple", *, client: Files | None = None, protocol: str = "http"
    ) -> None:
        """What the mesh file says of a third party."""
        words: dict[str, str] = {"mode": mode}
        if mode != "disable":
            words |= {"ca_certificates": str(self.good.root), "server_name": NAME}
        if client is not None:
            words |= {"client_certificate": str(client.certificate), "private_key": str(client.key)}
        self.externals[name] = {
            "host": f"{name}.example", "endpoints": [f"127.0.0.1:{port}"], "protocol": protocol, "tls": words,
        }  # fmt: skip


def _third_parties(world: World) -> None:
    good, demanding = world.good, tls(world.server, clients=world.good.root)
    world.external("bank", demanding, "mutual", client=world.client)
    world.external("nginx", _asking(world), "mutual", third_parties.nginx, client=world.client)
    world.external("careless", tls(world.server), "mutual", client=world.client)
    world.external("one-way", tls(world.server))
    world.external("plain", None, "disable")
    world.external("expired", tls(good.issue("expired", [NAME], start=-10 * _DAY, end=-_DAY)))
    world.external("not-yet", tls(good.issue("not-yet", [NAME], start=_DAY)))
    world.external("unknown-ca", tls(world.other.issue("foreign", [NAME])))
    world.external("wrong-name", tls(good.issue("wrong", ["else.example"])))
    world.external("client-only", tls(good.issue("client-only", [NAME], usage=third_parties.CLIENT_ONLY)))
    world.external("demanding", demanding)
    world.external("demanding12", tls(world.server, clients=good.root, newest=ssl.TLSVersion.TLSv1_2))
    world.external("stranger", demanding, "mutual", client=world.stranger)
    world.external("speaks-tls", tls(world.server), "disable")
    world.external("speaks-plain", None)
    world.external("old", third_parties.old(world.server))
    world.external("hangs-up", tls(world.server), speak=third_parties.hang_up)
    world.external("silent", None, speak=third_parties.stay_silent)
    world.declare("nobody", free_port())
    for name, context, mode in (
        ("expired", tls(good.issue("expired2", [NAME], start=-10 * _DAY, end=-_DAY)), "simple"),
        ("demanding", demanding, "simple"),
        ("speaks-tls", tls(world.server), "disable"),
    ):
        world.external(f"tcp-{name}", context, mode, protocol="tcp")
    world.external("tcp-bank", demanding, "mutual", third_parties.greet, client=world.client, protocol="tcp")
    world.externals["nowhere"] = {"host": "no-such-host.invalid", "tls": {"ca_certificates": str(good.root)}}


def _asking(world: World) -> ssl.SSLContext:
    context = tls(world.server, clients=world.good.root)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _mesh_file(world: World, *, requests: bool) -> str:
    services = {
        "web": {"command": HTTP_PROGRAM, "calls": ["emoji", "mail", "deaf", *world.externals]},
        "emoji": {"command": HTTP_PROGRAM},
        "mail": {"command": TCP_PROGRAM, "protocol": "tcp"},
        "deaf": {},
    }
    content = {
        "trust_domain": "explain.internal",
        "services": services,
        "external": world.externals,
        "telemetry": {"requests": requests},
    }
    return json.dumps(content)


class Explained:
    """What `handsel explain` says of the calls of a running mesh; each is asked for once, all at the same time."""

    def __init__(self, running: Mesh, world: World, folder: Path) -> None:
        self.running = running
        self.folder = folder
        pairs = [("web", name) for name in ("emoji", "mail", "deaf", *world.externals)]
        pairs += [("emoji", "web"), ("emoji", "bank")]
        with ThreadPoolExecutor(4) as pool:
            answers = pool.map(lambda pair: self.ask(*pair), pairs)
        self._answers = dict(zip(pairs, answers, strict=True))

    def ask(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Exit code and answer."""
        done = run("explain", *arguments, "-o", "json", "--state", "s", "-f", "handsel.yaml", cwd=self.running.folder)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def up(self, callee: str, caller: str = "web") -> dict[str, Any]:
        """A call that is mutual TLS."""
        code, answer = self._answers[caller, callee]
        assert (code, answer["ok"], answer["state"], answer["code"]) == (0, True, "mutual TLS", None), answer
        return answer

    def other(self, callee: str, state: str) -> dict[str, Any]:
        """A call that works and is not mutual TLS."""
        code, answer = self._answers["web", callee]
        assert (code, answer["ok"], answer["state"], answer["code"]) == (1, False, state, None), answer
        return answer

    def failed(self, callee: str, expected: str, fault: str, caller: str = "web") -> dict[str, Any]:
        """A call that fails for this reason."""
        code, answer = self._answers[caller, callee]
        assert (code, answer["state"], answer["code"], answer["fault"]) == (1, "failed", expected, fault), answer
        assert answer["what"]
        assert answer["fix"]
        return answer


@contextlib.contextmanager
def _explained(*, requests: bool, only_services: bool = False) -> Iterator[Explained]:
    with short_folder() as folder, contextlib.ExitStack() as stack:
        world = World(folder, stack)
        if only_services:
            world.external("bank", tls(world.server, clients=world.good.root), "mutual", client=world.client)
        else:
            _third_parties(world)
        with mesh(_mesh_file(world, requests=requests)) as running:
            yield Explained(running, world, folder)


@pytest.fixture(scope="module")
def layer4() -> Iterator[Explained]:
    with _explained(requests=False) as explained:
        yield explained


@pytest.fixture(scope="module")
def layer7() -> Iterator[Explained]:
    with _explained(requests=True, only_services=True) as explained:
        yield explained


@pytest.fixture(params=["layer4", "layer7"])
def either(request: pytest.FixtureRequest) -> Explained:
    explained: Explained = request.getfixturevalue(request.param)
    return explained


def _evidence(answer: dict[str, Any]) -> str:
    return " ".join(f"{each['source']}: {each['text']}" for each in answer["evidence"])


# What works


def test_a_healthy_call_is_mutual_tls_with_both_identities_and_the_line_that_allows_it(either: Explained) -> None:
    answer = either.up("emoji")
    assert answer["tls"] == {
        "version": "TLSv1.3",
        "group": "X25519MLKEM768",
        "caller": "spiffe://explain.internal/ns/default/sa/web",
        "callee": "spiffe://explain.internal/ns/default/sa/emoji",
    }
    assert answer["allowed_by"] == "handsel.yaml:1"
    assert answer["traffic"]["last"] is None
    assert answer["traffic"]["asked"].startswith("GET /handsel.Explain/")
    assert {each["source"] for each in answer["evidence"]} == {"web's log", "emoji's log"}


def test_a_tcp_service_is_asked_by_a_connection(either: Explained) -> None:
    assert either.up("mail")["traffic"]["asked"] == "a connection"


def test_an_external_is_mutual_tls_when_it_refuses_a_client_without_a_certificate(layer4: Explained) -> None:
    for name in ("bank", "tcp-bank"):
        answer = layer4.up(name)
        assert answer["tls"]["callee"] == NAME
        assert "CERTIFICATE_REQUIRED" in _evidence(answer)
    assert "answered 400, and 200 to ours" in _evidence(layer4.up("nginx"))


def test_an_external_that_takes_anybody_is_one_way_whatever_we_show(layer4: Explained) -> None:
    assert "answers a client without a certificate" in layer4.other("careless", "one-way TLS")["what"]
    assert "no client certificate is shown" in layer4.other("one-way", "one-way TLS")["what"]
    assert layer4.other("plain", "plaintext")["tls"] is None


# The eight faults, and more


def test_expired(layer4: Explained) -> None:
    answer = layer4.failed("expired", "HS-E001", "peer")
    assert "ended at" in answer["what"]
    assert "certificate_has_expired" in _evidence(answer)
    layer4.failed("tcp-expired", "HS-E001", "peer")


def test_unknown_ca(layer4: Explained) -> None:
    answer = layer4.failed("unknown-ca", "HS-E002", "operator")
    assert "signed by 'other', which is not in" in answer["what"]
    assert answer["check"].startswith("openssl s_client -connect 127.0.0.1:")


def test_client_certificate_of_another_ca(layer4: Explained) -> None:
    answer = layer4.failed("stranger", "HS-E002", "operator")
    assert "does not trust the CA of our client certificate (signed by 'other')" in answer["what"]
    assert answer["check"] == f"handsel cert inspect {layer4.folder / 'stranger.crt'}"


def test_tls_to_a_plaintext_port(layer4: Explained) -> None:
    answer = layer4.failed("speaks-plain", "HS-E003", "operator")
    assert "tls: {mode: disable}" in answer["fix"]


def test_wrong_name(layer4: Explained) -> None:
    answer = layer4.failed("wrong-name", "HS-E004", "operator")
    assert "carries else.example, and ext.example is expected" in answer["what"]


def test_no_client_certificate(layer4: Explained) -> None:
    for name in ("demanding", "tcp-demanding"):
        answer = layer4.failed(name, "HS-E005", "operator")
        assert "CERTIFICATE_REQUIRED" in _evidence(answer)
        assert "mode: mutual" in answer["fix"]


def test_no_client_certificate_under_tls12(layer4: Explained) -> None:
    answer = layer4.failed("demanding12", "HS-E005", "operator")
    assert "SSLV3_ALERT_HANDSHAKE_FAILURE" in _evidence(answer)


def test_plaintext_to_a_tls_port(layer4: Explained) -> None:
    for name in ("speaks-tls", "tcp-speaks-tls"):
        answer = layer4.failed(name, "HS-E006", "operator")
        assert "TLSv1.3: it speaks TLS" in _evidence(answer)


def test_denied_by_policy(either: Explained) -> None:
    answer = either.failed("web", "HS-E007", "operator", caller="emoji")
    assert "SAN_matcher" in _evidence(answer)
    assert "alert (certificate_unknown)" in _evidence(answer)
    assert answer["allowed_by"] is None
    assert "status=403" in _evidence(either.failed("bank", "HS-E007", "operator", caller="emoji"))


def test_nothing_listening(either: Explained) -> None:
    answer = either.failed("deaf", "HS-E008", "operator")
    assert "its program does not listen on 127.0.0.1:" in answer["what"]
    assert "deaf's log" in _evidence(answer)


def test_nothing_listening_outside(layer4: Explained) -> None:
    assert "nothing listens at 127.0.0.1:" in layer4.failed("nobody", "HS-E008", "peer")["what"]


def test_versions_that_do_not_meet(layer4: Explained) -> None:
    layer4.failed("old", "HS-E009", "peer")


def test_closed_without_a_word(layer4: Explained) -> None:
    layer4.failed("hangs-up", "HS-E012", "peer")


def test_not_yet_valid(layer4: Explained) -> None:
    assert "is valid from" in layer4.failed("not-yet", "HS-E013", "peer")["what"]


def test_silent(layer4: Explained) -> None:
    layer4.failed("silent", "HS-E015", "network")


def test_name_not_found(layer4: Explained) -> None:
    answer = layer4.failed("nowhere", "HS-E016", "operator")
    assert answer["check"] == "getent hosts no-such-host.invalid"


def test_certificate_of_the_wrong_kind(layer4: Explained) -> None:
    layer4.failed("client-only", "HS-E018", "peer")


def test_a_call_that_the_running_mesh_does_not_know(layer7: Explained) -> None:
    folder = layer7.running.folder
    content = json.loads((folder / "handsel.yaml").read_text())
    content["services"]["emoji"]["calls"] = ["mail"]
    (folder / "newer.yaml").write_text(json.dumps(content))
    done = run("explain", "emoji", "mail", "-f", "newer.yaml", "--state", "s", "-o", "json", cwd=folder)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, "HS-E019")


# Around it


def test_without_a_request_only_the_logs_are_read(layer7: Explained) -> None:
    def logged() -> int:
        return len(layer7.running.access_log("web"))

    before = logged()
    code, answer = layer7.ask("web", "emoji", "--no-request")
    assert (code, answer["state"], answer["traffic"]) == (1, "no traffic seen yet", {"last": None, "asked": None})
    assert logged() == before
    assert fetch(layer7.running.url("web", "emoji"))[0] == 200
    code, answer = layer7.ask("web", "emoji")
    assert answer["traffic"]["last"]
    code, answer = layer7.ask("web", "emoji", "--no-request")
    assert (code, answer["state"]) == (0, "mutual TLS")


def test_a_pasted_503_leads_to_the_edge(layer4: Explained) -> None:
    status, body = fetch(layer4.running.url("web", "expired"))
    assert status == 503
    done = run("explain", body, "-o", "json")
    assert (done.returncode, json.loads(done.stdout)["code"]) == (0, "HS-E021")


def test_a_program_that_stands_still_is_told_from_a_connection_that_does_not(either: Explained) -> None:
    record = json.loads((either.running.state / "programs" / "emoji.pid").read_text())
    os.kill(record["pid"], signal.SIGSTOP)
    try:
        code, answer = either.ask("web", "emoji")
    finally:
        os.kill(record["pid"], signal.SIGCONT)
    assert (code, answer["code"], answer["fault"]) == (1, "HS-E015", "operator")
    assert answer["what"] == "mutual TLS stands, but the program of emoji gave no answer in time"


def test_a_sidecar_that_stands_still_is_no_program_that_does(either: Explained) -> None:
    pid = either.running.workload("emoji")["envoy"]
    os.kill(pid, signal.SIGSTOP)
    try:
        code, answer = either.ask("web", "emoji")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (code, answer["state"]) == (1, "failed"), answer
    assert answer["code"] == "HS-E015", json.dumps(answer)
    assert "program" not in answer["what"]


def test_unknown_names_and_nothing_running_have_their_own_exit_codes(layer7: Explained) -> None:
    folder = layer7.running.folder
    unknown = run("explain", "web", "emojy", "--state", "s", "-f", "handsel.yaml", cwd=folder)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert 'did you mean "emoji"?' in unknown.stderr
    nothing = run("explain", "web", "emoji", "--state", "elsewhere", "-f", "handsel.yaml", cwd=folder)
    assert nothing.returncode == 4
    assert "Traceback" not in unknown.stderr + nothing.stderr
