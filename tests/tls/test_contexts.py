"""Declared contexts over real connections: who gets through, who does not, and that it changes while it runs."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
import warnings
from datetime import timedelta
from pathlib import Path

import pytest

from handsel import tls
from handsel.errors import ContextRefused, InvalidFile, UsageError
from handsel.pki.certificate import to_pem
from handsel.pki.keys import PrivateKey
from handsel.pki.secret import Secret
from tests.support import TestAuthority
from tests.tls.world import HOST, World, say, serving

ONE_WAY = "{key_store: {path: server.pem}}"
TWO_WAY = "{key_store: {path: server.pem}, trust_store: {path: roots.pem}}"
CLIENT = "{trust_store: {path: roots.pem}}"
KNOWN_CLIENT = "{key_store: {path: client.pem}, trust_store: {path: roots.pem}}"
REFUSED = (ssl.SSLError, ConnectionError)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.issue("server")
    made.issue("client", dns=("billing.internal",))
    return made


def _refused(port: int, context: ssl.SSLContext, name: str = HOST) -> bool:
    try:
        say(port, context, name)
    except REFUSED:
        return True
    return False


def test_one_way_the_client_checks_the_server(world: World) -> None:
    with serving(world.context("orders", ONE_WAY).server()) as port:
        client = world.context("orders", CLIENT).client()
        assert say(port, client) == world.issued["server"]
        assert _refused(port, client, "other.internal")
        world.write("others.pem", to_pem((TestAuthority.make().issuer.root,)))
        assert _refused(port, world.context("orders", "{trust_store: {path: others.pem}}").client())
        assert _refused(port, world.context("orders", "{}").client())  # the system's roots know nothing of ours


def test_two_way_the_server_checks_the_client(world: World) -> None:
    with serving(world.context("orders", TWO_WAY).server()) as port:
        assert say(port, world.context("orders", KNOWN_CLIENT).client())
        assert _refused(port, world.context("orders", CLIENT).client())
        stranger = World(world.folder / "s") if (world.folder / "s").mkdir() is None else world
        stranger.issue("client")
        config = "{key_store: {path: s/client.pem}, trust_store: {path: roots.pem}}"
        assert _refused(port, world.context("orders", config).client())


def test_a_certificate_may_be_left_to_the_client_or_not_asked_for(world: World) -> None:
    for asked in ("optional", "none"):
        config = f"{{key_store: {{path: server.pem}}, trust_store: {{path: roots.pem}}, client_certificate: {asked}}}"
        with serving(world.context("orders", config).server()) as port:
            assert say(port, world.context("orders", CLIENT).client())
            assert say(port, world.context("orders", KNOWN_CLIENT).client())


def test_a_peer_is_known_by_the_names_that_are_declared(world: World) -> None:
    """Where the address says nothing, as with SPIFFE IDs: the name that was called is not looked at then."""
    identity = "spiffe://test.internal/ns/default/sa/orders"
    world.issue("server", dns=(), uri=(identity,))
    with serving(world.context("orders", ONE_WAY).server()) as port:
        assert _refused(port, world.context("orders", CLIENT).client())
        right = f"{{trust_store: {{path: roots.pem}}, peers: ['{identity}']}}"
        assert say(port, world.context("orders", right).client(), "anything")
        wrong = right.replace("sa/orders", "sa/other")
        with pytest.raises(ssl.SSLCertVerificationError, match="not one of those that are expected"):
            say(port, world.context("orders", wrong).client())
    by_name = "{key_store: {path: server.pem}, trust_store: {path: roots.pem}, peers: [billing.internal]}"
    world.issue("server")
    with serving(world.context("orders", by_name).server()) as port:
        assert say(port, world.context("orders", KNOWN_CLIENT).client())
        world.issue("client", dns=("intruder.internal",))
        assert _refused(port, world.context("orders", KNOWN_CLIENT).client())


def test_only_declared_versions_are_spoken(world: World) -> None:
    with serving(world.context("orders", ONE_WAY.replace("}}", "}, protocols: [TLSv1.3]}")).server()) as port:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(world.folder / "roots.pem")
        assert say(port, old)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert _refused(port, old)


def test_a_new_certificate_is_shown_without_a_restart_and_open_connections_go_on(world: World) -> None:
    server, client = world.context("orders", ONE_WAY).server(), world.context("orders", CLIENT).client()
    with serving(server) as port, socket.create_connection(("127.0.0.1", port), 10) as plain:
        with client.wrap_socket(plain, server_hostname=HOST) as open_before:
            before = say(port, client)
            renewed = world.issue("server")
            time.sleep(1.1)  # files are looked at once a second
            assert say(port, client) == renewed != before
            open_before.sendall(b"still")
            assert open_before.recv(10) == b"still"
        world.write("server.pem", b"half a fi")
        time.sleep(1.1)
        assert say(port, client) == renewed  # the last good one stays


def test_new_roots_count_without_a_restart(world: World) -> None:
    server, client = world.context("orders", TWO_WAY).server(), world.context("orders", KNOWN_CLIENT).client()
    with serving(server) as port:
        assert say(port, client)
        world.write("roots.pem", to_pem((TestAuthority.make().issuer.root,)))
        time.sleep(1.1)
        assert _refused(port, client)
        control = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        control.load_verify_locations(cadata=to_pem((world.issuer.root,)).decode())
        control.load_cert_chain(world.folder / "client.pem")
        assert _refused(port, control)  # now by the server
        world.write("roots.pem", to_pem((world.issuer.root,)))
        time.sleep(1.1)
        assert say(port, client)
        assert say(port, control)


def test_what_a_library_does_to_a_context_does_not_open_it(world: World) -> None:
    """`requests` loads the roots of the public web into every context that it is given."""
    stranger = World(world.folder / "s") if (world.folder / "s").mkdir() is None else world
    stranger.issue("server")
    with serving(stranger.context("orders", ONE_WAY).server()) as port:
        client = world.context("orders", CLIENT).client()
        client.load_verify_locations(stranger.folder / "roots.pem")
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        assert _refused(port, client)
        assert say(port, stranger.context("orders", CLIENT).client())


def test_insecure_is_loud_at_every_use_and_can_be_forbidden(world: World) -> None:
    stranger = World(world.folder / "s") if (world.folder / "s").mkdir() is None else world
    stranger.issue("server")
    with serving(stranger.context("orders", ONE_WAY).server()) as port:
        client = world.context("orders", "{insecure: true}").client()
        for _ in range(2):
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                assert say(port, client, "anything")
            assert [each.category for each in seen] == [tls.InsecureContextWarning]
    path = world.folder / "handsel.yaml"
    path.write_text(path.read_text() + "forbid_insecure: true\n")
    with pytest.raises(ContextRefused, match="forbids insecure contexts"):
        tls.context("orders", path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{key_store: {path: gone.pem}}", "gone.pem cannot be read: No such file"),
        ("{key_store: {path: roots.pem}}", "roots.pem: there is no private key in it"),
        ("{trust_store: {path: empty.pem}}", "empty.pem: it is empty"),
        ("{key_store: {path: server.pem, alias: other}}", "there is no key 'other'; the keys are:"),
        ("{key_store: {path: server.pem, type: jks}}", "server.pem is pem, and the context says jks"),
        ("{key_store: {authority: true}}", "HANDSEL_IDENTITY is not set"),
        ("{key_store: {path: server.pem, password: {env: NOT_SET}}}", "NOT_SET is not set"),
        ("{trust_store: {path: roots.pem}, revocation: {crl: [roots.pem]}}", "roots.pem is no revocation list"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(world: World, text: str, message: str) -> None:
    from handsel.errors import HandselError

    world.write("empty.pem", b"")
    context = world.context("orders", text)
    with pytest.raises(HandselError) as caught:
        context.client()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{key_store: {path: a, password: changeit}}", "a password is not written here"),
        ("{key_store: {path: a, authority: true}}", "say one of path, secret and authority: true"),
        ("{key_store: {path: a, password: {file: x, env: Y}}}", "say one of file, env and secret"),
        ("{trust_store: {}}", "say one of path, secret, authority: true and system: true"),
        ("{protocols: [TLSv1]}", "TLSv1 cannot be made safe"),
        ("{ciphers: [ECDHE-RSA-RC4-SHA]}", "is weak"),
        ("{insecure: true, trust_store: {system: true}}", "it checks nothing"),
        ("{revocation: {failure: soft}}", "say crl, or ocsp: true"),
        ("{peers: ['spiffe://X/']}", "is no trust domain"),
        ("{trust_sore: {system: true}}", 'did you mean "trust_store"'),
    ],
)
def test_what_is_declared_wrongly_is_said_with_its_place(world: World, text: str, message: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        world.context("orders", text)
    assert any(message in each.message for each in caught.value.faults), caught.value.faults
    assert all(each.line == 2 for each in caught.value.faults)


def test_a_context_or_file_that_is_not_there_is_said(world: World) -> None:
    world.context("orders", CLIENT)
    with pytest.raises(UsageError, match="no context 'order'; the contexts are: orders"):
        tls.context("order", world.folder / "handsel.yaml")
    with pytest.raises(UsageError, match=r"nowhere\.yaml cannot be read"):
        tls.context("orders", world.folder / "nowhere.yaml")


def test_stores_and_passwords_are_found_where_the_platform_puts_secrets(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As systemd has it (`LoadCredential=`): a folder that is named by the environment."""
    (world.folder / "credentials").mkdir()
    key = PrivateKey.from_pem((world.folder / "server.pem").read_bytes())
    chain = (world.folder / "server.pem").read_bytes().partition(b"-----BEGIN CERTIFICATE-----")
    world.write("credentials/orders-key", key.pem(Secret(b"open sesame")).reveal() + chain[1] + chain[2])
    world.write("credentials/orders-password", b"open sesame\n")
    world.write("credentials/roots", (world.folder / "roots.pem").read_bytes())
    text = "{key_store: {secret: orders-key, password: {secret: orders-password}}, trust_store: {secret: roots}}"
    with pytest.raises(ContextRefused, match="/run/secrets/orders-password"):
        world.context("orders", text).server()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(world.folder / "credentials"))
    with serving(world.context("orders", text).server()) as port:
        assert say(port, world.context("orders", KNOWN_CLIENT).client()) == world.issued["server"]


def test_a_certificate_that_ends_lets_nobody_through(world: World) -> None:
    world.issue("server", lifetime=timedelta(seconds=2))
    with serving(world.context("orders", ONE_WAY).server()) as port:
        client = world.context("orders", CLIENT).client()
        assert say(port, client)
        time.sleep(2.2)
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"), contextlib.suppress(ConnectionError):
            say(port, client)
