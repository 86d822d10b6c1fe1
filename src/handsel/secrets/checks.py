"""What a value of a kind must be. Nothing of a value gets into an error, beyond the words of the readers of stores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from handsel.errors import HandselError, SecretRefused, StorePasswordWrong
from handsel.model.context import Contexts, Password, TlsContext
from handsel.model.secret import group_of
from handsel.pki import keystore
from handsel.pki.certificate import UNREADABLE, Certificate, parse_pem
from handsel.pki.inspect import printable
from handsel.pki.keystore import Passwords, Store
from handsel.pki.secret import Secret
from handsel.secrets.model import LARGEST, Kind


@dataclass(frozen=True)
class Found:
    """What a value says of itself. `ends`: when it is of no use any more by its own word."""

    facts: str
    ends: datetime | None = None


@dataclass(frozen=True)
class Beside:
    """What a check may look at: the password of a store, the mesh's contexts, the secrets that there are."""

    password: Secret | None
    contexts: Contexts
    names: Collection[str]


def check(name: str, kind: Kind, value: Secret, beside: Beside) -> Found:
    """Raises `SecretRefused`, or the error of a key store, with the secret's name."""
    content = value.reveal()
    if not content:
        raise SecretRefused(f"{name} would be empty")
    if len(content) > LARGEST:
        raise SecretRefused(f"{name} has {len(content)} bytes, and a secret has at most {LARGEST >> 20} MiB")
    return _CHECKS[kind](name, content, beside)


def _opaque(_name: str, _content: bytes, _beside: Beside) -> Found:
    return Found("")


def _password(name: str, content: bytes, _beside: Beside) -> Found:
    if b"\n" in content or b"\r" in content or b"\0" in content:
        raise SecretRefused(f"{name} is a password, which is one line", next_step="or put it with --kind opaque")
    return Found("")


def _key_store(name: str, content: bytes, beside: Beside) -> Found:
    store = _read(name, content, beside)
    opened = [each for each in store.keys if each.key is not None and each.key.handle is not None]
    if not opened:
        locked = next((each.locked for each in store.keys if each.locked), "")
        raise SecretRefused(
            f"{name}: no private key in it can be opened{locked and ': '}{locked}",
            next_step=_GIVE_PASSWORD if locked else "",
        )
    leaves = [each.certificate for key in opened for each in key.chain[:1]]
    ends = [each.not_after for each in leaves if each is not None]
    aliases = printable(", ".join(each.alias for each in opened if each.alias)[:200])
    until = f", certificate until {min(ends):%Y-%m-%d}" if ends else ""
    return Found(f"{store.kind}, keys: {aliases or len(opened)}{until}")


def _trust_store(name: str, content: bytes, beside: Beside) -> Found:
    store = _read(name, content, beside)
    if not store.trusted:
        raise SecretRefused(f"{name} trusts nobody: there is no certificate by itself in it")
    return Found(f"{store.kind}, {len(store.trusted)} certificates")


def _read(name: str, content: bytes, beside: Beside) -> Store:
    try:
        return keystore.read(content, Passwords(beside.password))
    except StorePasswordWrong as error:
        raise StorePasswordWrong(f"{name}: {error}", next_step=_GIVE_PASSWORD) from None
    except HandselError as error:
        raise type(error)(f"{name}: {error}", next_step=error.next_step) from None


_GIVE_PASSWORD = "say where its password is: --password-secret NAME, or --password-file FILE"  # noqa: S105  # no password


def _certificate(name: str, content: bytes, _beside: Beside) -> Found:
    try:
        leaf = parse_pem(content)[0] if b"-----BEGIN" in content else Certificate(content)
        subject = printable(leaf.parsed.subject.rfc4514_string() or ", ".join([*leaf.uri_names, *leaf.dns_names]))
    except (ValueError, *UNREADABLE) as error:
        raise SecretRefused(f"{name} is no certificate, in PEM or DER") from error
    return Found(f"{subject[:200]}, serial {leaf.serial}", leaf.not_after)


def _crl(name: str, content: bytes, _beside: Beside) -> Found:
    load = x509.load_pem_x509_crl if b"-----BEGIN" in content else x509.load_der_x509_crl
    try:
        found = load(content)
        issuer, following = printable(found.issuer.rfc4514_string()[:200]), found.next_update_utc
    except (ValueError, *UNREADABLE) as error:
        raise SecretRefused(f"{name} is no revocation list, in PEM or DER") from error
    return Found(f"of {issuer}, the next one by {following:%Y-%m-%d %H:%M} UTC" if following else f"of {issuer}")


def _context(name: str, content: bytes, beside: Beside) -> Found:
    """The name of a context; what the context takes from secrets is there, in the same group."""
    chosen, group = content.decode(errors="replace").strip(), group_of(name)
    if chosen not in beside.contexts:
        raise SecretRefused(f"{name} names a TLS context that the mesh file does not declare: see its `contexts:`")
    if not group:
        raise SecretRefused(f"{name} is of no group: a context and its parts are put as GROUP/NAME")
    parts = references(beside.contexts[chosen])
    strange = [each for each in parts if group_of(each) != group]
    if strange:
        raise SecretRefused(f"the context {chosen!r} takes {strange[0]}, which is not of the group {group}")
    missing = [each for each in parts if each not in beside.names]
    if missing:
        raise SecretRefused(f"the context {chosen!r} takes {missing[0]}", next_step=f"handsel secret put {missing[0]}")
    return Found(f"{chosen}, with {', '.join(parts) or 'no secret'}"[:300])


def references(context: TlsContext) -> list[str]:
    """The secrets that a context is made of."""
    key, trust = context.key_store, context.trust_store
    said: list[Password | None] = []
    found: list[str] = []
    if key is not None:
        found.append(key.secret)
        said += [key.password, key.key_password]
    if trust is not None:
        found.append(trust.secret)
        said.append(trust.password)
    found += [each.secret for each in said if each is not None]
    return sorted({each for each in found if each})


_CHECKS: Mapping[Kind, Callable[[str, bytes, Beside], Found]] = {
    Kind.OPAQUE: _opaque, Kind.PASSWORD: _password, Kind.KEY_STORE: _key_store, Kind.TRUST_STORE: _trust_store,
    Kind.CERTIFICATE: _certificate, Kind.CRL: _crl, Kind.CONTEXT: _context,
}  # fmt: skip
