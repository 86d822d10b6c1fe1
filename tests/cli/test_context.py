"""`handsel context`: contexts out of other worlds and for them, and whether they can be loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from handsel.cli.context import command
from handsel.errors import ExitCode, HandselError, UsageError
from handsel.tls.convert.write import TARGETS
from tests.tls.convert.contexts import read
from tests.tls.convert.test_java import FILE
from tests.tls.convert.test_mule import APP
from tests.tls.convert.test_spring import PROPERTIES, YAML
from tests.tls.world import World

_CLEAN = "server.ssl.key-store=/etc/k.p12\nserver.ssl.key-store-password=${P}\n"


def _run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


def _fails(*words: object) -> HandselError:
    result = _run(*words)
    assert isinstance(result.exception, HandselError), result.output
    return result.exception


def _files(folder: Path, **texts: str) -> list[Path]:
    paths = []
    for name, text in texts.items():
        paths.append(folder / name)
        paths[-1].write_text(text)
    return paths


def test_what_is_imported_is_a_mesh_file(tmp_path: Path) -> None:
    files = _files(tmp_path, app=APP, jvm=FILE, boot=PROPERTIES, web=YAML)
    result = _run("import", *files)
    assert result.exit_code == ExitCode.OK
    names = ["partner-tls", "legacy", "front", "java", "partner-a", "server", "web", "web-prod"]
    assert list(read(result.stdout)) == names
    assert f"{files[0]}:16: decide: legacy: insecure" in result.stderr
    assert "changeit" not in result.output


def test_as_json_with_the_notes(tmp_path: Path) -> None:
    (file,) = _files(tmp_path, app=APP)
    document = json.loads(_run("import", file, "-o", "json").stdout)
    assert document["apiVersion"] == "handsel/v1"
    assert document["kind"] == "TlsContexts"
    assert read(yaml.safe_dump({"contexts": document["contexts"]})) == read(_run("import", file).stdout)
    assert {"file": str(file), "line": 3, "kind": "lost"}.items() <= document["notes"][0].items()


def test_the_exit_code_tells_of_losses(tmp_path: Path) -> None:
    lossy, clean = _files(tmp_path, lossy=APP, clean=_CLEAN)
    assert _run("import", lossy).exit_code == ExitCode.OK
    assert _run("import", lossy, "--fail-on", "loss").exit_code == ExitCode.FINDINGS
    assert _run("import", clean, "--fail-on", "loss").exit_code == ExitCode.OK
    assert _run("import", clean, "--fail-on", "note").exit_code == ExitCode.OK


def test_a_path_that_a_mesh_file_does_not_take_is_noted(tmp_path: Path) -> None:
    (file,) = _files(tmp_path, f="server.ssl.key-store=~/k.p12\n")
    assert (
        "handsel.yaml: decide: server: contexts.server.key_store.path: write the path out"
        in _run("import", file).stderr
    )


def test_what_cannot_be_imported_is_one_error(tmp_path: Path) -> None:
    other, empty, doctype = _files(tmp_path, other="hello", empty="server:\n  port: 1\n", doctype="<!DOCTYPE a><a/>")
    assert "nothing of Mule, Java or Spring" in str(_fails("import", other))
    assert "no TLS context" in str(_fails("import", empty))
    assert "document type" in str(_fails("import", doctype, "--from", "mule"))
    assert "cannot be read" in str(_fails("import", tmp_path / "gone"))
    assert _fails("import", other).exit_code == ExitCode.USAGE


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.issue("server", uri=("spiffe://shop.internal/ns/default/sa/orders",))
    return made


def _mesh_file(world: World, text: str) -> Path:
    return world.write("handsel.yaml", f"contexts:\n{text}".encode())


ORDERS = "  orders: {key_store: {path: server.pem}, trust_store: {path: roots.pem}}\n"


@pytest.mark.parametrize("target", TARGETS)
def test_a_context_is_exported_into_files(world: World, target: str) -> None:
    config, out = _mesh_file(world, ORDERS), world.folder / "out"
    dry = _run("export", "orders", "--to", target, "-f", config, "--out", out, "--dry-run")
    assert dry.exit_code == ExitCode.OK
    assert not out.exists()
    done = _run("export", "orders", "--to", target, "-f", config, "--out", out)
    assert done.exit_code == ExitCode.OK
    written = {path.name: path.read_text() for path in out.iterdir()}
    assert done.stdout == dry.stdout.replace("would be written", "written")
    assert {Path(line.removeprefix("written: ")).name for line in done.stdout.splitlines()} == set(written)
    shown = _run("export", "orders", "--to", target, "-f", config).stdout
    assert all(text in shown for text in written.values())
    assert all(str(world.folder) in text for text in written.values())  # paths are absolute


def test_a_file_that_says_something_else_stays(world: World) -> None:
    config, out = _mesh_file(world, ORDERS), world.folder / "out"
    words = ["export", "orders", "--to", "nginx", "-f", config, "--out", out, "--side", "server"]
    assert _run(*words).exit_code == _run(*words).exit_code == ExitCode.OK
    assert [path.name for path in out.iterdir()] == ["orders-server.conf"]
    (out / "orders-server.conf").write_text("mine")
    assert "says another thing" in str(_fails(*words))
    assert (out / "orders-server.conf").read_text() == "mine"
    assert _run(*words, "--force").exit_code == ExitCode.OK
    assert (out / "orders-server.conf").read_text() != "mine"


def test_a_loss_of_an_export_can_fail(world: World) -> None:
    config = _mesh_file(world, ORDERS + "  peers: {trust_store: {path: roots.pem}, peers: [a.internal]}\n")
    assert _run("export", "orders", "--to", "nginx", "-f", config, "--fail-on", "loss").exit_code == ExitCode.OK
    lossy = _run("export", "peers", "--to", "java", "-f", config, "--fail-on", "loss")
    assert lossy.exit_code == ExitCode.FINDINGS
    assert "peers cannot be said" in lossy.stderr
    assert "the contexts are: orders, peers" in str(_fails("export", "nobody", "--to", "go", "-f", config))


def test_check_says_what_each_side_shows_and_believes(world: World) -> None:
    config = _mesh_file(
        world,
        ORDERS + "  call: {trust_store: {path: roots.pem}, peers: [a.internal]}\n"
        "  gone: {key_store: {path: nobody.pem}}\n  loose: {insecure: true}\n",
    )
    result = _run("check", "-f", config)
    assert result.exit_code == ExitCode.FAILED
    lines = result.stdout.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith(
        "✓ orders as client: shows spiffe://shop.internal/ns/default/sa/orders, orders.internal (until "
    )
    assert lines[1].startswith("✓ orders as server: ")
    assert lines[2].startswith("✓ call as client: shows no certificate; believes ")
    assert lines[2].endswith(", as one of 1 peers")
    assert lines[3] == f"✗ gone as client: {world.folder}/nobody.pem cannot be read: No such file or directory"
    assert lines[5] == "! loose as client: shows no certificate; believes everybody: INSECURE, for tests only"
    assert _run("check", "orders", "-f", config).exit_code == ExitCode.OK
    document = json.loads(_run("check", "orders", "-f", config, "-o", "json").stdout)
    assert [each["side"] for each in document["sides"]] == ["client", "server"]


def test_check_fails_for_what_the_file_forbids(world: World) -> None:
    config = _mesh_file(world, "  loose: {insecure: true}\n")
    assert _run("check", "-f", config).exit_code == ExitCode.OK
    config.write_text(f"forbid_insecure: true\n{config.read_text()}")
    assert _run("check", "-f", config).exit_code == ExitCode.FAILED


def test_list(world: World) -> None:
    config = _mesh_file(world, ORDERS + "  loose: {insecure: true}\n  agent: {key_store: {authority: true}}\n")
    rows = [line.split("  ") for line in _run("list", "-f", config).stdout.splitlines()]
    assert [row[0].strip() for row in rows] == ["CONTEXT", "orders", "loose", "agent"]
    assert "EVERYBODY (insecure)" in rows[2]
    assert json.loads(_run("list", "-f", config, "-o", "json").stdout)["contexts"]["loose"] == {"insecure": True}
    config.write_text("")
    assert _run("list", "-f", config).exit_code == ExitCode.OK
    assert isinstance(_fails("list", "-f", world.folder / "gone.yaml"), UsageError)
