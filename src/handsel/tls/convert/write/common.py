"""What the writers share: notes, references to passwords, and stores in a format that the target reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from handsel.model.context import KeyStore, Password, Revocation, TlsContext, TrustStore
from handsel.tls.convert import suites
from handsel.tls.convert.model import Exported, Note, NoteKind, Side

IDENTITY, ROOTS = "HANDSEL_IDENTITY", "HANDSEL_ROOTS"
"""What the agent tells a program: the folder with `identity.key` and `identity.crt`, and the file with the roots."""
MACHINE_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian and its like keep the roots of the machine."""
_PEM = (".pem", ".crt", ".cer", ".cert", ".key")
FEW_SUITES = tuple(each for each in suites.IANA if each.startswith("ECDHE") and ("GCM" in each or "CHACHA" in each))
"""The suites of TLS 1.2 that Go and BoringSSL know."""


@dataclass
class Writing:
    """One context that is being written to `file`: gathers the notes."""

    context: TlsContext
    file: str
    notes: list[Note] = field(default_factory=list)

    def note(self, kind: NoteKind, message: str) -> None:
        found = Note(self.file, 0, kind, self.context.name, message)
        if found not in self.notes:
            self.notes.append(found)

    def lost(self, message: str) -> None:
        self.note(NoteKind.LOST, message)

    def decide(self, message: str) -> None:
        self.note(NoteKind.DECIDE, message)

    def say(self, message: str) -> None:
        self.note(NoteKind.SAID, message)

    def done(self, files: dict[str, str]) -> Exported:
        return Exported(files, tuple(self.notes))

    def sides(self, wanted: tuple[Side, ...]) -> tuple[Side, ...]:
        """The sides that can be written: a server has a key."""
        if Side.SERVER in wanted and self.context.key_store is None:
            self.say("there is no key store, so nothing is written for a server")
            return tuple(each for each in wanted if each is not Side.SERVER)
        return wanted

    def loud(self) -> bool:
        """Whether the context is insecure; then that is said."""
        if self.context.insecure:
            self.decide("INSECURE: nothing is checked. Name whom to believe as trust_store, and take insecure out")
        return self.context.insecure

    def reference(self, password: Password, what: str) -> str:
        """A password as `${NAME}`, for targets that read placeholders."""
        if password.variable:
            return f"${{{password.variable}}}"
        name = variable(f"{self.context.name}_{what}_password")
        self.decide(f"give what is in {password} as {name}")
        return f"${{{name}}}"

    def placeholders(self, store: KeyStore | TrustStore, what: str) -> str:
        """The path of a store in a format that Java reads."""
        if store.authority:
            name = variable(f"{self.context.name}_{what}")
            self.decide(
                f"the agent's files are PEM, which is not read there: convert them, and give the path as {name}"
            )
            return f"${{{name}}}"
        if is_pem(store):
            path = str(PurePosixPath(store.path).with_suffix(".p12"))
            self.decide(f"PEM is not read there: convert {store.path} to {path}")
            return path
        return store.path

    def pem(self, store: KeyStore | TrustStore) -> str:
        """The path of a store as a PEM file, which need not be there yet."""
        if is_pem(store):
            return store.path
        path = str(PurePosixPath(store.path).with_suffix(".pem"))
        if store.kind or PurePosixPath(store.path).suffix in (".p12", ".pfx", ".jks", ".jceks", ".bcfks", ".keystore"):
            self.decide(f"only PEM is read there: convert {store.path} to {path}")
            return path
        self.say(f"{store.path} has to be PEM")
        return store.path

    def jvm_roots(self, sides: tuple[Side, ...]) -> None:
        """Says whom a JVM believes where the context names no file."""
        trust = self.context.trust_store
        if not self.context.insecure and (trust.system if trust else Side.CLIENT in sides):
            self.lost("the machine's roots cannot be said: the JVM believes its own")

    def no_peers(self, what: str = "") -> None:
        if self.context.peers:
            self.lost(f"peers cannot be said{what}: whoever the trust store vouches for is taken")

    def no_alpn(self) -> None:
        if self.context.alpn:
            self.lost("alpn cannot be said")

    def no_revocation(self) -> None:
        if self.context.revocation is not None:
            self.lost("revocation cannot be said: certificates that were taken back are taken")

    def list_of(self, wanted: Revocation) -> str | None:
        """The one file with lists that the target reads."""
        files = [each for each in wanted.crl if "://" not in each]
        for each in wanted.crl:
            if "://" in each:
                self.lost(f"lists are read from files only, not from {each}")
        if len(files) > 1:
            self.lost(f"one file of lists is read: put all lists into {files[0]}")
        return files[0] if files else None

    def few_suites(self) -> tuple[str, ...]:
        """Those of the suites that Go and BoringSSL know."""
        for each in self.context.ciphers:
            if each not in FEW_SUITES:
                self.lost(f"the suite {each} is not known there")
        return tuple(each for each in self.context.ciphers if each in FEW_SUITES)

    def iana_suites(self) -> tuple[str, ...]:
        """The suites by IANA's names, with those of TLS 1.3, which Java would leave out else; empty when unsaid."""
        old = tuple(suites.IANA[each] for each in self.context.ciphers if each in suites.IANA)
        for each in self.context.ciphers:
            if each not in suites.IANA:
                self.lost(f"the suite {each} is not known there")
        if not old:
            return ()
        return (*old, *(suites.TLS_1_3 if "TLSv1.3" in self.context.protocols else ()))


def is_pem(store: KeyStore | TrustStore) -> bool:
    """Whether a store is a PEM file, as far as the context tells."""
    if store.kind:
        return store.kind == "pem"
    return PurePosixPath(store.path).suffix.lower() in _PEM or bool(getattr(store, "chain", ""))


def variable(text: str) -> str:
    """A name for the environment."""
    made = re.sub(r"[^A-Za-z0-9]+", "_", text).upper()
    return f"_{made}" if made[:1].isdigit() else made


def camel(name: str) -> str:
    """A context's name as one word: `orders-api` is `OrdersApi`."""
    made = "".join(part.capitalize() for part in name.split("-"))
    return made if made[:1].isalpha() else f"Context{made}"
