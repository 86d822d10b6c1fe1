"""The policy and the profiles at a running server, with certbot as the client."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from handsel.cli.local import call_server
from handsel.errors import HandselError
from tests.e2e.authority_process import Authority, authority
from tests.e2e.mesh_process import environment, free_port, run, short_folder

pytestmark = pytest.mark.e2e

POLICY = """
trust_domain: pay.internal
services: {{}}
authority:
  acme: {{validation: {{http_port: {port}}}}}
  profiles:
    strict: {{lint: true}}
    narrow: {{names: [narrow.localhost]}}
  policy:
    - deny: {{dns: [admin.localhost]}}
    - allow: {{dns: [localhost, narrow.localhost]}}
"""


class _Certbot:
    """An account of certbot's own, in a folder."""

    def __init__(self, server: Authority, port: int, name: str = "certbot") -> None:
        found = Path(sys.executable).with_name("certbot")
        if not found.exists() and not shutil.which("certbot"):
            pytest.skip("needs certbot")
        self.folder = server.folder / name
        folders = [f"--{each}-dir={self.folder / each}" for each in ("config", "work", "logs")]
        self._command = [
            str(found), "certonly", "--standalone", f"--http-01-port={port}", "--http-01-address=127.0.0.1", "-n",
            "--agree-tos", "--register-unsafely-without-email", *folders,
        ]  # fmt: skip
        self._server = server

    def get(
        self, *names: str, directory: str = "directory", more: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Order a certificate, called `it` in certbot's folder."""
        url = f"{self._server.url.replace('127.0.0.1', 'localhost')}/acme/{directory}"
        domains = [word for name in names for word in ("-d", name)]
        return subprocess.run(
            [*self._command, "--server", url, "--cert-name", "it", *domains, *more],
            env={**environment(), "REQUESTS_CA_BUNDLE": str(self._server.roots)},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    @property
    def log(self) -> str:
        return "".join(each.read_text() for each in (self.folder / "logs").glob("*.log*"))


def test_a_client_gets_what_the_policy_allows_and_is_told_the_line_of_what_it_denies():
    port = free_port()
    with authority(POLICY.format(port=port)) as server:
        client = _Certbot(server, port)
        refused = client.get("admin.localhost")
        assert refused.returncode != 0
        assert "admin.localhost is denied by the deny rule at handsel.yaml:10 (admin.localhost)" in client.log
        assert "challenge" not in refused.stdout  # before anybody proved anything
        assert client.get("elsewhere.localhost").returncode != 0
        assert "elsewhere.localhost is allowed by no rule of the policy" in client.log
        assert client.get("localhost", directory="profile/narrow/directory").returncode != 0
        assert "localhost is outside what the profile 'narrow' takes: narrow.localhost" in client.log
        got = client.get("localhost", directory="profile/strict/directory")  # linted before it was signed
        assert got.returncode == 0, got.stdout + client.log


def test_a_key_is_used_again_by_whom_it_belongs_to_and_by_nobody_else():
    port = free_port()
    with authority(POLICY.format(port=port)) as server:
        client = _Certbot(server, port)
        again = ("--reuse-key", "--force-renewal")
        for _ in range(2):
            assert client.get("localhost", more=again).returncode == 0, client.log
        thief = _Certbot(server, port, "thief")
        shutil.copytree(client.folder, thief.folder, symlinks=True)
        shutil.rmtree(thief.folder / "config" / "accounts")
        renewal = thief.folder / "config" / "renewal" / "it.conf"
        kept = [each for each in renewal.read_text().splitlines() if not each.startswith("account =")]
        renewal.write_text("\n".join(kept).replace(str(client.folder), str(thief.folder)))
        assert thief.get("localhost", more=again).returncode != 0
        assert "urn:ietf:params:acme:error:badPublicKey" in thief.log
        assert "the key belongs to another requester" in thief.log
        assert thief.get("localhost", more=("--force-renewal", "--new-key")).returncode == 0, thief.log


def test_profiles_are_listed_with_their_hash_and_what_the_linter_said():
    pytest.importorskip("pkilint", reason="needs pkilint")
    with authority(POLICY.format(port=free_port())) as server:
        found = server.json("ca", "profiles", "-f", "handsel.yaml")
        assert (found["apiVersion"], found["kind"]) == ("handsel/v1", "Profiles")
        written = {each["name"]: each for each in found["profiles"] if each["name"] in ("strict", "narrow")}
        assert all(each["verdict"].startswith("clean (pkilint ") for each in written.values())
        assert len({each["hash"] for each in found["profiles"]}) == len(found["profiles"])
        # Another file, another hash: about that nobody has said anything yet.
        (server.folder / "other.yaml").write_text(POLICY.format(port=80).replace("lint: true", "lifetime: 2h"))
        other = {each["name"]: each for each in server.json("ca", "profiles", "-f", "other.yaml")["profiles"]}
        assert (other["narrow"]["hash"], other["narrow"]["verdict"]) == (
            written["narrow"]["hash"], written["narrow"]["verdict"],
        )  # fmt: skip
        assert other["strict"]["hash"] != written["strict"]["hash"]
        assert other["strict"]["verdict"] == "not looked at yet"


def test_administrators_ask_the_running_server_the_same():
    with authority(POLICY.format(port=free_port())) as server:

        def ask(path: str):
            return call_server(server.state, "GET", path)

        policy = ask("/v1/policy")
        assert (policy["kind"], policy["written"]) == ("Policy", True)
        assert [(each["rule"], each["where"]) for each in policy["rules"]] == [
            ("deny", "handsel.yaml:10"), ("allow", "handsel.yaml:11"),
        ]  # fmt: skip
        assert ask("/v1/policy/explain?name=localhost")["verdict"] == "yes"
        denied = ask("/v1/policy/explain?name=*.localhost&account=a&profile=narrow")
        assert denied["verdict"] == "no"
        assert denied["requester"] == {"account": "a", "profile": "narrow"}
        assert {each["name"] for each in ask("/v1/profiles")["profiles"]} >= {"default", "strict", "narrow"}
        assert ask("/v1/status")["authority"]["profiles"]
        with pytest.raises(HandselError, match="is no DNS name"):
            ask("/v1/policy/explain?name=a..b")
        with pytest.raises(HandselError, match="is no DNS name"):
            ask("/v1/policy/explain")


BAD_PROFILE = """
services: {}
authority:
  profiles:
    files: {names: ["ftp://[a.internal/x"]}
"""


def test_a_profile_that_breaks_a_standard_keeps_the_server_from_starting():
    pytest.importorskip("pkilint", reason="needs pkilint")
    with short_folder() as folder:
        (folder / "handsel.yaml").write_text(BAD_PROFILE)
        arguments = (
            "server",
            "-f",
            "handsel.yaml",
            "--state",
            "s",
            "--listen",
            "127.0.0.1:0",
            "--metrics-port",
            "0",
            "--status-port",
            "0",
        )
        done = run(*arguments, cwd=folder)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "handsel: HS-A004 the profile 'files' breaks a standard: pkix.invalid_uri_syntax" in done.stderr


def test_the_policy_is_explained_from_the_file_without_a_server():
    with short_folder() as folder:
        (folder / "handsel.yaml").write_text(POLICY.format(port=80))
        for name, verdict, why in (
            ("localhost", "yes", "allowed by the allow rule at handsel.yaml:11"),
            ("admin.localhost", "no", "denied by the deny rule at handsel.yaml:10"),
            ("*.localhost", "no", "denied by the deny rule at handsel.yaml:10"),
            ("a.b", "no", "allowed by no rule"),
            ("spiffe://pay.internal/ns/a/sa/b", "no", "which the mesh alone gives"),
        ):
            done = run("ca", "policy", "explain", name, cwd=folder)
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith(f"{name}: {verdict}\n")
            assert why in done.stdout
        wrong = run("ca", "policy", "explain", "a b", cwd=folder)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        unknown = run("ca", "policy", "explain", "a.b", "--profile", "nobody", cwd=folder)
        assert unknown.returncode == 2
        assert "profiles are default, strict, narrow" in unknown.stderr
