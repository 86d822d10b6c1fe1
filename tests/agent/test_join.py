"""What a joining host sends: proof of the secret, never the secret."""

from __future__ import annotations

import pytest

from handsel.agent import evidence, join
from handsel.agent.join import Way
from handsel.errors import UsageError
from handsel.link import ticket as tickets
from handsel.link.ticket import TicketText
from handsel.link.transcript import Transcript
from handsel.pki import csr, signature
from handsel.pki.keys import PrivateKey
from handsel.pki.secret import Secret

SECRET = Secret(b"s" * 16)
TICKET = TicketText("https://127.0.0.1:1", "test.internal", "a1b2", SECRET, ())
SEEN = b"c" * 32


def _sent(key: PrivateKey | None = None) -> join.Sent:
    recovery_key = PrivateKey.generate()
    return join.request(Way.by_ticket(TICKET), key or PrivateKey.generate(), recovery_key, "once", SEEN, "h.example")


def test_a_request_proves_the_secret_and_the_key_for_the_certificate_that_was_seen():
    key = PrivateKey.generate()
    sent = _sent(key)
    request, derived = sent.request, tickets.derive(SECRET)
    assert (request.ticket_id, request.host_name, request.challenge) == ("a1b2", "h.example", "once")
    assert csr.parse(request.csr).public_key_der == key.public_der()
    for seen, holds in ((SEEN, True), (b"d" * 32, False)):
        transcript = Transcript("ticket", "a1b2", "once", seen, request.csr, request.recovery_csr, "h.example")
        assert tickets.proof_holds(derived, transcript, request.proof) == holds
        assert signature.holds(key.handle.public_key(), request.signature, transcript.signed()) == holds


def test_the_secret_itself_is_not_sent():
    assert SECRET.reveal() not in _sent().request.encode()


def test_a_token_does_not_show_in_what_is_printed():
    shown = evidence.bearer(b"aaa.bbb.ccc\n")(_sent().transcript)
    assert shown.token == "aaa.bbb.ccc"
    assert "bbb" not in repr(shown)


@pytest.mark.parametrize(
    "make",
    [
        lambda: evidence.bearer(b"not a token"),
        lambda: evidence.possession(b"no certificate", b"no key"),
        lambda: evidence.ssh_host(b"ssh-ed25519-cert-v01@openssh.com AAAA", b"no key"),
        lambda: evidence.ssh_host(b"", PrivateKey.generate().pem(Secret(b"locked")).reveal()),
    ],
)
def test_evidence_that_cannot_be_read_is_a_mistake_with_a_line(make):
    with pytest.raises(UsageError):
        make()
