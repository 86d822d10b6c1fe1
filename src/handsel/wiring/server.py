"""The server, put together: authority, compiled configuration, doors."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Collection, Coroutine
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import structlog

from handsel import __version__, settings
from handsel.authority import service as authority
from handsel.authority.adapters import bundle_http, jwt_http
from handsel.authority.adapters.acme_http.calls import PREFIX as ACME_PREFIX
from handsel.authority.adapters.acme_http.door import AcmeDoor
from handsel.authority.adapters.acme_tables import AcmeObjects
from handsel.authority.adapters.administration_tables import Administrators
from handsel.authority.adapters.agents_http import AgentsDoor
from handsel.authority.adapters.attest_http import JoinDoor
from handsel.authority.adapters.attest_tables import Registry
from handsel.authority.adapters.issuing import Issuing
from handsel.authority.adapters.jwks import TrustSources
from handsel.authority.adapters.lint import Linter, ProfileLint
from handsel.authority.adapters.probes import Probes
from handsel.authority.adapters.search_tables import Search
from handsel.authority.adapters.tables import Directory
from handsel.authority.model import ALL_SERVICES, UNBOUND, Domain, Host, Issuers, TicketBounds
from handsel.authority.profile import Lifetimes, profiles
from handsel.authority.status_places import StatusPlaces
from handsel.door.adapters.uvicorn_tls import DoorServer, DoorTls, listen_tcp, listen_unix
from handsel.door.asgi import Door, Request, Response, Routes, Stream
from handsel.errors import HandselError, PortInUse, UsageError
from handsel.link.messages import PREFIX, Bundle, Signing
from handsel.link.report import Report
from handsel.link.ticket import SECRET_BYTES, TicketText
from handsel.model.authority import Profile
from handsel.model.graph import Mesh
from handsel.pki.secret import Secret
from handsel.store.adapters.files import hold_lock, make_folder
from handsel.telemetry.adapters.prometheus import Scrape
from handsel.telemetry.model import Measured
from handsel.wiring import collector
from handsel.wiring import validation as va
from handsel.wiring.admin import acme as admin_acme
from handsel.wiring.admin import administrators as admin_people
from handsel.wiring.admin import apply as admin_apply
from handsel.wiring.admin import certificates as admin_certificates
from handsel.wiring.admin import federation as admin_federation
from handsel.wiring.admin import journal as admin_journal
from handsel.wiring.admin import mesh as admin_mesh
from handsel.wiring.admin import policy as admin_policy
from handsel.wiring.admin import registration as admin_registration
from handsel.wiring.admin import revocation as admin_revocation
from handsel.wiring.admin import rotation as admin_rotation
from handsel.wiring.admin import secrets as admin_secrets
from handsel.wiring.admin import ssh as admin_ssh
from handsel.wiring.admin.acts import LOCAL, Acts, mount, on_local_socket
from handsel.wiring.admin.administrators import by_certificate
from handsel.wiring.admin.mesh import Seen
from handsel.wiring.authority_keys import key_folder, open_authorities
from handsel.wiring.configuration import Configuration, Given
from handsel.wiring.federation import Around, Bundles
from handsel.wiring.jwt import JwtAuthority, key_store
from handsel.wiring.leader import Leader, sweep
from handsel.wiring.ledger import LedgerKeeper
from handsel.wiring.own_certificate import EVERYWHERE, OwnCertificate, own_name
from handsel.wiring.publishing import Publishing, Told
from handsel.wiring.rotation import Rotations, Surroundings
from handsel.wiring.secrets import LARGER, Secrets
from handsel.wiring.seeing import Around as SeenAround
from handsel.wiring.seeing import Seeing
from handsel.wiring.server_folder import ServerFolder
from handsel.wiring.server_status import measure
from handsel.wiring.storage import Storage

_log = structlog.get_logger("handsel.server")
_SHORTEST_TICKET, _LONGEST_TICKET = timedelta(seconds=1), timedelta(days=30)


class Server:
    """The server, from `start` to `stop`.

    `given`: where `mesh` was read from, to which people may apply more while it runs.
    `host`, `port`: where the HTTPS door opens. The ports of the doors in `may_move` nobody wrote down: one that is in
    use is replaced by a free one, and `moved` says so.
    """

    def __init__(
        self, mesh: Mesh, state: Path, runtime: Path, *, host: str = "127.0.0.1", port: int = settings.API_PORT,
        metrics_port: int = settings.METRICS_PORT, status_port: int = settings.STATUS_PORT,
        may_move: Collection[str] = (),
        storage: Storage | None = None, key_password_file: Path | None = None, given: Given | None = None,
    ) -> None:  # fmt: skip
        self.mesh = mesh
        self._given = given or Given()
        self._domain: tuple[Mesh, Domain] | None = None
        self.folder = ServerFolder(state / "server")
        self._runtime = runtime
        self._host = host
        self._port = port
        self._metrics_port = metrics_port
        self._status_port = status_port
        self._may_move = may_move
        self._storage = storage or Storage()
        self._key_password_file = key_password_file
        self._held = contextlib.ExitStack()
        self._doors: list[DoorServer] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.moved: list[str] = []
        self.made_authority = False

    async def start(self) -> None:
        """Open the state, settle what a crash left, then open the doors."""
        collector.calm()
        make_folder(self.folder.root)
        for folder in (self._runtime.parent, self._runtime):
            make_folder(folder, passable=True)
        self._held.enter_context(hold_lock(self.folder.lock, "server"))
        self.store = self._storage.open(self.folder.root)  # new tables' adapters: see `wiring.storage.APPLIERS`
        self._held.callback(self.store.close)
        self.configuration = Configuration(self._given, self.store, self.mesh, self._take_mesh)
        await self.configuration.load()
        self.mesh = self.configuration.mesh
        turn = self._storage.turn()
        self._held.callback(turn.close)
        self.directory = Directory(self.store)
        self.keys = key_folder(self.folder.authority, self.mesh.authority, self._key_password_file)
        opened = await open_authorities(
            self.keys, self.store, self.mesh.trust_domain, self.mesh.authority,
            unused=await self.directory.is_empty(), now=_now(),
        )  # fmt: skip
        self.issuers, self.made_authority = opened.issuers, opened.made
        for difference in opened.differences:
            _log.warning("a CA is not what the mesh file says", difference=difference)
        self._compose()
        await self._ledger.start()
        await self._open_validation()
        if not self.store.read_only:
            await self.jwt.start()
        await self.bundles.start()
        await self.lint_profiles()
        await self.publishing.load()
        self._nonces = await self._storage.nonces(self.store)
        if not self.store.read_only:
            await self.store.commit(authority.settle(await self.directory.unfinished(), now=_now()).writes)
        await self._open_doors()
        turn.close()
        self._run(self.publishing.follow_others, self.bundles.listen, self.configuration.follow)
        if self.store.read_only:
            return
        await self._acme.recover()
        await self.publishing.compile()
        self._run(
            self._lead, self._own.keep, self._rotations.keep, self._rotations.listen, self._ledger.keep, self.jwt.keep,
            self.bundles.keep, self.secrets.keep, self.configuration.watch, self.seeing.alerting.keep,
        )  # fmt: skip

    def _run(self, *loops: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do these for as long as the server lives."""
        self._tasks += [asyncio.create_task(loop()) for loop in loops]

    def _compose(self) -> None:
        """The parts of the server, which find each other here. Nothing is asked or begun yet."""
        self.administrators = Administrators(self.store)
        self._ledger = LedgerKeeper(self.store, self.mesh.trust_domain, self.folder.authority)
        self._linter = Linter()
        self.profile_lint = ProfileLint(self.folder.lint, self._linter)
        self.issuing = Issuing(self.store, lambda: self.issuers, self._linter)
        self.leader = Leader(self.store)
        self.publishing = Publishing(
            self.store, self.directory, self.leader,
            Told(lambda: self.mesh, self._bundle, lambda: self.validation.withdrawn),
        )  # fmt: skip
        self.secrets = Secrets(
            self.store, self.directory, lambda: self.mesh, self.folder.authority,
            lambda request: self._agents.host(request), self.publishing.compile,  # noqa: PLW0108  # it comes later
        )  # fmt: skip
        self.publishing.beside = self.secrets.publications
        self.secrets.uses = self.publishing.units_used
        self.seeing = Seeing(
            SeenAround(
                lambda: self.mesh, lambda: self.publishing.places, lambda: tuple(self.issuers.by_name.values()),
                self.directory.hosts, self.publishing.versions,
            ),
            self.leader,
        )  # fmt: skip
        self._rotations = Rotations(
            self.store, self.keys, self.leader,
            Surroundings(
                self.mesh.trust_domain, lambda: self.mesh.authority, lambda: self.issuers, self._bundle,
                lambda: self.publishing.places, self._take_issuers,
            ),
        )  # fmt: skip
        self.jwt = JwtAuthority(
            self.store, key_store(self.folder.authority, self.mesh.authority, self._key_password_file), self.leader,
            self.domain, lambda: self.mesh.spiffe,
        )  # fmt: skip
        self.bundles = Bundles(
            self.store, self.leader, Around(lambda: self.mesh, lambda: self.issuers.roots, self._tell_hosts)
        )

    async def _open_validation(self) -> None:
        """Before anything is signed: certificates say where their status is."""
        self._status_listening = self._listen("status", self._host, self._status_port)
        self._held.callback(self._status_listening.close)
        self._status_port = self._status_listening.getsockname()[1]
        authority_of = va.Authority(lambda: self.issuers, lambda: self.status_places, lambda: self.mesh.authority.crl)
        self.validation = va.Validation(
            self.store, self.leader, authority_of, self.folder.crl, self.folder.authority / "ocsp", self._mesh_crl_made
        )
        await self.validation.start()
        self._run(self.validation.listen, self.validation.keep)

    async def _take_mesh(self, mesh: Mesh) -> None:
        """Another mesh counts from now on. Raises `ProfileRefused` when its profiles break a standard."""
        before, self.mesh = self.mesh, mesh
        try:
            if mesh.authority.profiles != before.authority.profiles:
                await self.lint_profiles()
        except HandselError:
            self.mesh = before
            raise
        await self.publishing.compile()

    async def _take_issuers(self, issuers: Issuers) -> None:
        """Others sign from now on: the door shows it, and the agents are told whom to believe."""
        taken_over = issuers.mesh.certificate != self.issuers.mesh.certificate
        self.issuers = issuers
        self._tls.trust(issuers.roots)
        await self.validation.renew()
        if taken_over:
            await self._own.make()
        self.bundles.poke()
        await self.publishing.compile()

    def _bundle(self) -> Bundle:
        mesh, since = self.issuers.mesh.certificate, self.issuers.mesh_since
        signing = Signing(mesh.key_id, since) if mesh.key_id and since else None
        return Bundle(self.issuers.roots, self.validation.mesh_crls, signing, *self.bundles.told())

    async def _mesh_crl_made(self) -> None:
        await self._tell_hosts()

    async def _tell_hosts(self) -> None:
        if self.opened and not self.store.read_only:
            await self.publishing.compile()

    async def stop(self) -> None:
        """End the watches first, then the doors, then the store."""
        if hasattr(self, "publishing"):
            self.publishing.watches.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(door.stop() for door in self._doors))
        if hasattr(self, "_linter"):
            await self._linter.stop()
        if self.opened:
            await self._acme.stop()
            if not self.store.read_only:
                await self._ledger.sign()
        if self.opened:
            self.admin_socket.unlink(missing_ok=True)
        self._held.close()

    @property
    def opened(self) -> bool:
        """Whether the doors were opened: before that, the state may be another server's."""
        return bool(self._doors)

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"https://{host}:{self._port}"

    @property
    def status_places(self) -> StatusPlaces:
        """Where readers find OCSP and CRLs: as it was written, or at this server's own door for them."""
        host = own_name() if self._host in EVERYWHERE else self._host
        bracketed = f"[{host}]" if ":" in host else host
        url = self.mesh.authority.status_url or f"http://{bracketed}:{self._status_port}"
        return StatusPlaces(url, self.mesh.authority.crl.shards)

    @property
    def admin_socket(self) -> Path:
        return self._runtime / "admin.sock"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self._metrics_port}/metrics"

    def domain(self) -> Domain:
        """What the authority must know of the mesh as it is now; kept until that is another one."""
        if self._domain is None or self._domain[0] is not self.mesh:
            self._domain = (self.mesh, self._make_domain())
        return self._domain[1]

    def _make_domain(self) -> Domain:
        identities = {name: service.identity for name, service in self.mesh.members.items()}
        return Domain(
            self.mesh.trust_domain,
            identities,
            profiles(Lifetimes(leaf=self.mesh.leaf_lifetime), self.mesh.authority.profiles),
            self.mesh.authority.policy,
            self.status_places,
        )

    async def lint_profiles(self) -> None:
        """Look at the written profiles before anything is signed by them, and at handsel's own beside the start.

        Call it again when profiles changed. Raises `ProfileRefused`.
        """
        found = self.domain().profiles.by_name
        written = [profile for name, profile in found.items() if name in self.mesh.authority.profiles]
        await self.profile_lint.load(written, self.issuers, self.domain(), now=_now())
        others = [profile for profile in found.values() if profile not in written]
        self._tasks.append(asyncio.create_task(self._lint_own(others)))

    async def _lint_own(self, profiles: list[Profile]) -> None:
        try:
            await self.profile_lint.load(profiles, self.issuers, self.domain(), now=_now())
        except HandselError as error:
            _log.error("a profile of handsel's own breaks a standard", problem=str(error))
        if not any(each.lint_leaves for each in self.mesh.authority.profiles.values()):
            await self._linter.stop()  # it holds some 67 MB, and nobody needs it until profiles change

    async def make_ticket(
        self, services: tuple[str, ...], lifetime: timedelta, *, by: str = LOCAL, bounds: TicketBounds = UNBOUND
    ) -> str:
        """A join ticket, as the line that a person copies. Raises `UsageError` for a service that is not there."""
        unknown = [name for name in services if name not in self.mesh.members and services != ALL_SERVICES]
        if unknown:
            raise UsageError(
                f"there is no service {unknown[0]!r} in the mesh", next_step=f"known: {', '.join(self.mesh.members)}"
            )
        if not _SHORTEST_TICKET <= lifetime <= _LONGEST_TICKET:
            raise UsageError("a ticket can be used for at least a second and at most 30 days")
        secret = Secret(secrets.token_bytes(SECRET_BYTES))
        outcome = authority.make_ticket(
            services, lifetime, secret, ticket_id=secrets.token_hex(8), now=_now(), by=by, bounds=bounds
        )
        await self.store.commit(outcome.writes)
        ticket = TicketText(
            self.url, str(self.mesh.trust_domain), outcome.answer.ticket_id, secret, self.keys.roots.pins()
        )
        return ticket.encode()

    # Doors

    async def _open_doors(self) -> None:
        listening = self._listen("api", self._host, self._port)
        self._port = listening.getsockname()[1]
        self._tls = DoorTls(self.issuers.roots)
        self._own = OwnCertificate(
            self.issuing, self.domain, self._host, self._tls, self.folder.own_chain, self.folder.own_key
        )
        if self.store.read_only:
            self._own.find()
        else:
            await self._own.make()
        agents = AgentsDoor(self.issuing, self.directory, self.domain, self.validation.is_revoked)
        self._agents = agents
        joining = JoinDoor(
            self.store, self.issuing, self.directory, Registry(self.store), self._nonces, TrustSources(), self.domain,
            lambda: self.mesh.authority, lambda: self._own.shown, self._host_joined,
        )  # fmt: skip
        self._acme_objects = AcmeObjects(self.store)
        self._acme = AcmeDoor(
            self.store, self._acme_objects, self.directory, self.issuing, self._nonces, self.domain,
            lambda: self.mesh.authority.acme, Probes(lambda: self.mesh.authority.acme.validation),
            lambda leaf: self.issuers.chains(leaf), _log_bug,  # noqa: PLW0108  # the issuers of that moment
        )  # fmt: skip
        health: Routes = {("GET", "/healthz"): _ok, ("GET", "/readyz"): self._ready}
        who_asks = by_certificate(self.administrators, self.domain, self.validation.is_revoked)
        api: Routes = {
            **health,
            **agents.routes(),
            **jwt_http.routes(agents.host, self.jwt.issue),
            **bundle_http.routes(lambda: self.bundles.own),
            **joining.routes(),
            ("*", ACME_PREFIX): self._acme.handle,
            **mount(self._acts(), who_asks, "/admin"),
            **self.secrets.routes(),
            ("POST", f"{PREFIX}/report"): self._take_report,
            ("GET", f"{PREFIX}/watch"): self._watch,
            ("POST", f"{PREFIX}/ocsp"): self.validation.answer,
        }
        admin: Routes = {**health, **mount(self._acts(), on_local_socket)}
        scrape = Scrape(self._measure, __version__)
        metrics: Routes = {**health, ("GET", "/metrics"): scrape.handler()}
        measuring = self._listen("metrics", "127.0.0.1", self._metrics_port)
        self._metrics_port = measuring.getsockname()[1]
        larger = LARGER | admin_apply.LARGER
        self._doors = [
            DoorServer(Door(api, on_bug=_log_bug, larger=larger), listening, self._tls.context),
            DoorServer(Door(admin, on_bug=_log_bug, larger=larger), listen_unix(self.admin_socket), None),
            DoorServer(Door(metrics, on_bug=_log_bug), measuring, None),
            DoorServer(Door(self.validation.routes(), on_bug=_log_bug), self._status_listening, None),
        ]
        for door in self._doors:
            await door.start()

    def _acts(self) -> Acts:
        """All that people may ask of this server, see `wiring.admin`."""

        def see() -> Seen:
            return Seen(
                self.mesh, self.publishing.places, self.issuers, self.url, self.metrics_url, self.profile_lint.summary
            )

        return {
            **admin_mesh.acts(see, self.directory, self._notes),
            **self.seeing.acts(),
            **admin_secrets.acts(self.secrets),
            **admin_apply.acts(self.configuration, lambda: self.publishing.places),
            **admin_registration.acts(self.store, self.directory, self.make_ticket, self._ban),
            **admin_acme.acts(self.store, self._acme_objects, self.domain),
            **admin_certificates.acts(Search(self.store), self.issuing, self.domain),
            **admin_revocation.acts(
                self.store,
                self.directory,
                self.validation.read,
                self.validation.newest,
                lambda: self.validation.build(force=True),
            ),
            **admin_journal.acts(
                self.store, self.mesh.trust_domain, lambda: self._ledger.public_key, self._ledger.sign
            ),
            **admin_policy.acts(self.domain, lambda: self.issuers, self.profile_lint.verdicts),
            **admin_rotation.acts(self._rotations),
            **admin_ssh.acts(self.store, self.keys.keys),
            **admin_federation.acts(self.bundles),
            **admin_people.acts(self.store, self.administrators, self.issuing, self.domain),
        }

    async def _notes(self) -> list[str]:
        return [*self.configuration.problem, *await self.secrets.notes(), *await self.seeing.notes()]

    async def _ban(self, agent_id: str) -> None:
        """An agent is not listened to any more, and what it had is revoked."""
        self.publishing.watches.close(agent_id)
        await self.validation.read()

    async def _lead(self) -> None:
        async with self.leader.asking():
            await sweep(self.store, self.directory, self.leader, self._acme.recover)

    def _listen(self, door: str, host: str, port: int) -> socket.socket:
        try:
            return listen_tcp(host, port)
        except PortInUse:
            if door not in self._may_move:
                raise
            listening = listen_tcp(host, 0)
            self.moved.append(f"port {port} is in use, this door is at {listening.getsockname()[1]} instead")
            return listening

    def _host_joined(self, host: Host) -> None:
        _log.info("host joined", agent=host.agent_id, name=host.name)
        self._tasks.append(asyncio.get_running_loop().create_task(self.publishing.compile()))

    async def _take_report(self, request: Request) -> Response:
        host = await self._agents.host(request)
        report = Report.decode(request.body)
        self.seeing.take(host, report.edges)
        await self.publishing.take_report(host, report)
        return Response(200)

    async def _watch(self, request: Request) -> Stream:
        host = await self._agents.host(request)
        since = request.query.get("since", "0")
        frames = self.publishing.watches.frames(host.agent_id, int(since) if since.isdecimal() else 0)
        return Stream(self.seeing.following(host.agent_id, frames))

    async def _ready(self, _request: Request) -> Response:
        """Whether requests can be served: a server whose database is away should get none."""
        try:
            await self.directory.is_empty()
        except HandselError as error:
            return Response(503, f"{error.code} {error}\n".encode())
        return Response(200, b"ok\n")

    async def _measure(self) -> Measured:
        return measure(
            self.mesh, self.publishing.places, self.issuers.mesh, self._own.certificate,
            await self.directory.hosts(), await self.directory.issued_count(), self.seeing.alerts,
        )  # fmt: skip


async def _ok(_request: Request) -> Response:
    # The time, since our doors send no such header: `handsel doctor` compares it with its host's.
    return Response(200, b"ok\n", headers=(("date", formatdate(usegmt=True)),))


def _log_bug(error: Exception) -> None:
    _log.error("a handler failed", exc_info=error)


def _now() -> datetime:
    return datetime.now(UTC)
