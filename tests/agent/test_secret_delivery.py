"""Secrets on a host: what is wanted comes, what is not wanted any more goes, whole or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handsel.agent import secrets
from handsel.agent.adapters.secret_delivery import SecretDelivery
from handsel.agent.layout import Layout
from handsel.agent.model import Owner
from handsel.errors import Unreachable
from handsel.link.messages import Frame
from handsel.link.secrets import SecretRef, SecretRefs, SecretsRequest, SecretsResponse
from handsel.pki.secret import Secret
from handsel.xds.resources import SECRET
from tests.support import NOBODY, NOW, until

ROOT = os.geteuid() == 0


def ref(name: str, version: str = "1", service: str = "web", **more) -> SecretRef:
    group, _, last = name.rpartition("/")
    return SecretRef(name, version, service, more.pop("file", last), group=group, **more)


class Server:
    """What stands on the other side of the link: it gives `name@version`, unless it is away or refuses."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.away = self.denies = False
        self.refused: dict[str, str] = {}

    async def secrets(self, request: SecretsRequest) -> SecretsResponse | None:
        self.asked += request.wanted
        if self.away:
            raise Unreachable("away")
        if self.denies:
            return None
        values = {key: Secret(f"{key[1]}@{key[2]}".encode()) for key in request.wanted if key[1] not in self.refused}
        return SecretsResponse(values, {key: self.refused[key[1]] for key in request.wanted if key[1] in self.refused})


class Host:
    def __init__(self, folder: Path, server: Server, owner_of: Callable[[str], Owner | None] = lambda _: None) -> None:
        self.layout = Layout(folder / "state", folder / "run")
        for each in (self.layout.state, self.layout.runtime):
            each.mkdir(mode=0o700, exist_ok=True)
        self.server = server
        self.changes = 0
        self.delivery = SecretDelivery(self.layout, owner_of, self._changed)
        self.delivery.start()
        self.task: asyncio.Task[None] | None = None

    def _changed(self) -> None:
        self.changes += 1

    async def __aenter__(self) -> Host:
        self.task = asyncio.create_task(self.delivery.keep(lambda: self.server))
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def tell(self, *refs: SecretRef) -> None:
        self.delivery.take(Frame(1, "secrets", "", SecretRefs(refs).encode()))

    def files(self, service: str = "web") -> dict[str, str]:
        """What a program finds below HANDSEL_SECRETS."""
        folder = self.layout.of(service).secrets
        found = {}
        for each in folder.iterdir() if folder.exists() else ():
            if each.name.startswith("."):
                continue
            found |= {f"{each.name}/{one.name}": one.read_text() for one in each.iterdir()} if each.is_dir() else {}
            found |= {each.name: each.read_text()} if each.is_file() else {}
        return found

    def sds(self, service: str = "web") -> set[str]:
        return {name for kind, name in self.delivery.resources(service) if kind == SECRET}


@pytest.fixture
def server() -> Server:
    return Server()


async def test_a_secret_comes_changes_and_goes(tmp_path, server):
    async with Host(tmp_path, server) as host:
        host.tell(ref("db"), ref("db", service="other"))
        await until(lambda: host.files() == {"db": "db@1"} == host.files("other"))
        path = host.layout.of("web").secrets / "db"
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert host.sds() == {"secret:db"}
        host.tell(ref("db", "2"))
        assert host.files("other") == {}, "at once"
        assert host.files() == {"db": "db@1"}, "until the new one is here"
        await until(lambda: host.files() == {"db": "db@2"})
        host.tell()
        assert host.files() == {}
        assert host.sds() == set()
        assert not path.parent.exists()


async def test_a_group_changes_in_one_step_and_is_whole(tmp_path, server):
    async with Host(tmp_path, server) as host:
        server.refused = {"g/b": "not now"}
        host.tell(ref("g/a"), ref("g/b"))
        await until(lambda: len(server.asked) == 2)
        assert host.files() == {}
        assert "not now" in host.delivery.missing("web")["g/b"]
        server.refused = {}
        host.tell(ref("g/a"), ref("g/b"))
        await until(lambda: host.files() == {"g/a": "g/a@1", "g/b": "g/b@1"})
        seen = set()
        opened = os.open(host.layout.of("web").secrets / "g", os.O_RDONLY)
        host.tell(ref("g/a", "2"), ref("g/b", "2"))
        while host.files() != {"g/a": "g/a@2", "g/b": "g/b@2"}:
            seen.add(tuple(sorted(host.files().values())))
            await asyncio.sleep(0)
        assert seen <= {("g/a@1", "g/b@1")}
        os.close(opened)
        assert (
            len([each for each in (host.layout.of("web").secrets).iterdir() if each.is_dir() and not each.is_symlink()])
            == 1
        )
        host.tell(ref("g/b", "2"))
        assert host.files() == {"g/b": "g/b@2"}, "what is taken out of a group goes at once"


async def test_what_expires_goes_while_the_server_is_away(tmp_path, server):
    async with Host(tmp_path, server) as host:
        soon = datetime.now(UTC) + timedelta(seconds=0.6)
        host.tell(ref("short", expires=soon), ref("long"))
        await until(lambda: len(host.files()) == 2)
        server.away = True
        await until(lambda: host.files() == {"long": "long@1"})
        assert datetime.now(UTC) >= soon
        assert host.sds() == {"secret:long"}


async def test_after_a_restart_with_the_server_away_what_lies_here_is_served(tmp_path, server):
    async with Host(tmp_path, server) as host:
        host.tell(ref("db"), ref("g/a"), ref("g/b"))
        await until(lambda: len(host.files()) == 3)
    server.away = True
    server.asked.clear()
    async with Host(tmp_path, server) as again:
        assert len(again.files()) == 3
        assert again.sds() == {"secret:db", "secret:g/a", "secret:g/b"}
        await asyncio.sleep(0.05)
        assert server.asked == []


async def test_after_a_reboot_it_is_fetched_again(tmp_path, server):
    import shutil

    async with Host(tmp_path, server) as host:
        host.tell(ref("db"))
        await until(lambda: host.files() != {})
    shutil.rmtree(host.layout.runtime)
    assert b"db@1" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    async with Host(tmp_path, server) as again:
        assert again.delivery.whole
        await until(lambda: again.files() == {"db": "db@1"})


async def test_what_a_crash_left_is_swept_and_fetched_anew(tmp_path, server):
    async with Host(tmp_path, server) as host:
        host.tell(ref("db"), ref("g/a"))
        await until(lambda: len(host.files()) == 2)
    folder = host.layout.of("web").secrets
    (folder / "db").unlink()
    (folder / ".old.new").write_text("half")
    (folder / ".g.0123").mkdir()
    (folder / "stray").write_text("whose?")
    server.away = True
    async with Host(tmp_path, server) as again:
        assert again.files() == {"g/a": "g/a@1"}
        assert {each.name for each in folder.iterdir() if not each.is_dir()} == set()
        server.away = False
        await until(lambda: len(again.files()) == 2)


async def test_a_host_that_is_refused_loses_everything_until_it_is_not(tmp_path, server):
    async with Host(tmp_path, server) as host:
        host.tell(ref("db"))
        await until(lambda: host.files() != {})
        server.away = True
        host.delivery.doubt()
        await asyncio.sleep(0.1)
        assert host.files() != {}, "a server that is away takes nothing away"
        server.away, server.denies = False, True
        host.delivery.doubt()
        await until(lambda: host.files() == {} and host.sds() == set())
        server.denies = False
        await until(lambda: host.files() == {"db": "db@1"})


async def test_owner_and_mode_are_as_they_were_said(tmp_path, server):
    if not ROOT:
        pytest.skip("needs root")
    async with Host(tmp_path, server, lambda name: Owner(1234, 2345) if name == "web" else None) as host:
        host.tell(ref("db"), ref("key", owner="nobody", mode=0o400), ref("g/a", mode=0o440), ref("db", service="other"))
        await until(lambda: len(host.files()) == 3 and host.files("other"))
        folder = host.layout.of("web").secrets

        def facts(path: Path) -> tuple[int, int, str]:
            status = path.stat()
            return status.st_uid, status.st_gid, oct(status.st_mode & 0o777)

        assert facts(folder)[1] == 2345
        assert facts(folder / "db") == (0, 2345, "0o640")
        assert facts(folder / "key")[::2] == (NOBODY, "0o400")
        assert facts(folder / "g" / "a") == (0, 2345, "0o440")
        assert facts(host.layout.of("other").secrets) == (0, 0, "0o700")
        assert facts(host.layout.of("other").secrets / "db") == (0, 0, "0o600")


async def test_an_owner_that_the_host_does_not_know_is_said(tmp_path, server):
    async with Host(tmp_path, server) as host:
        host.tell(ref("db", owner="no-such-user"), ref("ok"))
        await until(lambda: host.files() == {"ok": "ok@1"})
        assert "no-such-user" in host.delivery.missing("web")["db"]


async def test_two_secrets_of_one_file_are_not_mixed_up(tmp_path, server):
    async with Host(tmp_path, server) as host:
        host.tell(ref("a", file="same"), ref("b", file="same"), ref("same/x"), ref("c"))
        await until(lambda: host.files() == {"same": "a@1", "c": "c@1"})
        assert set(host.delivery.missing("web")) == {"b", "same/x"}
        host.tell(ref("b", file="same"), ref("a", file="other"))
        await until(lambda: host.files() == {"same": "b@1", "other": "a@1"})


REFS = st.builds(
    lambda name, version, ends: replace(ref(name, version), expires=ends and NOW + timedelta(seconds=ends)),
    st.sampled_from(["g/a", "g/b", "g/c"]), st.sampled_from("12"), st.sampled_from([None, -1, 1]),
)  # fmt: skip
SETS = st.lists(REFS, max_size=3, unique_by=lambda each: each.name)


@given(SETS, SETS, st.sets(st.tuples(st.just("web"), st.sampled_from(["g/a", "g/b", "g/c"]), st.sampled_from("12"))))
def test_only_what_is_wanted_living_and_held_lies_on_a_host(wanted, placed, held):
    wanted = secrets.living(wanted, NOW)
    target = secrets.target(wanted, placed, held, NOW)
    assert {each.name for each in target} <= {each.name for each in wanted}
    assert all(secrets.key_of(each) in held for each in target)
    assert secrets.living(target, NOW) == list(target)
    if wanted and {secrets.key_of(each) for each in wanted} <= held:
        assert target == tuple(wanted)
    else:
        assert set(target) <= set(placed), "nothing new until all of it is here"
