"""emojivote without a mesh: its programs as real processes that reach each other directly."""

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection

import pytest
import yaml

from handsel import demo
from handsel.wiring.mesh_files import load_mesh

# A proxy that is not there: programs that asked it would fail.
NO_PROXY_THERE = {"http_proxy": "http://127.0.0.1:9", "grpc_proxy": "http://127.0.0.1:9"}


class Application:
    """The processes of emojivote, started as the mesh file says, and a client of web."""

    def __init__(self):
        file = demo.mesh_file()
        self.folder = file.parent
        self.services = yaml.safe_load(file.read_text())["services"]
        self.ports = {name: free_port() for name in self.services}
        self.processes = {}

    def start(self, *names):
        for name in names:
            python, *arguments = shlex.split(self.services[name]["command"])
            assert python == "python"
            self.processes[name] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )

    def environment(self, name):
        addresses = {
            f"{callee.upper()}_ADDR": f"127.0.0.1:{self.ports[callee]}"
            for callee in self.services[name].get("calls", [])
        }
        return {"PORT": str(self.ports[name]), **addresses, **NO_PROXY_THERE}

    def end(self, name):
        """Send SIGTERM. Gives exit status, standard output and standard error."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            output, errors = process.communicate(timeout=5)
            return process.returncode, output, errors
        finally:
            process.kill()

    def get(self, path, method="GET"):
        with closing(HTTPConnection("127.0.0.1", self.ports["web"], timeout=5)) as connection:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def ask(self, path, method="GET"):
        status, _, body = self.get(path, method)
        return status, json.loads(body)

    def votes_for(self, shortcode):
        _, ranking = self.ask("/api/leaderboard")
        return sum(row["votes"] for row in ranking if row["shortcode"] == shortcode)

    def leaderboard(self):
        """The leaderboard, None while there is none."""
        try:
            status, content = self.ask("/api/leaderboard")
        except OSError:
            return None
        return content if status == 200 else None

    def wait_until_ready(self):
        wait_for(lambda: self.leaderboard() is not None)


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds=8):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.03)


def started(*names):
    application = Application()
    try:
        application.start(*names)
        yield application
    finally:
        for process in application.processes.values():
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def voting_application():
    """Web, emoji and voting. Nobody votes but the test."""
    for application in started("web", "emoji", "voting"):
        application.wait_until_ready()
        yield application


@pytest.fixture
def whole_application():
    """All four, the callers first."""
    yield from started("vote-bot", "web", "voting", "emoji")


def test_the_mesh_file_is_valid_and_says_who_calls_whom():
    mesh = load_mesh(demo.mesh_file())
    assert str(mesh.trust_domain) == "demo.internal"
    assert {name: (service.protocol.value, list(service.calls)) for name, service in mesh.services.items()} == {
        "web": ("http", ["emoji", "voting"]),
        "emoji": ("grpc", []),
        "voting": ("grpc", []),
        "vote-bot": ("http", ["web"]),
    }
    assert not any(service.port for service in mesh.services.values())


def test_a_program_of_the_demo_has_no_tls():
    for source in demo.mesh_file().parent.glob("*.py"):
        assert not re.search(r"\bssl\b|\bcertificate|secure_channel\(.*credentials|https", source.read_text()), source


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_vote_changes_the_leaderboard(voting_application, method):
    before = voting_application.votes_for(":ghost:")
    status, content = voting_application.ask("/api/vote?choice=:ghost:", method)
    assert (status, content) == (200, {"shortcode": ":ghost:", "unicode": "👻", "votes": before + 1})
    assert voting_application.votes_for(":ghost:") == before + 1


def test_the_leaderboard_is_ordered_by_votes(voting_application):
    for choice in [":fox:", ":owl:", ":owl:"]:
        voting_application.ask(f"/api/vote?choice={choice}")
    _, ranking = voting_application.ask("/api/leaderboard")
    votes = [row["votes"] for row in ranking]
    assert votes == sorted(votes, reverse=True)
    assert {"🦊", "🦉"} <= {row["unicode"] for row in ranking}


def test_the_list_has_about_a_hundred_different_emojis(voting_application):
    status, emojis = voting_application.ask("/api/list")
    assert status == 200
    assert 90 <= len({emoji["unicode"] for emoji in emojis}) == len({emoji["shortcode"] for emoji in emojis}) <= 110
    assert {"shortcode": ":doughnut:", "unicode": "🍩"} in emojis


def test_a_vote_for_the_doughnut_fails_with_a_message(voting_application):
    status, content = voting_application.ask("/api/vote?choice=:doughnut:")
    assert status == 500
    assert content["error"] == "VotingService: a vote for the doughnut always fails, so that errors can be seen"
    assert voting_application.votes_for(":doughnut:") == 0


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/vote", 400, "choose an emoji"),
        ("/api/vote?choice=", 400, "choose an emoji"),
        ("/api/vote?choice=:nothing:", 404, "no emoji with this shortcode"),
        ("/api/vote?choice=ghost", 404, "no emoji with this shortcode"),
        ("/api/vote?choice=%FF%00%0A", 404, "no emoji with this shortcode"),
        ("/api/vote?choice=" + "x" * 50_000, 404, "no emoji with this shortcode"),
        ("/nothing", 404, "nothing here"),
    ],
)
def test_bad_input_is_refused_with_a_message(voting_application, path, status, message):
    got, content = voting_application.ask(path)
    assert got == status
    assert message in content["error"]


def test_the_page_needs_nothing_from_elsewhere(voting_application):
    status, headers, body = voting_application.get("/")
    page = body.decode()
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
    # The name of a namespace is never fetched.
    assert "://" not in page.replace("xmlns='http://www.w3.org/2000/svg'", "")


def test_the_bot_votes_whatever_starts_first(whole_application):
    wait_for(lambda: len(whole_application.leaderboard() or []) >= 2)


def test_web_finds_a_service_again(whole_application):
    whole_application.wait_until_ready()
    whole_application.end("voting")
    status, content = whole_application.ask("/api/vote?choice=:ghost:")
    assert status == 503
    assert content["error"].startswith("VotingService: ")
    whole_application.start("voting")
    whole_application.wait_until_ready()


def test_every_program_ends_quietly_at_sigterm(whole_application):
    wait_for(whole_application.leaderboard)  # not empty: the bot is at work too
    for name in ["web", "vote-bot", "emoji", "voting"]:
        before = time.monotonic()
        assert whole_application.end(name) == (0, b"", b""), name
        assert time.monotonic() - before < 2, name
