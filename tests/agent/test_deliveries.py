"""The deliveries of a host: written once, told once, tried again, taken away, remembered over a restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from handsel.agent.adapters.delivery import deliveries as adapter
from handsel.agent.adapters.delivery.deliveries import Deliveries, Standing
from handsel.agent.model import Holdings, Workload
from handsel.errors import HandselError, StateError, UsageError
from handsel.model.delivery import Content, Delivery, Reload
from tests.agent.things import assigned, holdings, identity, workload
from tests.support import TestAuthority, until

PEM = (Content("key.pem", "key"), Content("cert.pem", "certificate"))
STORE = (Content("web.p12", "pkcs12", "web"), Content("password", "password"))


class Host:
    """The deliveries of one host, its holdings in the test's hands. `told` has a letter for each reload command."""

    def __init__(self, tmp_path: Path, authority: TestAuthority, *, allow_commands: bool = True) -> None:
        self.tmp_path, self._authority, self._allow = tmp_path, authority, allow_commands
        (tmp_path / "state").mkdir(mode=0o700, exist_ok=True)
        self.web = workload(authority.pair(identity("web")))
        self.there = self._open()

    def _open(self) -> Deliveries:
        return Deliveries(self.tmp_path / "state" / "deliveries", allow_commands=self._allow)

    @property
    def held(self) -> Holdings:
        return holdings(self._authority, self.web)

    def want(self, *wanted: Delivery) -> None:
        self.web = replace(self.web, assigned=replace(assigned(), deliveries=wanted))
        self.there.wake()

    def rotate(self) -> str:
        self.web = replace(self.web, key_pair=self._authority.pair(identity("web")))
        self.there.wake()
        return self.web.key_pair.chain[0].pem.decode()

    def delivery(
        self, folder: str = "tls", contents: tuple[Content, ...] = PEM, reload: Reload | None = None
    ) -> Delivery:
        return Delivery(folder, str(self.tmp_path / folder), contents, reload=reload or Reload())

    def note(self) -> Reload:
        """A command that notes that it ran, and fails as long as there is a file `broken`."""
        script = f"test ! -e {self.tmp_path}/broken && printf x >> {self.tmp_path}/told"
        return Reload(command=("sh", "-c", script))

    @property
    def told(self) -> int:
        path = self.tmp_path / "told"
        return len(path.read_text()) if path.exists() else 0

    def shown(self, folder: str = "tls") -> str:
        path = self.tmp_path / folder / "cert.pem"
        return path.read_text() if path.exists() else ""

    def standing(self, name: str = "web/tls") -> Standing:
        return self.there.standings[name]

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.there.keep(lambda: self.held))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def restart(self) -> None:
        self.there = self._open()


@pytest.fixture
def host(tmp_path, authority) -> Host:
    return Host(tmp_path, authority)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_LOOK_SECONDS", 0.1)


async def test_it_is_written_and_every_version_but_the_first_is_told(host):
    host.want(host.delivery(reload=host.note()))
    async with host.kept():
        await until(lambda: host.shown().startswith(host.web.key_pair.chain[0].pem.decode()))
        for count in (1, 2, 3):
            leaf = host.rotate()
            await until(lambda leaf=leaf, count=count: host.shown().startswith(leaf) and host.told == count)
        await asyncio.sleep(0.5)
        assert host.told == 3
        assert host.standing().line() == ""


async def test_after_a_restart_nothing_is_written_or_told_again(host):
    wanted = host.delivery(contents=(*PEM, *STORE), reload=host.note())
    host.want(wanted)
    async with host.kept():
        await until(lambda: host.shown() != "")
        host.rotate()
        await until(lambda: host.told == 1 and host.there._known["web/tls"].told == host.standing().mark)
    before = ((host.tmp_path / "tls").readlink(), (host.tmp_path / "tls" / "web.p12").read_bytes())
    host.restart()
    async with host.kept():
        await until(lambda: bool(host.there.standings) and host.standing().mark != "")
        await asyncio.sleep(0.3)
        assert ((host.tmp_path / "tls").readlink(), (host.tmp_path / "tls" / "web.p12").read_bytes()) == before
        assert host.told == 1
        password = (host.tmp_path / "tls" / "password").read_bytes()
        leaf = host.rotate()
        await until(lambda: host.shown().startswith(leaf))
        assert (host.tmp_path / "tls" / "password").read_bytes() == password  # programs have it


async def test_what_was_not_told_before_a_restart_is_told_after_it(host):
    host.want(host.delivery(reload=host.note()))
    async with host.kept():
        await until(lambda: host.shown() != "")
        (host.tmp_path / "broken").touch()
        host.rotate()
        await until(lambda: host.standing().reload_problem != "")
    (host.tmp_path / "broken").unlink()
    host.restart()
    async with host.kept():
        await until(lambda: host.told == 1)


async def test_a_reload_that_fails_is_said_tried_again_and_forgotten_when_it_works(host):
    host.want(host.delivery(reload=host.note()))
    async with host.kept():
        await until(lambda: host.shown() != "")
        (host.tmp_path / "broken").touch()
        leaf = host.rotate()
        await until(lambda: host.standing().failures >= 2)
        assert host.standing().line() == "delivered, but not reloaded: sh ended with status 1"
        assert host.shown().startswith(leaf)
        (host.tmp_path / "broken").unlink()
        await until(lambda: host.told == 1)
        await until(lambda: host.standing().line() == "")


async def test_a_command_of_the_server_is_not_run_and_that_is_said(tmp_path, authority):
    host = Host(tmp_path, authority, allow_commands=False)
    host.want(host.delivery(reload=host.note()))
    async with host.kept():
        await until(lambda: host.shown() != "")
        leaf = host.rotate()
        await until(lambda: host.standing().reload_problem != "")
        assert "the server asks for is not run here" in host.standing().line()
        assert "--allow-commands" in host.standing().next_step
        assert host.shown().startswith(leaf)  # the files are new all the same
        assert host.told == 0
        # The control: the same command, asked for on this host, runs.
        command = f"touch {tmp_path}/local"
        await host.there.ask(_wish(tmp_path / "own", reload={"command": command}), host.held, dry_run=False)
        host.rotate()
        await until((tmp_path / "local").exists)


async def test_a_folder_of_others_is_an_alarm_until_it_is_moved_away(host):
    (host.tmp_path / "tls").mkdir()
    (host.tmp_path / "tls" / "mine").write_text("x")
    host.want(host.delivery(), host.delivery("other"))
    async with host.kept():
        await until(lambda: host.shown("other") != "")  # one that cannot be holds up no other
        assert "not of handsel, and is left alone" in host.standing().line()
        assert (host.tmp_path / "tls" / "mine").read_text() == "x"
        (host.tmp_path / "tls").rename(host.tmp_path / "moved")
        await until(lambda: host.shown() != "" and host.standing().line() == "")


async def test_files_that_somebody_removes_come_back(host):
    host.want(host.delivery(reload=host.note()))
    async with host.kept():
        await until(lambda: host.shown() != "")
        (host.tmp_path / "tls" / "cert.pem").unlink()
        await until(lambda: host.shown() != "")
        (host.tmp_path / "tls").unlink()
        await until(lambda: host.shown() != "")
    assert host.told == 0


async def test_what_nobody_wants_any_more_goes_also_when_that_was_said_while_we_were_away(host):
    host.want(host.delivery(), host.delivery("other"))
    async with host.kept():
        await until(lambda: host.shown() != "" and host.shown("other") != "")
        host.want(host.delivery())
        await until(lambda: host.there.is_gone("web/other"))
        assert host.shown() != ""
    host.restart()
    host.want()
    async with host.kept():
        await until(lambda: host.there.is_gone("web/tls"))
    assert {each.name for each in host.tmp_path.iterdir()} == {"state"}
    assert {each.name for each in (host.tmp_path / "state" / "deliveries").iterdir()} == {"mark.key"}


async def test_another_folder_takes_the_place_of_the_first(host):
    host.want(host.delivery())
    async with host.kept():
        await until(lambda: host.shown() != "")
        host.want(replace(host.delivery(), folder=str(host.tmp_path / "new")))
        await until(lambda: host.shown("new") != "")
        await until(lambda: not list(host.tmp_path.glob("*tls*")))


async def test_before_there_is_a_certificate_it_waits(host):
    pair = host.web.key_pair
    host.web = replace(host.web, key_pair=None)
    host.want(host.delivery(), host.delivery("roots", (Content("ca.pem", "roots"),)))
    async with host.kept():
        await until((host.tmp_path / "roots" / "ca.pem").exists)
        assert "no certificate yet" in host.standing().line()
        host.web = replace(host.web, key_pair=pair)
        host.there.wake()
        await until(lambda: host.shown() != "")


async def test_a_password_may_come_from_a_file_and_its_change_is_followed(host):
    password = host.tmp_path / "secret"
    password.write_text("first\n")
    password.chmod(0o600)
    host.want(replace(host.delivery(contents=STORE[:1], reload=host.note()), password_file=str(password)))
    async with host.kept():
        await until((host.tmp_path / "tls" / "web.p12").exists)
        password.write_text("second\n")
        await until(lambda: host.told == 1)
        password.chmod(0o644)
        await until(lambda: "can be read by others" in host.standing().line())


def _wish(folder: Path, name: str = "own", **more: object) -> dict[str, object]:
    contents = {"key.pem": "key", "cert.pem": "certificate"}
    return {"service": "web", "name": name, "delivery": {"folder": str(folder), "contents": contents, **more}}


async def test_what_is_asked_for_here_is_there_at_once_and_after_a_restart(host):
    standing = await host.there.ask(_wish(host.tmp_path / "own"), host.held, dry_run=False)
    assert (standing.line(), standing.wanted.local) == ("", True)
    assert host.shown("own") != ""
    host.restart()
    async with host.kept():
        leaf = host.rotate()
        await until(lambda: host.shown("own").startswith(leaf))
    for which in ("web/own", "own", str(host.tmp_path / "own")):
        assert (await host.there.withdraw(which, host.held, dry_run=True)).id == "web/own"
    assert host.shown("own") != ""
    await host.there.withdraw("own", host.held, dry_run=False)
    assert not (host.tmp_path / "own").is_symlink()
    host.restart()
    async with host.kept():
        await asyncio.sleep(0.3)
    assert not (host.tmp_path / "own").is_symlink()


async def test_asked_for_again_it_is_changed(host):
    await host.there.ask(_wish(host.tmp_path / "own"), host.held, dry_run=False)
    await host.there.ask(_wish(host.tmp_path / "own", mode="0640"), host.held, dry_run=False)
    assert (host.tmp_path / "own" / "key.pem").stat().st_mode & 0o777 == 0o640


async def test_what_cannot_be_is_refused_and_not_kept(host):
    host.want(host.delivery())
    (host.tmp_path / "mine").mkdir()
    (host.tmp_path / "mine" / "x").touch()
    await host.there.ask(_wish(host.tmp_path / "own"), host.held, dry_run=False)
    refused: list[tuple[dict[str, object], type[HandselError], str]] = [
        ({**_wish(host.tmp_path / "a"), "service": "shop"}, UsageError, "no service 'shop' on this host"),
        (_wish(host.tmp_path / "a", "tls"), UsageError, "of the mesh file already"),
        (_wish(host.tmp_path / "a", "own"), UsageError, "is kept in"),
        (_wish(host.tmp_path / "tls"  / "in", "a"), UsageError, "of the delivery web/tls"),
        (_wish(host.tmp_path / "own", "a"), UsageError, "of the delivery web/own"),
        (_wish(host.tmp_path / "mine", "a"), StateError, "not of handsel"),
        (_wish(host.tmp_path / "a", "a", owner="nobody-of-this-name"), StateError, "there is no user"),
    ]  # fmt: skip
    for wish, kind, text in refused:
        with pytest.raises(kind, match=text):
            await host.there.ask(wish, host.held, dry_run=False)
    with pytest.raises(UsageError, match="no deliveries of this host"):
        await host.there.withdraw("web/tls", host.held, dry_run=False)  # the mesh file's to end
    host.restart()
    async with host.kept():
        await until(lambda: host.shown() != "")
        await asyncio.sleep(0.2)
        assert host.there.standings.keys() == {"web/tls", "web/own"}
    assert {each.name for each in host.tmp_path.iterdir() if not each.name.startswith(".")} == {
        "state",
        "mine",
        "tls",
        "own",
    }


async def test_a_dry_run_changes_nothing(host):
    await host.there.ask(_wish(host.tmp_path / "own"), host.held, dry_run=True)
    assert {each.name for each in host.tmp_path.iterdir()} == {"state"}
    host.restart()
    assert host.there.standings == {}


async def test_two_services_that_want_one_folder_do_not_take_it_from_each_other(host, authority):
    shop = Workload(replace(assigned("shop"), deliveries=(host.delivery(),)), key_pair=authority.pair(identity("shop")))
    host.want(host.delivery())
    held = replace(host.held, workloads={"web": host.web, "shop": shop})
    task = asyncio.create_task(host.there.keep(lambda: held))
    await until(lambda: "web/tls" in host.there.standings and "shop/tls" in host.there.standings)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert host.standing("web/tls").line() == ""
    assert "is of the delivery web/tls" in host.standing("shop/tls").line()
