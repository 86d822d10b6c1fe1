"""Key stores by the real command: what it writes keytool and OpenSSL read, what it is given wrong is one line."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from handsel.pki import der
from handsel.pki.certificate import to_pem
from handsel.pki.names import SpiffeId
from tests.e2e.mesh_process import HANDSEL, environment, short_folder
from tests.pki.keystore import bouncy
from tests.support import TestAuthority

pytestmark = pytest.mark.e2e
PASSWORD, OWN, NEW = "correct horse", "battery staple", "other words"


@dataclass(frozen=True)
class Desk:
    """A folder with a key, its chain, a root, and files with passwords."""

    folder: Path

    def run(self, *arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        """`handsel cert …`, which must end with this code, and never with a traceback."""
        done = subprocess.run(
            [*HANDSEL, "cert", *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=self.folder,
            env={**environment(), **variables}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def store(self, *arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run("store", *arguments, code=code, **variables)

    def refused(self, *arguments: str, code: int = 1, **variables: str) -> str:
        """What is said on the error's one line; the line after it may say what to do."""
        done = self.store(*arguments, code=code, **variables)
        first, *more = done.stderr.splitlines()
        assert len(more) <= 1, done.stderr
        assert done.stdout == ""
        return first.removeprefix("handsel: ")

    def listed(self, file: str, *arguments: str, **variables: str) -> dict[str, Any]:
        return json.loads(self.store("list", file, "-o", "json", *arguments, **variables).stdout)

    def keytool(self, *arguments: str, code: int = 0) -> str:
        found = shutil.which("keytool")
        if found is None:
            pytest.skip("needs keytool")
        done = subprocess.run(
            [found, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=self.folder, input="\n"
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def seen_by_keytool(self, file: str, password: str = PASSWORD) -> dict[str, str]:
        """The entries by keytool: alias and kind."""
        lines = self.keytool("-list", "-keystore", file, "-storepass", password).splitlines()
        return {line.split(", ")[0]: line.split(", ")[-2] for line in lines if line.endswith("Entry, ")}

    def jks(self, file: str = "a.jks", *, own: bool = False) -> str:
        """A JKS store by keytool: the key `shop`, the trusted `root`; with `own` a key that has its own password."""
        self.store("create", "tmp.p12", "--key", "key.pem", "--chain", "chain.pem", "--alias", "shop",
                   "--password-file", "p")  # fmt: skip
        self.keytool("-importkeystore", "-srckeystore", "tmp.p12", "-srcstorepass", PASSWORD, "-destkeystore", file,
                     "-deststoretype", "JKS", "-deststorepass", PASSWORD)  # fmt: skip
        self.keytool("-importcert", "-noprompt", "-alias", "root", "-file", "root.pem", "-keystore", file, "-storepass",
                     PASSWORD)  # fmt: skip
        if own:
            self.keytool("-keypasswd", "-alias", "shop", "-keypass", PASSWORD, "-new", OWN, "-keystore", file,
                         "-storepass", PASSWORD)  # fmt: skip
        (self.folder / "tmp.p12").unlink()
        return file


@pytest.fixture
def desk() -> Iterator[Desk]:
    with short_folder() as folder:
        authority = TestAuthority.make()
        identity = SpiffeId.parse("spiffe://test.internal/ns/default/sa/shop")
        pair = authority.pair(identity, dns_names=("shop.internal",))
        key = pair.key.handle.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        root = authority.issuer.root
        files = {
            "key.pem": key, "chain.pem": to_pem((*reversed(pair.chain), root)), "root.pem": root.pem,
            "p": PASSWORD.encode() + b"\n", "own": OWN.encode(), "new": NEW.encode(), "bad": b"wrong horse",
        }  # fmt: skip
        for name, content in files.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)
        yield Desk(folder)


# One store through all formats


def test_a_store_goes_through_every_format_and_java_reads_each(desk: Desk) -> None:
    """JKS, PKCS12, PEM and JKS again: the same key and chain at the end, and keytool and OpenSSL see it on the way."""
    made = desk.store(
        "create", "a.jks", "--type", "jks", "--key", "key.pem", "--chain", "chain.pem", "--trust", "root.pem", "--alias",
        "Shop", "--password-file", "p",
    )  # fmt: skip
    assert "a.jks (jks) holds Shop, " in made.stderr
    root = next(alias for alias in desk.seen_by_keytool("a.jks") if alias != "shop")
    assert desk.seen_by_keytool("a.jks") == {"shop": "PrivateKeyEntry", root: "trustedCertEntry"}
    before = desk.listed("a.jks", "--password-file", "p")
    assert before["integrity"] == "checked"

    desk.store("convert", "a.jks", "--to", "pkcs12", "--out", "b.p12", "--password-file", "p")
    assert desk.seen_by_keytool("b.p12") == {"shop": "PrivateKeyEntry", root: "trustedCertEntry"}
    assert "friendlyName: shop" in _openssl(desk, "pkcs12", "-in", "b.p12", "-passin", "file:p", "-nodes")

    said = desk.refused("convert", "b.p12", "--to", "pem", "--out", "c.pem", "--password-file", "p")
    assert said.startswith("HS-K004 b.p12: something would be lost: that certificates are trusted")
    assert not (desk.folder / "c.pem").exists()
    desk.store("convert", "b.p12", "--to", "pem", "--out", "c.pem", "--lossy", "--password-file", "p")
    assert "BEGIN ENCRYPTED PRIVATE KEY" in (desk.folder / "c.pem").read_text()
    _openssl(desk, "pkey", "-in", "c.pem", "-passin", "file:p", "-noout")

    desk.store(
        "convert", "c.pem", "--to", "jks", "--out", "d.jks", "--password-file", "p", "--new-password-file", "new"
    )
    assert "PrivateKeyEntry" in desk.seen_by_keytool("d.jks", NEW).values()
    after = desk.listed("d.jks", "--password-file", "new")
    assert _chain(after) == _chain(before)
    assert len(_chain(after)) == 3
    for name in ("a.jks", "b.p12", "c.pem", "d.jks"):
        assert (desk.folder / name).stat().st_mode & 0o777 == 0o600
    assert not [each.name for each in desk.folder.iterdir() if each.name.startswith(".")]


def _openssl(desk: Desk, *arguments: str) -> str:
    done = subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, cwd=desk.folder, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _chain(document: dict[str, Any]) -> list[str]:
    (key,) = (each for each in document["entries"] if each["kind"] == "key")
    return [each["fingerprint"] for each in key["certificates"]]


def test_java_uses_a_key_that_was_written(desk: Desk) -> None:
    """keytool signs a request with it: it has opened the key."""
    for kind in ("jks", "pkcs12"):
        desk.store("create", kind, "--type", kind, "--key", "key.pem", "--chain", "chain.pem", "--alias", "shop",
                   "--password-file", "p")  # fmt: skip
        assert "BEGIN NEW CERTIFICATE REQUEST" in desk.keytool(
            "-certreq", "-alias", "shop", "-keystore", kind, "-storepass", PASSWORD
        )


def test_a_bcfks_store_becomes_one_that_java_reads_by_itself(desk: Desk) -> None:
    store = desk.folder / "a.bcfks"
    bouncy.keytool(store, "-genkeypair", "-alias", "shop", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=shop",
                   password=PASSWORD)  # fmt: skip
    bouncy.keytool(store, "-genseckey", "-alias", "aes", "-keyalg", "AES", "-keysize", "256", password=PASSWORD)
    desk.store("convert", "a.bcfks", "--to", "pkcs12", "--out", "b.p12", "--password-file", "p")
    assert desk.seen_by_keytool("b.p12") == {"shop": "PrivateKeyEntry", "aes": "SecretKeyEntry"}
    said = desk.refused("convert", "a.bcfks", "--to", "jks", "--out", "b.jks", "--password-file", "p")
    assert "'aes' is left out: JKS holds no secret keys" in said
    done = desk.store("convert", "a.bcfks", "--to", "jks", "--out", "b.jks", "--password-file", "p", "--lossy")
    assert "'aes' is left out" in done.stderr
    assert desk.seen_by_keytool("b.jks") == {"shop": "PrivateKeyEntry"}
    said = desk.refused("alias", "a.bcfks", "--rename", "shop=web", "--password-file", "p")
    assert said == "HS-K004 a.bcfks: BCFKS is read here and not written"


def test_a_jceks_store_with_passwords_of_its_keys_becomes_pkcs12(desk: Desk) -> None:
    store = ("-keystore", "a.jceks", "-storetype", "JCEKS", "-storepass", PASSWORD)
    desk.keytool("-genkeypair", "-alias", "shop", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=shop", *store,
                 "-keypass", OWN)  # fmt: skip
    desk.keytool("-genseckey", "-alias", "aes", "-keyalg", "AES", "-keysize", "128", *store, "-keypass", OWN)
    desk.keytool(
        "-genseckey", "-alias", "mac", "-keyalg", "HmacSHA256", "-keysize", "256", *store, "-keypass", PASSWORD
    )
    convert = ("convert", "a.jceks", "--to", "pkcs12", "--out", "b.p12", "--password-file", "p")
    assert "is locked: its password is another one" in desk.refused(*convert)
    said = desk.refused(*convert, "--key-password-file", "own")
    assert "loses its own password: PKCS12 has one for all (and 1 more)" in said
    desk.store(*convert, "--key-password-file", "own", "--lossy")
    assert desk.seen_by_keytool("b.p12") == {
        "shop": "PrivateKeyEntry", "aes": "SecretKeyEntry", "mac": "SecretKeyEntry",
    }  # fmt: skip


# Single acts


def test_certificates_are_listed_without_a_password(desk: Desk) -> None:
    desk.jks()
    found = desk.store("list", "a.jks").stdout
    assert "jks: integrity not checked" in found
    assert "locked: needs a password" in found
    document = desk.listed("a.jks")
    assert (document["apiVersion"], document["kind"], document["integrity"]) == (
        "handsel/v1",
        "KeyStore",
        "not checked",
    )
    assert {each["alias"]: len(each["certificates"]) for each in document["entries"]} == {"shop": 3, "root": 1}
    assert yaml.safe_load(desk.store("list", "a.jks", "-o", "yaml").stdout) == document
    opened = desk.listed("a.jks", HANDSEL_STORE_PASSWORD=PASSWORD)
    assert opened["integrity"] == "checked"
    assert not any(each["locked"] for each in opened["entries"])


def test_aliases_change_and_java_sees_it(desk: Desk) -> None:
    desk.jks()
    before = (desk.folder / "a.jks").read_bytes()
    change = ("alias", "a.jks", "--rename", "shop=web", "--remove", "root", "--password-file", "p")
    assert "would hold web\n" in desk.store(*change, "--dry-run").stderr
    assert (desk.folder / "a.jks").read_bytes() == before
    assert "holds web\n" in desk.store(*change).stderr
    assert desk.seen_by_keytool("a.jks") == {"web": "PrivateKeyEntry"}
    assert desk.refused(*change) == "HS-K004 a.jks: there is no entry 'root'"
    assert desk.refused("alias", "a.jks", "--rename", "web", "--password-file", "p", code=2).startswith("HS-C002 'web'")


def test_who_could_read_a_store_before_is_told(desk: Desk) -> None:
    """A service that reads it as another user would not start again, and nobody would know why."""
    desk.store("create", "a.jks", "--type", "jks", "--trust", "root.pem", "--password-file", "p")
    rename = ("alias", "a.jks", "--password-file", "p", "--rename")
    alias = _only_alias(desk, "a.jks")
    assert "it had mode" not in desk.store(*rename, f"{alias}=x").stderr
    (desk.folder / "a.jks").chmod(0o640)
    assert "it had mode 640, owner " in desk.store(*rename, "x=y").stderr
    assert (desk.folder / "a.jks").stat().st_mode & 0o777 == 0o600


def test_what_would_do_nothing_is_refused(desk: Desk) -> None:
    for arguments, code, said in (
        (("create", "a"), 2, "there is nothing to put in"),
        (("create", "a", "--chain", "chain.pem", "--trust", "root.pem"), 2, "--chain is the chain of a key"),
        (("create", "a", "--trust", "key.pem", "--type", "pem"), 1, "there is no certificate in it"),
        (("create", "a", "--key", "root.pem", "--type", "pem"), 1, "one private key is expected in it"),
        (("alias", "root.pem"), 2, "there is nothing to do"),
        (("password", "root.pem", "--new-password-file", "new"), 1, "there is no key in it"),
        (("alias", "root.pem", "--remove", _only_alias(desk, "root.pem")), 2, "there is nothing to write"),
        (("export", "root.pem", "--alias", "x", "--out", "a", "--plain"), 2, "certificates have no password"),
        (("convert", "root.pem", "--to", "jks", "--out", "a", "--plain"), 2, "--plain is for keys in PEM"),
        (("convert", "root.pem", "--to", "jks", "--out", "a"), 2, "a needs a password"),
    ):
        assert said in desk.refused(*arguments, code=code)
    assert not (desk.folder / "a").exists()


def test_a_link_to_a_store_stays_a_link(desk: Desk) -> None:
    desk.jks()
    (desk.folder / "link").symlink_to("a.jks")
    desk.store("alias", "link", "--remove", "root", "--password-file", "p")
    assert (desk.folder / "link").is_symlink()
    assert desk.seen_by_keytool("a.jks") == {"shop": "PrivateKeyEntry"}


def test_a_new_password_opens_and_the_old_one_does_not(desk: Desk) -> None:
    for kind in ("jks", "pkcs12"):
        desk.store("create", kind, "--type", kind, "--key", "key.pem", "--chain", "chain.pem", "--alias", "shop",
                   "--password-file", "p")  # fmt: skip
        desk.store("password", kind, "--password-file", "p", "--new-password-file", "new")
        desk.keytool("-list", "-keystore", kind, "-storepass", PASSWORD, code=1)
        assert "BEGIN NEW" in desk.keytool("-certreq", "-alias", "shop", "-keystore", kind, "-storepass", NEW)


def test_a_key_keeps_its_own_password_where_the_format_has_one(desk: Desk) -> None:
    desk.jks(own=True)
    passwords = ("--password-file", "p", "--key-password-file", "own")
    said = desk.store("password", "a.jks", *passwords, "--new-password-file", "new").stderr
    assert "the key of 'shop' keeps its own password" in said
    request = ("-certreq", "-alias", "shop", "-keystore", "a.jks", "-storepass", NEW)
    assert "BEGIN NEW" in desk.keytool(*request, "-keypass", OWN)
    desk.keytool(*request, "-keypass", NEW, code=1)
    new = ("--password-file", "new", "--key-password-file", "own")
    assert "loses its own password" in desk.refused("convert", "a.jks", "--to", "pkcs12", "--out", "b", *new)
    desk.store("convert", "a.jks", "--to", "pkcs12", "--out", "b", "--lossy", *new)
    assert "BEGIN NEW" in desk.keytool("-certreq", "-alias", "shop", "-keystore", "b", "-storepass", NEW)


def test_entries_of_another_store_are_taken_in(desk: Desk) -> None:
    desk.jks()
    desk.store("create", "b.p12", "--trust", "root.pem", "--password-file", "new")
    take = ("import", "b.p12", "--from", "a.jks", "--password-file", "new", "--from-password-file", "p")
    assert "holds" in desk.store(*take, "--alias", "shop=Web", "--alias", "root").stderr
    seen = desk.seen_by_keytool("b.p12", NEW)
    assert seen["web"] == "PrivateKeyEntry"
    assert sorted(seen.values()) == ["PrivateKeyEntry", "trustedCertEntry", "trustedCertEntry"]
    said = desk.refused(*take, "--alias", "root")
    assert said == "HS-K004 b.p12: it has an entry 'root' already"
    desk.store(*take, "--alias", "root", "--force")
    assert desk.seen_by_keytool("b.p12", NEW) == seen
    desk.store(
        "import",
        "b.p12",
        "--from",
        "root.pem",
        "--alias",
        _only_alias(desk, "root.pem") + "=pem",
        "--password-file",
        "new",
    )
    assert desk.seen_by_keytool("b.p12", NEW)["pem"] == "trustedCertEntry"


def _only_alias(desk: Desk, file: str) -> str:
    (entry,) = desk.listed(file)["entries"]
    return entry["alias"]


def test_export_gives_certificates_without_and_keys_with_a_password(desk: Desk) -> None:
    desk.jks()
    desk.store("export", "a.jks", "--alias", "shop", "--out", "shop.crt")
    assert (desk.folder / "shop.crt").read_text().count("BEGIN CERTIFICATE") == 3
    assert "PRIVATE KEY" not in (desk.folder / "shop.crt").read_text()
    export = ("export", "a.jks", "--alias", "shop", "--key", "--out")
    assert desk.refused(*export, "x").startswith("HS-K002 a.jks: it needs a password")
    desk.store(*export, "same.pem", "--password-file", "p")
    desk.store(*export, "new.pem", "--password-file", "p", "--new-password-file", "new")
    desk.store(*export, "plain.pem", "--password-file", "p", "--plain")
    original = _openssl(desk, "pkey", "-in", "key.pem", "-pubout")
    for file, password in (("same.pem", "p"), ("new.pem", "new"), ("plain.pem", "p")):
        assert _openssl(desk, "pkey", "-in", file, "-passin", f"file:{password}", "-pubout") == original
    assert "BEGIN PRIVATE KEY" in (desk.folder / "plain.pem").read_text()
    assert "BEGIN ENCRYPTED" in (desk.folder / "same.pem").read_text()


# What is there is not replaced


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(desk: Desk) -> None:
    create = ("create", "b", "--trust", "root.pem", "--type", "pem")
    (desk.folder / "b").write_bytes(b"mine")
    assert desk.refused(*create, code=2) == "HS-C002 b is there already"
    assert (desk.folder / "b").read_bytes() == b"mine"
    desk.store(*create, "--force", "--dry-run")
    assert (desk.folder / "b").read_bytes() == b"mine"
    desk.store(*create, "--force")
    assert (desk.folder / "b").read_bytes() == (desk.folder / "root.pem").read_bytes()
    assert (
        desk.refused("create", "/dev/null", *create[2:], "--force", code=2) == "HS-C002 /dev/null is no ordinary file"
    )
    assert desk.refused("create", "no/b", *create[2:], code=2).startswith("HS-C002 no/b cannot be written")


def test_what_is_not_read_of_a_file_is_not_lost_silently(desk: Desk) -> None:
    """Parameters beside the certificates of a proxy would be gone."""
    block = "-----BEGIN DH PARAMETERS-----\nMAYCAQsCAQI=\n-----END DH PARAMETERS-----\n"
    with (desk.folder / "root.pem").open("a") as file:
        file.write(block)
    alias = _only_alias(desk, "root.pem")
    assert "would be lost: a block 'DH PARAMETERS' is not read" in desk.refused("alias", "root.pem", "--remove", alias)
    assert block in (desk.folder / "root.pem").read_text()
    assert "PEM has no aliases" in desk.refused("alias", "root.pem", "--rename", f"{alias}=x")


# Passwords


def test_the_password_of_the_store_and_that_of_a_key_are_told_apart(desk: Desk) -> None:
    desk.jks(own=True)
    convert = ("convert", "a.jks", "--to", "jks", "--out", "b.jks")
    assert desk.refused(*convert) == "HS-K002 a.jks: it needs a password"
    assert desk.refused(*convert, "--password-file", "bad").startswith("HS-K002 a.jks: ")
    said = desk.refused(*convert, "--password-file", "p")
    assert said == "HS-K003 a.jks: the key of 'shop' is locked: its password is another one"
    said = desk.refused(*convert, "--password-file", "p", "--key-password-file", "bad")
    assert said.startswith("HS-K003 a.jks: the key of 'shop' is locked")
    desk.store(*convert, "--password-file", "p", "--key-password-file", "own")
    (shop, _) = desk.listed("b.jks", "--password-file", "p", "--key-password-file", "own")["entries"]
    assert shop["locked"] == ""


def test_a_file_with_a_password_that_is_none(desk: Desk) -> None:
    desk.jks()
    (desk.folder / "open").write_text(PASSWORD)
    (desk.folder / "open").chmod(0o644)
    (desk.folder / "bytes").write_bytes(b"\xff\xfe")
    (desk.folder / "bytes").chmod(0o600)
    for file, said in (("open", "can be read by others"), ("bytes", "is not UTF-8"), ("missing", "cannot be read")):
        assert said in desk.refused("list", "a.jks", "--password-file", file, code=2)


def test_a_person_at_a_terminal_is_asked_and_nothing_is_shown(desk: Desk) -> None:
    """Once for an old password, twice for a new one."""
    made = _at_a_terminal(desk, ["create", "a.p12", "--trust", "root.pem"], [PASSWORD, PASSWORD])
    assert "New password of a.p12: " in made
    assert PASSWORD not in made
    assert "trustedCertEntry" in desk.seen_by_keytool("a.p12").values()
    assert "pkcs12: integrity checked" in _at_a_terminal(desk, ["list", "a.p12"], [PASSWORD])
    assert "HS-K002" in _at_a_terminal(desk, ["list", "a.p12"], ["wrong"])


def _at_a_terminal(desk: Desk, arguments: list[str], answers: list[str]) -> str:
    """What a terminal shows when each question is answered."""
    here, there = pty.openpty()
    process = subprocess.Popen(
        [*HANDSEL, "cert", "store", *arguments], stdin=there, stdout=there, stderr=there, cwd=desk.folder,
        env=environment(), start_new_session=True,
    )  # fmt: skip
    os.close(there)
    shown, waiting, deadline = "", list(answers), time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            if not select.select([here], [], [], 0.2)[0]:
                continue
            try:
                read = os.read(here, 4096)
            except OSError:  # the other side is closed
                break
            if not read:
                break
            shown += read.decode()
            if waiting and shown.endswith(": "):
                os.write(here, f"{waiting.pop(0)}\n".encode())
        process.wait(timeout=10)
    finally:
        process.kill()
        process.wait()
        os.close(here)
    assert not waiting, shown
    return shown


# What is no store


def test_a_name_says_nothing(desk: Desk) -> None:
    """The bytes decide: PKCS12 called .jks, PEM called .p12."""
    desk.store("create", "a.jks", "--trust", "root.pem", "--password-file", "p")
    assert desk.listed("a.jks", "--password-file", "p")["format"] == "pkcs12"
    shutil.copy(desk.folder / "root.pem", desk.folder / "root.p12")
    assert desk.listed("root.p12")["format"] == "pem"


def test_what_is_no_store_is_one_line(desk: Desk) -> None:
    desk.jks()
    desk.store("create", "a.p12", "--key", "key.pem", "--chain", "chain.pem", "--password-file", "p")
    jks, pkcs12 = (desk.folder / "a.jks").read_bytes(), (desk.folder / "a.p12").read_bytes()
    bcfks = der.sequence(bouncy.HMAC_SHA512, bouncy.pbkdf2(b"s", 1 << 40, 64), bouncy.octets(b"m"))
    wrong = {
        "empty.jks": (b"", "HS-K001"),
        "text.jks": (b"hello\n", "HS-K001"),
        "short.jks": (jks[: len(jks) // 2], "HS-K001"),
        "head.jks": (jks[:4], "HS-K001"),
        "many.jks": (jks[:8] + b"\xff\xff\xff\xff" + jks[12:], "HS-K00"),
        "short.p12": (pkcs12[: len(pkcs12) // 2], "HS-K001"),
        "huge.jks": (jks[:12] + bytes(5 << 20), "HS-K004"),
        "bomb.p12": (_bomb(desk), "HS-K004"),
        "bomb.bcfks": (der.sequence(bouncy.data_of(), bcfks), "HS-K004"),
        "half.pem": ((desk.folder / "root.pem").read_bytes()[:200], "HS-K001"),
    }
    for name, (content, code) in wrong.items():
        (desk.folder / name).write_bytes(content)
        started = time.monotonic()
        for arguments in (("list", name), ("convert", name, "--to", "jks", "--out", "out")):
            said = desk.refused(*arguments, "--password-file", "p")
            assert said.startswith(f"{code}"), (name, said)
            assert f" {name}: " in said
        assert time.monotonic() - started < 10
    assert not (desk.folder / "out").exists()
    assert desk.refused("list", "missing.jks", code=2).startswith("HS-C002 missing.jks cannot be read: No such file")
    assert desk.refused("list", ".", code=2).startswith("HS-C002 . cannot be read: Is a directory")


def _bomb(desk: Desk) -> bytes:
    """A PKCS12 file by OpenSSL that asks for millions of rounds."""
    _openssl(
        desk, "pkcs12", "-export", "-in", "root.pem", "-nokeys", "-iter", "65536", "-passout", "file:p", "-out", "b.p12"
    )
    content = (desk.folder / "b.p12").read_bytes()
    few, many = bytes.fromhex("0203010000"), bytes.fromhex("02037fffff")
    assert few in content
    return content.replace(few, many)


# `handsel cert inspect`


def test_inspect_says_of_a_store_what_it_says_of_certificates(desk: Desk) -> None:
    desk.jks()
    shown = desk.run("inspect", "a.jks", "--password-file", "p").stdout
    assert "shop   key" in shown
    assert "3 certificates, each signed by the next" in shown
    assert "DNS:shop.internal" in shown
    assert "jks, integrity checked" in shown
    certificate = json.loads(desk.run("inspect", "chain.pem", "-o", "json").stdout)["certificates"]
    entries = json.loads(desk.run("inspect", "a.jks", "-o", "json").stdout)["entries"]
    (found,) = (each["certificates"] for each in entries if each["alias"] == "shop")
    assert sorted(each["fingerprint"] for each in certificate) == sorted(each["fingerprint"] for each in found)
    assert all(each in certificate for each in found)
    assert len(desk.run("inspect", "--short", "a.jks").stdout.splitlines()) == 4
    with (desk.folder / "a.jks").open("rb") as file:
        piped = subprocess.run([*HANDSEL, "cert", "inspect", "-"], stdin=file, capture_output=True, text=True,
                               env=environment(), timeout=60, check=True)  # fmt: skip
    assert "integrity not checked" in piped.stdout
    assert "HS-K002 a.jks: " in desk.run("inspect", "a.jks", "--password-file", "bad", code=1).stderr


def test_a_store_of_keys_that_others_may_read_is_told(desk: Desk) -> None:
    desk.jks()
    (desk.folder / "a.jks").chmod(0o600)
    assert desk.listed("a.jks")["notes"][-1] != "it holds keys, and others may read it: chmod 600"
    (desk.folder / "a.jks").chmod(0o644)
    assert desk.listed("a.jks")["notes"][-1] == "it holds keys, and others may read it: chmod 600"
