"""What a joining host sends: proof of the secret, never the secret."""

from __future__ import annotations

from handsel.agent import join
from handsel.link import ticket as tickets
from handsel.link.ticket import TicketText
from handsel.pki import csr
from handsel.pki.keys import PrivateKey
from handsel.pki.secret import Secret

SECRET = Secret(b"s" * 32)
TICKET = TicketText("https://127.0.0.1:1", "test.internal", "t1", SECRET, ())


def test_a_request_proves_the_secret_for_the_certificate_that_was_seen():
    key = PrivateKey.generate()
    request = join.request(TICKET, key, b"c" * 32, "host.example")
    assert (request.ticket_id, request.host_name) == ("t1", "host.example")
    assert csr.parse(request.csr).public_key_der == key.public_der()
    derived = tickets.derive(SECRET)
    assert tickets.proof_holds(derived, request.csr, (b"c" * 32,), request.proof)
    assert not tickets.proof_holds(derived, request.csr, (b"d" * 32,), request.proof)


def test_the_secret_itself_is_not_sent():
    assert SECRET.reveal() not in join.request(TICKET, PrivateKey.generate(), b"c" * 32, "h").encode()
