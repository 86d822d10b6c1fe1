"""What the readers share: one context is read from values that remember their places, and everything odd is noted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from handsel.model.context import PROTOCOLS, KeyStore, Password, TrustStore
from handsel.tls.convert import suites
from handsel.tls.convert.model import Note, NoteKind

_KINDS = ("jks", "jceks", "pkcs12", "bcfks", "pem")
_PLACEHOLDER = re.compile(r"[$#!]\{([^{}]*)\}|[#!]\[.*\]", re.DOTALL)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_LONGEST_SHOWN = 60
_LONGEST_ALIAS = 200
_NOW = " and ".join(PROTOCOLS)


@dataclass(frozen=True)
class Said:
    """A value as a file has it, and the line where it stands. It may be a password, so it is never shown."""

    value: str = field(repr=False)
    line: int


@dataclass
class Reading:
    """One context that is being read: gathers the notes."""

    file: str
    context: str
    notes: list[Note] = field(default_factory=list)

    def note(self, kind: NoteKind, said: Said | int, message: str) -> None:
        line = said if isinstance(said, int) else said.line
        self.notes.append(Note(self.file, line, kind, self.context, message))

    def lost(self, said: Said | int, message: str) -> None:
        self.note(NoteKind.LOST, said, message)

    def decide(self, said: Said | int, message: str) -> None:
        self.note(NoteKind.DECIDE, said, message)

    def say(self, said: Said | int, message: str) -> None:
        self.note(NoteKind.SAID, said, message)

    def flag(self, said: Said | None, what: str) -> bool:
        """A boolean. What no file says by itself counts as false, and is noted."""
        if said is None:
            return False
        text = said.value.strip().lower()
        if text not in ("true", "false"):
            self.decide(said, f"{what} is {shown(said.value)}: it is read as false")
        return text == "true"

    def path(self, said: Said, what: str) -> str:
        """A file's path. A placeholder stays as it is."""
        text = said.value.strip()
        for prefix in ("file://", "file:", "classpath:", "optional:"):
            if text.startswith(prefix):
                text = text.removeprefix(prefix)
        if said.value.strip().startswith("classpath:"):
            self.decide(said, f"the {what} {shown(text)} is looked for on the classpath: say where the file is")
            text = text.lstrip("/")
        if is_elsewhere(text):
            self.decide(said, f"the path of the {what} is {shown(text)}: write the path itself")
        return text

    def kind(self, said: Said | None, what: str) -> str:
        """The format of a store; empty when it is not one that handsel names."""
        text = said.value.strip().lower() if said else ""
        text = {"pkcs-12": "pkcs12", "p12": "pkcs12", "pfx": "pkcs12"}.get(text, text)
        if said and text and text not in _KINDS:
            self.lost(said, f"the {what}'s type {shown(said.value)} is not known here: files are told by their bytes")
            return ""
        return text

    def alias(self, said: Said | None) -> str:
        if said is None:
            return ""
        text = said.value.strip()
        if is_elsewhere(text):
            self.decide(said, f"the alias is {shown(text)}: write the alias itself")
        elif len(text) > _LONGEST_ALIAS:
            self.lost(said, f"an alias of {len(text)} characters is too long")
            return ""
        return text

    def password(self, said: Said | None, what: str) -> Password | None:
        """Where a password will be. Its value is never taken over: an environment variable is proposed instead."""
        if said is None:
            return None
        found = _PLACEHOLDER.fullmatch(said.value.strip())
        if found is None:
            variable = self._propose(what)
            self.decide(
                said,
                f"the password of the {what} stands in the file: change it, keep it in a file or a secret, "
                f"or give it as {variable}, as is written now",
            )
            return Password(variable=variable)
        inner = (found[1] or "").strip()
        key, _, default = inner.removeprefix("secure::").removeprefix("env:").partition(":")
        if default:
            self.decide(said, f"a default for the password of the {what} stands in the file: change it, take it out")
            inner = key
        if _VARIABLE.fullmatch(inner):
            return Password(variable=inner)
        variable = _variable(key) or self._propose(what)
        where = "in the secure properties" if inner.startswith("secure::") else "elsewhere"
        self.decide(said, f"the password of the {what} is {where}: give it as {variable}")
        return Password(variable=variable)

    def key_password(self, said: Said | None, store: Said | None) -> Password | None:
        """That of the key, when it is another one than that of the store."""
        if said is None or (store is not None and said.value == store.value):
            return None
        return self.password(said, "key")

    def protocols(self, said: Said | None) -> tuple[str, ...]:
        """Versions in one text, apart by commas. Those that are not safe are dropped."""
        if said is None or said.value.strip().lower() in ("", "default"):
            return PROTOCOLS
        wanted = words(said.value)
        for name in wanted:
            if is_elsewhere(name):
                self.decide(said, f"the protocols are {shown(name)}: write them out; now it is {_NOW}")
            elif name not in PROTOCOLS and name != "SSLv2Hello":
                self.lost(said, f"{shown(name)} is dropped: it cannot be made safe")
        kept = tuple(each for each in PROTOCOLS if each in wanted)
        if not kept and not any(is_elsewhere(name) for name in wanted):
            self.lost(said, f"no protocol of these is left: now it is {_NOW}")
        return kept or PROTOCOLS

    def ciphers(self, said: Said | None, protocols: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The suites of TLS 1.2, and the protocols that are left: suites say that too in Java."""
        if said is None or said.value.strip().lower() in ("", "default"):
            return (), protocols
        old, new, others = suites.sort(words(said.value))
        for name in others:
            if is_elsewhere(name):
                self.decide(said, f"the cipher suites are {shown(name)}: write them out; now it is the good ones")
            else:
                self.lost(said, f"the suite {shown(name)} is dropped: it is weak, or not known here")
        if new and not old and not others and "TLSv1.3" in protocols:
            if "TLSv1.2" in protocols:
                self.say(said, "the suites are of TLS 1.3 only: so are the protocols")
            protocols = ("TLSv1.3",)
        if old and "TLSv1.2" not in protocols:
            self.lost(said, "suites of TLS 1.2 are dropped: the context does not speak it")
            old = ()
        if "TLSv1.3" in protocols and (old or new or others) and set(new) != set(suites.TLS_1_3):
            self.lost(said, "which suites TLS 1.3 may use is not said here: it uses all three of its own")
        return old, protocols

    def _propose(self, what: str) -> str:
        return _variable(f"{self.context}_{what}_password")


def key_store(
    reading: Reading,
    path: Said,
    kind: Said | None,
    password: Said | None,
    key_password: Said | None,
    alias: Said | None,
) -> KeyStore:
    """A store with the own key, in a format of Java's."""
    return KeyStore(
        reading.path(path, "key store"), reading.kind(kind, "key store"), reading.password(password, "key store"),
        reading.key_password(key_password, password), reading.alias(alias),
    )  # fmt: skip


def trust_store(reading: Reading, path: Said, kind: Said | None, password: Said | None) -> TrustStore:
    """A store with roots, in a format of Java's."""
    return TrustStore(
        reading.path(path, "trust store"), reading.kind(kind, "trust store"), reading.password(password, "trust store")
    )


def is_elsewhere(text: str) -> bool:
    """Whether a value, or a part of it, stands somewhere else."""
    return re.search(r"[$#!]\{|[#!]\[", text) is not None


def words(text: str) -> Sequence[str]:
    """The words of a list with commas (or colons or blanks, which no name of a suite or version has)."""
    if is_elsewhere(text):
        return [each.strip() for each in text.split(",") if each.strip()]
    return [each for each in re.split(r"[,:\s]+", text) if each]


def shown(text: str) -> str:
    """A value that is no secret, as a note quotes it: short, and on one line."""
    line = "".join(each if each.isprintable() else "?" for each in text.strip())
    return line if len(line) <= _LONGEST_SHOWN else f"{line[: _LONGEST_SHOWN - 1]}…"


def _variable(key: str) -> str:
    """A name for the environment, made from a property's key."""
    text = re.sub(r"[^A-Za-z0-9]+", "_", key).strip("_").upper()[:90]
    return f"_{text}" if text[:1].isdigit() else text
