"""Roots go into real trust stores and come out again: the system's, Java's, those of NSS. Each store is a test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from handsel.errors import StateError
from handsel.pki.certificate import Certificate, to_pem
from handsel.pki.names import SpiffeId, TrustDomain
from handsel.pki.secret import Secret
from handsel.wiring import trust, trust_stores
from handsel.wiring.trust import Wanted, name_of
from handsel.wiring.trust_stores import DebianStore, RedHatStore
from tests.e2e.authority_process import authority as running_authority
from tests.e2e.mesh_process import HANDSEL, environment
from tests.support import TestAuthority

pytestmark = pytest.mark.e2e
PASSWORD = "correct horse"
_PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])


def tool(name: str) -> str:
    """The path of a tool of the system."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def said(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


@dataclass(frozen=True)
class Stores:
    """Stores of a test's own in one folder, and a home without any."""

    folder: Path

    def options(self) -> list[str]:
        return [
            "--system-anchors", str(self.folder / "anchors"), "--system-certificates", str(self.folder / "certs"),
            "--java-keystore", str(self.folder / "cacerts"), "--nss-database", str(self.folder / "nss"),
        ]  # fmt: skip

    def ask(self, verb: str, *arguments: str, **variables: str) -> tuple[int, list[dict[str, Any]]]:
        """What `handsel ca trust` says: exit code and lines."""
        done = self.run(verb, *self.options(), *arguments, "-o", "json", **variables)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)["stores"]

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`handsel ca trust` of a person without stores at home."""
        variables = {**environment(), "HOME": str(self.folder), **variables}
        command = [*HANDSEL, "ca", "trust", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=variables)

    def make_system(self) -> Path:
        tool("update-ca-certificates")
        (self.folder / "certs").mkdir()
        return self.folder / "certs"

    def make_java(self) -> Path:
        home = Path(tool("keytool")).resolve().parent.parent
        usual = home / "lib" / "security" / "cacerts"
        if not usual.is_file():
            pytest.skip("needs cacerts of a JDK")
        shutil.copyfile(usual, self.folder / "cacerts")
        return self.folder / "cacerts"

    def make_nss(self, password: str = "") -> Path:
        (self.folder / "nss").mkdir()
        (self.folder / "nss-password").write_text(f"{password}\n")
        made = said(tool("certutil"), "-N", "-d", f"sql:{self.folder / 'nss'}", "-f", str(self.folder / "nss-password"))
        assert made.returncode == 0, made.stderr
        return self.folder / "nss"

    def roots(self, *roots: Certificate) -> str:
        path = self.folder / f"{len(roots)}-{roots[0].fingerprint[:8]}.pem"
        path.write_bytes(to_pem(roots))
        return str(path)


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores(tmp_path)


def states(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(line["state"], line["did"]) for line in lines]


def in_java(store: Path) -> set[str]:
    listed = said(tool("keytool"), "-J-Duser.language=en", "-list", "-keystore", str(store), "-storepass", "changeit")
    assert listed.returncode == 0, listed.stdout
    return {line.split(",")[0] for line in listed.stdout.splitlines() if "trustedCertEntry" in line}


def in_nss(store: Path) -> dict[str, str]:
    """The trust of each nickname."""
    listed = said(tool("certutil"), "-L", "-d", f"sql:{store}").stdout.splitlines()
    return {line.split()[0]: line.split()[-1] for line in listed if line.count(",") == 2 and "S/MIME" not in line}


def test_a_client_with_the_system_store_believes_the_server_while_the_root_is_installed(stores: Stores):
    certificates = stores.make_system()
    openssl = tool("openssl")
    with running_authority() as server:
        address = server.url.removeprefix("https://").split("/")[0]

        def believed() -> bool:
            done = said(openssl, "s_client", "-connect", address, "-CApath", str(certificates), "-verify_return_error")
            assert "CONNECTED" in done.stdout, done.stderr
            return "Verify return code: 0 (ok)" in done.stdout

        state = ("--store", "system", "--state", str(server.state))
        assert not believed()
        assert stores.ask("install", *state, "--dry-run")[0] == 0
        assert not believed()
        code, lines = stores.ask("install", *state)
        assert (code, states(lines)) == (0, [("trusted", "installed")])
        assert believed()
        assert states(stores.ask("install", *state)[1]) == [("trusted", "was there already")]
        assert states(stores.ask("status", *state)[1]) == [("trusted", "")]
        assert stores.ask("uninstall", *state, "--dry-run")[0] == 0
        assert believed()
        assert states(stores.ask("uninstall", *state)[1]) == [("absent", "taken out")]
        assert not believed()
        assert states(stores.ask("uninstall", *state)[1]) == [("absent", "was not there")]
    assert not [path for path in [*certificates.iterdir(), *(stores.folder / "anchors").iterdir()]
                if path.name.startswith("handsel")]  # fmt: skip


def test_one_of_two_roots_with_the_same_subject_is_taken_out_and_the_other_stays(stores: Stores):
    certificates, java, nss = stores.make_system(), stores.make_java(), stores.make_nss()
    openssl, before = tool("openssl"), in_java(java)
    current, following = (TestAuthority.make(datetime.now(UTC)) for _ in range(2))
    assert current.issuer.root.parsed.subject == following.issuer.root.parsed.subject

    def verified(one: TestAuthority) -> bool:
        chain = one.pair(SpiffeId(one.trust_domain, "/web"), now=one.now).chain
        (stores.folder / "leaf.pem").write_bytes(to_pem(chain))
        leaf = str(stores.folder / "leaf.pem")
        return said(openssl, "verify", "-CApath", str(certificates), "-untrusted", leaf, leaf).returncode == 0

    both = stores.roots(current.issuer.root, following.issuer.root)
    names = [name_of(each.issuer.root) for each in (current, following)]
    assert names[0].startswith("handsel-test.internal-")
    assert not verified(current)
    code, lines = stores.ask("install", "--roots", both)
    assert (code, states(lines)) == (0, [("trusted", "installed")] * 6)
    assert verified(current)
    assert verified(following)
    assert in_java(java) == before | set(names)
    assert in_nss(nss) == dict.fromkeys(names, "C,,")

    code, lines = stores.ask("uninstall", "--roots", stores.roots(current.issuer.root))
    assert (code, states(lines)) == (0, [("absent", "taken out")] * 3)
    assert not verified(current)
    assert verified(following)
    assert in_java(java) == before | {names[1]}
    assert in_nss(nss) == {names[1]: "C,,"}
    assert [line["state"] for line in stores.ask("status", "--roots", both)[1]] == ["absent", "trusted"] * 3

    # The authority has only the first one now: the other is a former root, which goes when that is asked for.
    one = stores.roots(current.issuer.root)
    assert [line["state"] for line in stores.ask("status", "--roots", one)[1]] == ["absent", "former"] * 3
    assert stores.ask("uninstall", "--roots", one)[0] == 0
    assert verified(following)
    assert stores.ask("uninstall", "--roots", one, "--former")[0] == 0
    assert not verified(following)
    assert (in_java(java), in_nss(nss)) == (before, {})


def test_what_somebody_else_put_in_is_left_alone(stores: Stores, authority: TestAuthority):
    java, nss, root = stores.make_java(), stores.make_nss(), authority.issuer.root
    file = stores.roots(root)
    store = ("-keystore", str(java), "-storepass", "changeit")
    assert said(tool("keytool"), "-importcert", "-noprompt", "-alias", "ours", "-file", file, *store).returncode == 0
    assert said(tool("certutil"), "-A", "-d", f"sql:{nss}", "-n", "ours", "-t", "C,,", "-a", "-i", file).returncode == 0
    for kind in ("java", "nss"):
        for verb in ("install", "status", "uninstall"):
            code, (line,) = stores.ask(verb, "--roots", file, "--store", kind)
            assert (code, line["state"]) == (0, "other")
            assert line["did"] == "is there as ours, which was not put in here"
    assert "ours" in in_java(java)
    assert in_nss(nss) == {"ours": "C,,"}
    tool_arguments = ("-M", "-d", f"sql:{nss}", "-n", "ours", "-t", ",,")
    assert said(tool("certutil"), *tool_arguments).returncode == 0
    code, (line,) = stores.ask("install", "--roots", file, "--store", "nss")
    assert (code, line["state"]) == (1, "failed")
    assert in_nss(nss) == {"ours": ",,"}


def test_the_password_of_a_java_store_is_never_an_argument(stores: Stores, authority: TestAuthority):
    java, keytool = stores.make_java(), tool("keytool")
    changed = said(keytool, "-storepasswd", "-new", PASSWORD, "-keystore", str(java), "-storepass", "changeit")
    assert changed.returncode == 0, changed.stdout
    seen = stores.folder / "jdk" / "seen"
    (stores.folder / "jdk" / "bin").mkdir(parents=True)
    (stores.folder / "jdk" / "bin" / "keytool").write_text(f'#!/bin/sh\necho "$@" >> {seen}\nexec {keytool} "$@"\n')
    (stores.folder / "jdk" / "bin" / "keytool").chmod(0o755)
    (stores.folder / "password").write_text(PASSWORD)
    (stores.folder / "password").chmod(0o600)
    arguments = ("--store", "java", "--roots", stores.roots(authority.issuer.root))
    home = {"JAVA_HOME": str(stores.folder / "jdk")}
    before = java.read_bytes()

    code, (line,) = stores.ask("install", *arguments, **home)
    assert (code, line["state"]) == (1, "failed")
    assert "password was incorrect" in line["did"]
    assert java.read_bytes() == before
    by_file = ("--password-file", str(stores.folder / "password"))
    assert states(stores.ask("install", *arguments, *by_file, **home)[1]) == [("trusted", "installed")]
    by_variable = {"HANDSEL_STORE_PASSWORD": PASSWORD}
    assert states(stores.ask("uninstall", *arguments, **home, **by_variable)[1]) == [("absent", "taken out")]
    assert "-importcert" in seen.read_text()
    assert "-delete" in seen.read_text()
    assert PASSWORD not in seen.read_text()


def test_a_database_of_nss_with_a_password_is_not_left_half_changed(stores: Stores, authority: TestAuthority):
    nss = stores.make_nss(PASSWORD)
    arguments = ("--store", "nss", "--roots", stores.roots(authority.issuer.root))
    code, (line,) = stores.ask("install", *arguments)
    assert (code, line["state"]) == (1, "failed")
    assert "SEC_ERROR_BAD_PASSWORD" in line["did"]
    assert in_nss(nss) == {}
    password = ("--nss-password-file", str(stores.folder / "nss-password"))
    assert states(stores.ask("install", *arguments, *password)[1]) == [("trusted", "installed")]
    assert in_nss(nss) == {name_of(authority.issuer.root): "C,,"}


def test_databases_of_nss_are_found_and_one_is_made_only_when_asked(stores: Stores, authority: TestAuthority):
    certutil = tool("certutil")
    arguments = ("--store", "nss", "--roots", stores.roots(authority.issuer.root))
    refused = stores.run("install", *arguments)
    assert refused.returncode == 1
    assert "install --create-nss makes one" in refused.stdout
    assert not (stores.folder / ".pki").exists()
    profile = stores.folder / ".mozilla" / "firefox" / "abc.default"
    profile.mkdir(parents=True)
    assert said(certutil, "-N", "-d", f"sql:{profile}", "--empty-password").returncode == 0
    assert stores.run("install", *arguments, "--create-nss").returncode == 0
    wanted = {name_of(authority.issuer.root): "C,,"}
    assert (in_nss(profile), in_nss(stores.folder / ".pki" / "nssdb")) == (wanted, wanted)


def test_when_one_store_fails_the_others_are_done_and_the_exit_code_says_failed(
    stores: Stores, authority: TestAuthority
):
    java, nss = stores.make_java(), stores.make_nss()
    java.write_bytes(b"no store")
    (stores.folder / "certs").write_bytes(b"no folder")
    code, lines = stores.ask("install", "--roots", stores.roots(authority.issuer.root))
    assert code == 1
    assert [(line["store"], line["state"]) for line in lines] == [
        ("system", "failed"), ("java", "failed"), ("nss", "trusted"),
    ]  # fmt: skip
    assert name_of(authority.issuer.root) in in_nss(nss)
    assert not [*(stores.folder / "anchors").glob("*")]  # the file went when the tool failed


def test_a_missing_tool_is_named_with_its_package(stores: Stores, authority: TestAuthority):
    stores.make_nss()
    (stores.folder / "cacerts").write_bytes(b"a store that nobody can open")
    file, nowhere = stores.roots(authority.issuer.root), {"PATH": str(stores.folder), "JAVA_HOME": ""}
    for kind, line in {
        "nss": "certutil is not here: apt install libnss3-tools",
        "java": "keytool is not here: apt install default-jre-headless",
    }.items():
        code, (told,) = stores.ask("install", "--store", kind, "--roots", file, **nowhere)
        assert (code, told["state"]) == (1, "failed")
        assert f"{told['did']}: {told['next_step']}".startswith(line)
    assert stores.ask("install", "--store", "nss", "--roots", file)[0] == 0  # the control: with the tool


def test_the_hooks_of_other_packages_hear_of_both(tmp_path: Path, authority: TestAuthority):
    """Debian's own store of Java is filled, and emptied, by such a hook."""
    certificates, hooks, heard = tmp_path / "certs", tmp_path / "hooks", tmp_path / "heard"
    certificates.mkdir()
    hooks.mkdir()
    (hooks / "listen").write_text(f"#!/bin/sh\ngrep handsel >> {heard}\ntrue\n")
    (hooks / "listen").chmod(0o755)
    store = DebianStore(tool("update-ca-certificates"), tmp_path / "anchors", certificates, hooks)
    name = name_of(authority.issuer.root)
    store.put(name, authority.issuer.root)
    assert heard.read_text() == f"+{certificates}/{name}.pem\n"
    store.take(name)
    assert heard.read_text() == f"+{certificates}/{name}.pem\n-{certificates}/{name}.pem\n"


def test_what_the_system_put_into_a_java_store_is_said_to_be_the_systems(stores: Stores, authority: TestAuthority):
    java, file, name = stores.make_java(), stores.roots(authority.issuer.root), name_of(authority.issuer.root)
    keytool = (tool("keytool"), "-importcert", "-noprompt", "-keystore", str(java), "-storepass", "changeit")
    assert said(*keytool, "-alias", f"debian:{name}.pem", "-file", file).returncode == 0
    code, (line,) = stores.ask("uninstall", "--roots", file, "--store", "java")
    assert (code, line["state"]) == (0, "other")
    assert line["did"] == f"is there as debian:{name}.pem, by the system's store"
    assert f"debian:{name}.pem" in in_java(java)


def test_a_tool_that_hangs_is_given_up(tmp_path: Path, authority: TestAuthority, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trust_stores, "_TIMEOUT_SECONDS", 1)
    hanging = tmp_path / "update-ca-trust"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    store, name = RedHatStore(str(hanging), tmp_path / "anchors", tmp_path / "bundle.pem"), "handsel-a"
    with pytest.raises(StateError, match="update-ca-trust did not answer within 1 s"):
        store.put(name, authority.issuer.root)
    assert store.entries() == []


def test_a_red_hat_store_is_a_file_and_a_call_of_its_tool(tmp_path: Path, authority: TestAuthority):
    """The tool here is a stand-in, which makes the bundle of the files as theirs does, or fails."""
    anchors, bundle, broken = tmp_path / "anchors", tmp_path / "bundle.pem", tmp_path / "broken"
    stand_in = tmp_path / "update-ca-trust"
    stand_in.write_text(
        f'#!/bin/sh\ntest "$1" = extract && test ! -e {broken} && cat {anchors}/*.crt /dev/null > {bundle}\n'
    )
    stand_in.chmod(0o755)
    (tmp_path / "anchors").mkdir()
    (anchors / "other.crt").write_bytes(authority.issuer.certificate.pem)
    store, root, name = (
        RedHatStore(str(stand_in), anchors, bundle),
        authority.issuer.root,
        name_of(authority.issuer.root),
    )
    store.put(name, root)
    assert {entry.name for entry in store.entries() if entry.trusted} == {name, "other"}
    broken.touch()
    with pytest.raises(StateError, match="update-ca-trust failed with 1"):
        store.take(name)
    assert (anchors / f"{name}.crt").read_bytes() == root.pem
    broken.unlink()
    store.take(name)
    assert [path.name for path in anchors.iterdir()] == ["other.crt"]
    assert authority.issuer.certificate.pem == bundle.read_bytes()


@pytest.mark.parametrize("content", [b"", b"words", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_that_holds_no_roots_is_refused(stores: Stores, content: bytes, authority: TestAuthority):
    stores.make_nss()
    file = stores.folder / "roots.pem"
    file.write_bytes(content)
    refused = stores.run("install", "--store", "nss", "--roots", str(file), *stores.options())
    assert refused.returncode == 2
    assert "HS-C002" in refused.stderr
    assert "Traceback" not in refused.stderr
    file.write_bytes(to_pem(authority.pair(SpiffeId(authority.trust_domain, "/web")).chain))
    refused = stores.run("install", "--store", "nss", "--roots", str(file), *stores.options())
    assert refused.returncode == 2
    assert "is no CA" in refused.stderr
    file.write_bytes(authority.issuer.root.pem)
    assert stores.run("install", "--store", "nss", "--roots", str(file), *stores.options()).returncode == 0


def test_a_name_fits_into_a_file_system_and_a_password_hides():
    long = TestAuthority.make(trust_domain=TrustDomain("a" * 255)).issuer.root
    assert len(name_of(long)) < 150
    assert "changeit" not in repr(Wanted())
    assert trust.java_password(None, PASSWORD) == Secret(PASSWORD.encode())
