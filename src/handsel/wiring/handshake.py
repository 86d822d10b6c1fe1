"""`handsel cert handshake`: what is asked, recorded and judged, put together."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from handsel.diagnose.adapters import chain_trial, group_asked
from handsel.diagnose.adapters.recorder import Offer, Patience, record
from handsel.diagnose.handshake import compare, registry, trust
from handsel.diagnose.handshake.model import End, Trust
from handsel.diagnose.handshake.reading import Facts, facts
from handsel.diagnose.handshake.story import Story, tell
from handsel.errors import ContextRefused, UsageError
from handsel.model.context import KeyStore, TlsContext
from handsel.pki import inspect
from handsel.pki.certificate import Certificate
from handsel.pki.names import SpiffeId, dns_name
from handsel.tls.adapters.files import Reader
from handsel.tls.recipe import Identity
from handsel.wiring.contexts import chosen, read_declared
from handsel.wiring.trust import read_roots

_GROUP_SECONDS = 2.0


@dataclass(frozen=True)
class Asked:
    """What a person wants to see. `server_name` empty: the host; a SPIFFE ID is looked for and not sent.

    `roots` None: the system's. `peers`: names of which the server must have one, instead of its host's.
    `compare`: also without the certificate, even if the server asks for none. `timeout`: of each handshake, in seconds.
    """

    host: str
    port: int
    server_name: str = ""
    identity: Identity | None = None
    roots: tuple[Certificate, ...] | None = None
    roots_name: str = "the machine's roots"
    peers: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ("TLSv1.2", "TLSv1.3")
    alpn: tuple[str, ...] = ()
    compare: bool = False
    timeout: float = 10.0

    @property
    def name(self) -> str:
        """Whom the certificate must be for."""
        return self.server_name or self.host


@dataclass(frozen=True)
class Shown:
    """The handshake, the one without a certificate beside it if there was one, and what else was found out."""

    asked: Asked
    story: Story
    without: Story | None = None
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """In a sentence or two."""
        compared = f"; {compare.in_words(self.without, self.story)}" if self.without else ""
        return self.story.outcome.sentence + compared

    def document(self) -> dict[str, Any]:
        """`kind: Handshake`."""
        story = self.story
        compared = compare.rows(self.without, story) if self.without else []
        return {
            "apiVersion": "handsel/v1",
            "kind": "Handshake",
            "target": f"{self.asked.host}:{self.asked.port}",
            "address": story.recording.address or None,
            "server_name": self.asked.name,
            "ok": story.ok,
            "result": str(story.outcome.result),
            "verdict": self.verdict,
            "fix": story.outcome.fix or None,
            **story.document(),
            "one_way": self.without.document() if self.without else None,
            "comparison": [{"what": what, "one_way": one, "two_way": two} for what, one, two in compared],
            "notes": list(self.notes),
        }


def target(text: str) -> tuple[str, int]:
    """HOST:PORT, or [ADDRESS]:PORT. Raises `UsageError`."""
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare and bare == host) or not (port.isascii() and port.isdecimal()):
        raise UsageError(f"{text!r} is no HOST:PORT", next_step="for example shop.example.com:443, or [::1]:443")
    if not 0 < int(port[:6]) < 1 << 16:
        raise UsageError(f"{text!r}: there is no port {port[:20]}")
    if not _is_address(bare):
        _check_name(bare)
    return bare, int(port)


def check_server_name(name: str) -> str:
    """A DNS name, an address or a SPIFFE ID. Raises `UsageError`."""
    if name.startswith("spiffe:"):
        try:
            return str(SpiffeId.parse(name))
        except ValueError as error:
            raise UsageError(f"--server-name: {error}") from error
    if not _is_address(name):
        _check_name(name)
    return name


def own_identity(certificate: Path, key: Path | None) -> Identity:
    """Key and chain from files. Raises `ContextRefused`, or the error of a store, with the file's name."""
    store = KeyStore(path=str(key or certificate), chain=str(certificate) if key else "")
    identity = Reader().recipe(TlsContext("handshake", key_store=store)).identity
    if identity is None:  # a store that was named always gives one, or raises
        raise ContextRefused(f"{certificate}: there is no key in it")
    return identity


def with_context(asked: Asked, name: str, config: Path) -> Asked:
    """The same as a program would ask that uses this context of a mesh file. Raises what reading it raises."""
    context = chosen(read_declared(config).contexts, name, config)
    recipe = Reader().recipe(context)
    roots = recipe.roots if recipe.roots is not None else asked.roots
    return replace(
        asked, identity=asked.identity or recipe.identity, roots=roots, peers=context.peers, alpn=context.alpn,
        protocols=context.protocols,
        roots_name=f"the roots of the context {name!r}" if recipe.roots is not None else asked.roots_name,
    )  # fmt: skip


def with_roots(asked: Asked, file: Path | None, state: Path | None) -> Asked:
    """The same with other roots: of a PEM file, else of a mesh's state folder. Raises `UsageError`, `StateError`."""
    roots = read_roots(file, state)
    called = f"the roots in {file}" if file else f"the roots of {state}"
    if not roots:
        raise UsageError(f"there are no roots in {file or state}")
    return replace(asked, roots=roots, roots_name=called)


def show(asked: Asked) -> Shown:
    """Make the handshakes, and judge. Raises `UsageError` for a certificate that OpenSSL does not take."""
    story = _story(asked, asked.identity)
    without = None
    if asked.identity is not None and (asked.compare or story.facts.asked) and story.recording.connected is not None:
        without = _story(asked, None)
    return Shown(asked, story, without, tuple(_notes(asked, story)))


def _story(asked: Asked, identity: Identity | None) -> Story:
    sni = "" if asked.name.startswith("spiffe:") else asked.name
    offer = Offer(sni, identity, asked.protocols, asked.alpn)
    try:
        recording = record(asked.host, asked.port, offer, Patience(asked.timeout))
    except ssl.SSLError as error:
        raise UsageError(f"OpenSSL does not take the client certificate: {error.reason or error}") from error
    found, now = facts(recording), datetime.now(UTC)
    return tell(recording, found, _judged(found, asked, now), now)


def _judged(found: Facts, asked: Asked, now: datetime) -> Trust | None:
    """Whether the chain that came can be believed: by OpenSSL, with what we know about why not."""
    if found.chain_problem:
        return trust.unreadable(found.chain_problem, asked.roots_name)
    if not found.chain:
        return None
    trial = chain_trial.judge(found.chain, asked.roots)
    if trial.code:
        return trust.judged(found.chain, trial.code, trial.message, asked.roots_name, now)
    leaf, wanted = found.chain[0], asked.peers or (asked.name,)
    if not any(_is_named(found.chain, each, asked.roots) for each in wanted):
        return trust.misnamed(leaf, " or ".join(wanted), trial.path, asked.roots_name)
    return trust.holds(trial.path, asked.roots_name)


def _is_named(chain: Sequence[Certificate], name: str, roots: Sequence[Certificate] | None) -> bool:
    if name.startswith("spiffe:"):
        return name in chain[0].uri_names
    return chain_trial.judge(chain, roots, name).code == 0


def _notes(asked: Asked, story: Story) -> list[str]:
    """What a reader should know besides."""
    notes = []
    if story.trust is not None and not story.trust.trusted:
        notes.append("the handshake was done all the same, to show it; no data was sent, and none should be")
    if (
        asked.identity is not None
        and story.recording.end is End.DONE
        and story.recording.whole
        and not story.facts.asked
    ):
        notes.append("a client certificate is at hand, and was not sent: the server did not ask for one")
    if story.trust is not None:
        notes.append("whether a certificate was revoked is not looked at here")
    hybrid = _hybrid(asked, story)
    return [*notes, hybrid] if hybrid else notes


def _hybrid(asked: Asked, story: Story) -> str:
    """Whether the server would exchange keys in a post-quantum way, when this machine's OpenSSL does not offer it."""
    found = story.facts
    wanted, name = registry.X25519MLKEM768, registry.GROUPS[registry.X25519MLKEM768]
    if not found.tls13 or found.offered is None or wanted in found.offered.groups:
        return ""
    host, _, port = story.recording.address.rpartition(":")
    address = (host.removeprefix("[").removesuffix("]"), int(port))
    picked = group_asked.asked(address, wanted, found.first_hello, min(asked.timeout, _GROUP_SECONDS))
    ours = f"the OpenSSL of this machine ({ssl.OPENSSL_VERSION.split()[1]}) does not offer {name}"
    if picked == wanted:
        return f"{ours}; the server takes it from clients that do (hybrid post-quantum; asked in a hello of its own)"
    if picked is None:
        return f"{ours}; what the server would make of it stays open"
    return f"{ours}; the server would not take it from others either (it picks {registry.group_in_words(picked)})"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_name(name: str) -> None:
    try:
        dns_name(name)
    except ValueError as error:
        raise UsageError(inspect.printable(str(error))) from error
