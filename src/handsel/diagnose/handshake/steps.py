"""The steps of a handshake in words: what each message is for, and what stands in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from handsel.diagnose.handshake import alerts, hello, parts, registry
from handsel.diagnose.handshake.model import Content, Details, Kind, Message, Recording, Sender, Step, Trust
from handsel.diagnose.handshake.reading import Facts, certificates
from handsel.diagnose.handshake.registry import EXTENSIONS, GROUPS, SIGNATURES, SUITES, VERSIONS, name
from handsel.pki.certificate import Certificate
from handsel.pki.inspect import in_words, is_self_issued, key_in_words, printable

_SHOWN = 4
_MOST_AUTHORITIES = 12


@dataclass(frozen=True)
class Teller:
    """Tells the messages of one recording."""

    facts: Facts
    trust: Trust | None
    now: datetime

    def message(self, message: Message) -> Step | None:
        """The step of a message; None for one that means nothing."""
        if message.content == Content.CHANGE_CIPHER_SPEC:
            return None if self.facts.tls13 or self.facts.chosen is None else _step(message, *_CHANGE)
        told = _TELLERS.get((message.kind, message.sender)) or _TELLERS.get((message.kind, None))
        title = f"handshake message {message.kind}"
        if message.content == Content.ALERT:
            told, title = Teller.alert, "Alert"
        if told is None:
            return _step(message, title, "This tool does not know it.")
        try:
            return told(self, message)
        except ValueError as error:
            return _step(message, title, "It cannot be read.", problem=str(error))

    def client_hello(self, message: Message) -> Step:
        found = hello.client_hello(message.body)
        again = message.body != self.facts.first_hello
        suites = [each for each in found.suites if each not in registry.NO_SUITES]
        sni = found.server_name and f"{found.server_name}  (SNI: everybody on the way can read it)"
        details: Details = {
            "versions": _names(VERSIONS, found.versions),
            "suites": _some([name(SUITES, each) for each in suites]),
            "groups": _some([name(GROUPS, each) for each in found.groups], 6),
            "key shares": _names(GROUPS, found.shares) or "none",
            "signatures": _some([name(SIGNATURES, each) for each in found.signatures]),
            "server name": printable(sni) or "none: an address has no name to say",
            "ALPN": ", ".join(found.alpn) or "none",
        }
        if not found.groups:
            del details["groups"]
        if not found.shares:
            del details["key shares"]
        if again:
            return _step(message, "ClientHello", "The same again, with the group that the server wants.", details)
        return _step(message, "ClientHello", "The client says what it can do, and whom it wants to reach.", details)

    def server_hello(self, message: Message) -> Step:
        found = hello.server_hello(message.body)
        if found.retry:
            wanted = name(GROUPS, found.group) if found.group is not None else "another hello"
            purpose = "The server wants another key exchange: the client asks again. This costs one round trip."
            return _step(message, "HelloRetryRequest", purpose, {"group wanted": wanted})
        details: Details = {"version": name(VERSIONS, found.version), "suite": name(SUITES, found.suite)}
        if not self.facts.tls13:
            details["ALPN"] = found.alpn or "none chosen"
            if not registry.forward_secret(found.suite):
                details["weak"] = "no forward secrecy: whoever gets the server's key can read what was recorded before"
            purpose = "The server chooses. All of it stays readable on the way until ChangeCipherSpec."
            return _step(message, "ServerHello", purpose, details)
        details["key exchange"] = registry.group_in_words(found.group) if found.group is not None else "by a shared key"
        purpose = "The server chooses. Both now have the same keys: whatever follows is encrypted."
        return _step(message, "ServerHello", purpose, details)

    def encrypted_extensions(self, message: Message) -> Step:
        found = hello.encrypted_extensions(message.body)
        others = [name(EXTENSIONS, each) for each in found.extensions if name(EXTENSIONS, each) != "ALPN"]
        details: Details = {"ALPN": printable(found.alpn) or "none chosen"}
        if others:
            details["others"] = ", ".join(others)
        return _step(
            message, "EncryptedExtensions", "The rest of the choices, which is nobody else's business.", details
        )

    def certificate_request(self, message: Message) -> Step:
        found = parts.certificate_request(message.body, tls13=self.facts.tls13)
        known = [printable(each) for each in found.authorities]
        more = [f"and {len(known) - _MOST_AUTHORITIES} more"] if len(known) > _MOST_AUTHORITIES else []
        details: Details = {
            "authorities": known[:_MOST_AUTHORITIES] + more or "it does not say whom it takes",
            "signatures": _some([name(SIGNATURES, each) for each in found.signatures]),
        }
        purpose = "The server asks the client who it is: if it answers, TLS is two-way (mutual)."
        return _step(message, "CertificateRequest", purpose, details)

    def server_certificate(self, message: Message) -> Step:
        found = parts.certificate(message.body, tls13=self.facts.tls13)
        chain, problem = certificates(found.chain)
        details: Details = {"chain": self._chain(chain) or "empty"}
        if found.stapled:
            details["stapled"] = "an OCSP answer: the authority's word that it is not revoked"
        step = _step(message, "Certificate", "The server says who it is, and who vouches for it.", details, problem)
        trust = self.trust
        if trust is None:
            return step
        if trust.trusted:
            return replace(step, good=trust.in_words, details={**details, "root sha-256": trust.fingerprint})
        return replace(step, problem=trust.in_words, fix=trust.fix)

    def client_certificate(self, message: Message) -> Step:
        chain, problem = certificates(parts.certificate(message.body, tls13=self.facts.tls13).chain)
        if not chain and not problem:
            purpose = "The client was asked for a certificate, and shows none: the message is empty."
            return _step(message, "Certificate", purpose)
        details: Details = {"chain": self._chain(chain)}
        return _step(message, "Certificate", "The client says who it is.", details, problem)

    def certificate_verify(self, message: Message) -> Step:
        details: Details = {"signature": name(SIGNATURES, parts.certificate_verify(message.body))}
        purpose = (
            f"The {message.sender} signs all that was said so far: it has the key of its certificate, and nobody "
            "changed a word."
        )
        return _step(message, "CertificateVerify", purpose, details)

    def server_key_exchange(self, message: Message) -> Step:
        found = parts.server_key_exchange(message.body)
        group = registry.group_in_words(found.group) if found.group is not None else "finite field (DHE)"
        details: Details = {"key exchange": group}
        if found.signature is not None:
            details["signature"] = name(SIGNATURES, found.signature)
        purpose = "The server's half of the key exchange, signed with the key of its certificate."
        return _step(message, "ServerKeyExchange", purpose, details)

    def certificate_status(self, message: Message) -> Step:
        size = parts.certificate_status(message.body)
        purpose = "A stapled OCSP answer: the authority's word that the certificate is not revoked."
        return _step(message, "CertificateStatus", purpose, {"answer": f"{size} bytes, not looked at here"})

    def ticket(self, message: Message) -> Step:
        lifetime = parts.new_session_ticket(message.body)
        purpose = "A ticket for a quicker handshake next time."
        return _step(message, "NewSessionTicket", purpose, {"holds for": f"{lifetime} s"})

    def finished(self, message: Message) -> Step:
        return _step(message, "Finished", f"A checksum by the new keys: the {message.sender} saw the same handshake.")

    def hello_done(self, message: Message) -> Step:
        return _step(message, "ServerHelloDone", "The server has said all it has to say: the client's turn.")

    def client_key_exchange(self, message: Message) -> Step:
        purpose = "The client's half of the key exchange: both can now work out the same keys."
        return _step(message, "ClientKeyExchange", purpose)

    def key_update(self, message: Message) -> Step:
        return _step(message, "KeyUpdate", "New keys for what follows.")

    def alert(self, message: Message) -> Step:
        _, number = parts.alert(message.body)
        if number == alerts.CLOSE_NOTIFY:
            return _step(message, "Alert close_notify", f"The {message.sender} says goodbye: nothing more comes.")
        fix = alerts.fix(number) if message.sender is Sender.SERVER else ""
        step = _step(message, f"Alert {alerts.named(number)}", f"The {message.sender} gives up.")
        return replace(step, problem=alerts.meaning(number), fix=fix)

    def _chain(self, chain: Sequence[Certificate]) -> list[str]:
        return [f"{number}. {self._certificate(each)}" for number, each in enumerate(chain, 1)]

    def _certificate(self, certificate: Certificate) -> str:
        """One certificate of a chain in a line."""
        names = [*certificate.uri_names, *certificate.dns_names, *certificate.ip_names]
        called = certificate.subject or (names.pop(0) if names else "(no name)")
        others = [each for each in names if each != called]
        for_names = "" if certificate.is_ca or not others else f", {_some(others, 3)}"
        ends = certificate.not_after
        left = f"EXPIRED {in_words(self.now - ends)} ago" if ends < self.now else f"{in_words(ends - self.now)} left"
        key, _ = key_in_words(certificate.parsed.public_key())
        role = ", a CA" if certificate.is_ca else ""
        by = "self-signed" if is_self_issued(certificate) else f"signed by {certificate.issuer}"
        return printable(f"{called}{role}{for_names}; {by}; {key}; until {ends:%Y-%m-%d}, {left}")


_CHANGE = ("ChangeCipherSpec", "From the next message on, this side encrypts.")
_TELLERS: dict[tuple[int, Sender | None], Callable[[Teller, Message], Step]] = {
    (Kind.CLIENT_HELLO, None): Teller.client_hello,
    (Kind.SERVER_HELLO, None): Teller.server_hello,
    (Kind.ENCRYPTED_EXTENSIONS, None): Teller.encrypted_extensions,
    (Kind.CERTIFICATE_REQUEST, None): Teller.certificate_request,
    (Kind.CERTIFICATE, Sender.SERVER): Teller.server_certificate,
    (Kind.CERTIFICATE, Sender.CLIENT): Teller.client_certificate,
    (Kind.CERTIFICATE_VERIFY, None): Teller.certificate_verify,
    (Kind.SERVER_KEY_EXCHANGE, None): Teller.server_key_exchange,
    (Kind.CERTIFICATE_STATUS, None): Teller.certificate_status,
    (Kind.NEW_SESSION_TICKET, None): Teller.ticket,
    (Kind.FINISHED, None): Teller.finished,
    (Kind.SERVER_HELLO_DONE, None): Teller.hello_done,
    (Kind.CLIENT_KEY_EXCHANGE, None): Teller.client_key_exchange,
    (Kind.KEY_UPDATE, None): Teller.key_update,
}


def _step(message: Message, title: str, purpose: str, details: Details | None = None, problem: str = "") -> Step:
    size = len(message.body) + (4 if message.content == Content.HANDSHAKE else 0)  # its header is part of it
    return Step(title, purpose, message.sender, message.at, size, message.encrypted, details or {}, problem)


def _names(names: dict[int, str], numbers: Sequence[int]) -> str:
    return ", ".join(name(names, each) for each in numbers)


def _some(texts: Sequence[str], count: int = _SHOWN) -> str:
    more = f" and {len(texts) - count} more" if len(texts) > count else ""
    return (", ".join(texts[:count]) or "none") + more


def connection(recording: Recording) -> Step:
    """The step before every message."""
    details: Details = {"address": recording.address or "none"}
    if recording.looked_up:
        details["looked up"] = f"{recording.looked_up * 1000:.1f} ms for its name"
    return Step(
        "TCP connection", "A way to carry bytes. Nothing is hidden yet.", at=recording.connected, details=details
    )
