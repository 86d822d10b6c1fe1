"""A backup is made while clients are served, and another server goes on from it; a standby only reads."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from handsel.store.adapters.sqlite import SqliteStore
from handsel.wiring.storage import APPLIERS
from tests.ca_keys import IN_TOKEN, with_keys
from tests.e2e import books
from tests.e2e.acme_load import Client, Load, Refused, Responder
from tests.e2e.mesh_process import free_port, run, short_folder
from tests.e2e.test_killed import CONFIG, start, trust

pytestmark = pytest.mark.e2e


def write_password(folder: Path) -> str:
    path = folder / "password"
    path.touch(mode=0o600)
    path.write_text("correct horse battery staple\n")
    return str(path)


async def test_what_was_given_before_a_backup_is_in_it_and_its_keys_go_on_signing():
    with short_folder() as folder:
        async with Responder() as responder:
            (folder / "handsel.yaml").write_text(with_keys(folder, CONFIG.format(port=responder.port)))
            password, port, load = write_password(folder), free_port(), Load()
            server = start(folder, "s", port)
            anchors = trust(folder, "s")
            clients = [Client([f"https://127.0.0.1:{port}"], anchors, responder) for _ in range(2)]
            running = [asyncio.create_task(load.run(client)) for client in clients]
            async with asyncio.timeout(20):
                while len(load.got) < 20:
                    await asyncio.sleep(0.01)
            before = list(load.got)
            arguments = ("--with-keys", "--password-file", password)
            saved = await asyncio.to_thread(
                run, "ca", "backup", "--state", str(folder / "s"), *arguments, str(folder / "b")
            )
            assert saved.returncode == 0, saved.stderr
            assert ("keys are not in files" in saved.stderr) == IN_TOKEN
            async with asyncio.timeout(20):
                while len(load.got) < len(before) + 5:
                    await asyncio.sleep(0.01)
            load.stopping = True
            await asyncio.gather(*running)
            assert load.refused == []
            server.stop()

            target = ("ca", "restore", "--state", str(folder / "r"), "--password-file", password)
            checked = run(*target, "--dry-run", str(folder / "b"))
            assert checked.returncode == 0, checked.stderr
            assert not (folder / "r").exists()
            restored = run(*target, str(folder / "b"))
            assert restored.returncode == 0, restored.stderr
            assert run(*target, str(folder / "b")).returncode == 2  # a state is there now
            store = SqliteStore(folder / "r" / "server" / "handsel.db", APPLIERS)
            await books.check(store, before)
            assert '"kind":"restored"' in (await store.journal_lines())[-1][1]
            store.close()
            again = start(folder, "r", port)
            client = Client([f"https://127.0.0.1:{port}"], anchors, responder)
            await client.register()
            assert await client.certificate()
            await client.close()
            again.stop()


async def test_a_standby_answers_what_can_be_read_and_refuses_the_rest():
    with short_folder() as folder:
        async with Responder() as responder:
            (folder / "handsel.yaml").write_text(with_keys(folder, CONFIG.format(port=responder.port)))
            port = free_port()
            server = start(folder, "s", port)
            client = Client([f"https://127.0.0.1:{port}"], trust(folder, "s"), responder)
            await client.register()
            given = await client.certificate()
            server.stop()
            state = ("--state", str(folder / "s"))
            before = (folder / "s" / "server" / "handsel.db").read_bytes()
            (folder / "s.log").unlink()
            standby = start(folder, "s", port, "--read-only")
            assert run("status", *state).returncode == 0
            client.nonces.clear()
            fetched = await client.ask(f"/acme/cert/{given.serial_number:x}")
            assert fetched.status_code == 200
            with pytest.raises(Refused, match="HS-S005 this server only reads"):
                await client.certificate()
            refused = run("agent", "ticket", *state)
            assert refused.returncode == 1
            assert "HS-S005" in refused.stderr
            assert standby.stop() == 0
            assert (folder / "s" / "server" / "handsel.db").read_bytes() == before
            await client.close()
            never = run(
                "server",
                "--state",
                str(folder / "new"),
                "--listen",
                "127.0.0.1:0",
                "--metrics-port",
                "0",
                "--status-port",
                "0",
                "--read-only",
            )
            assert never.returncode == 1
            assert "HS-S001" in never.stderr
            assert not (folder / "new" / "server" / "handsel.db").exists()
