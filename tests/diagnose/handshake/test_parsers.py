"""The parsers of handshake messages: what real OpenSSL writes they read, and of any other bytes they raise `ValueError`."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from functools import cache

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from handsel.diagnose.adapters import openssl_messages
from handsel.diagnose.handshake import hello, parts, registry, speech
from handsel.diagnose.handshake.model import Sender
from handsel.diagnose.handshake.octets import Octets
from tests.support import mutations

Parser = Callable[[bytes], object]


@cache
def real_hello(version: str = "") -> bytes:
    """The body of a ClientHello as OpenSSL writes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # Debian's Python offers older ones too
    if version:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    heard: list[tuple[Sender, int, bytes, bool]] = []
    assert openssl_messages.watch(context, lambda *message: heard.append(message))
    connection = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="shop.test")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    ((sender, content, message, encrypted),) = heard
    assert (sender, content, encrypted) == (Sender.CLIENT, 22, False)
    return message[4:]


def _vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def _request(*, tls13: bool) -> bytes:
    name = x509.Name.from_rfc4514_string("CN=a root,O=Shop").public_bytes()
    authorities, signatures = _vector(2, _vector(2, name)), _vector(2, b"\x04\x03\x08\x04")
    if not tls13:
        return _vector(1, b"\x40") + signatures + authorities
    found = b"\x00\x0d" + _vector(2, signatures) + b"\x00\x2f" + _vector(2, authorities)
    return _vector(1, b"") + _vector(2, found)


PARSERS: dict[str, tuple[Parser, bytes]] = {
    "client_hello": (hello.client_hello, b""),
    "server_hello": (hello.server_hello, b"\x03\x03" + bytes(32) + b"\0\x13\x01\0"
                     + _vector(2, b"\0\x2b\0\x02\x03\x04" + b"\0\x33" + _vector(2, b"\x11\xec" + _vector(2, b"key")))),
    "encrypted_extensions": (hello.encrypted_extensions, _vector(2, b"\0\x10" + _vector(2, _vector(2, b"\x02h2")))),
    "certificate_12": (lambda body: parts.certificate(body, tls13=False), _vector(3, _vector(3, b"der"))),
    "certificate_13": (lambda body: parts.certificate(body, tls13=True), b"\0" + _vector(3, _vector(3, b"der") + b"\0\0")),
    "certificate_request_12": (lambda body: parts.certificate_request(body, tls13=False), _request(tls13=False)),
    "certificate_request_13": (lambda body: parts.certificate_request(body, tls13=True), _request(tls13=True)),
    "certificate_verify": (parts.certificate_verify, b"\x08\x04" + _vector(2, b"signature")),
    "server_key_exchange": (parts.server_key_exchange, b"\x03\0\x1d" + _vector(1, b"point") + b"\x08\x04\0\0"),
    "certificate_status": (parts.certificate_status, b"\x01" + _vector(3, b"answer")),
    "new_session_ticket": (parts.new_session_ticket, b"\0\0\x1c\x20\0\0"),
    "alert": (parts.alert, b"\x02\x30"),
    "asking_for": (lambda body: hello.asking_for(registry.X25519MLKEM768, body), b""),
}  # fmt: skip


def good(name: str) -> bytes:
    return PARSERS[name][1] or real_hello()


@pytest.mark.parametrize("name", PARSERS)
def test_a_good_message_is_read_and_a_shorter_one_is_not(name: str) -> None:
    parser, body = PARSERS[name][0], good(name)
    parser(body)
    with pytest.raises(ValueError):
        parser(body[:1])


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
def test_any_bytes_give_a_value_or_a_value_error(name: str, data: st.DataObject) -> None:
    parser = PARSERS[name][0]
    for body in (data.draw(st.binary(max_size=300)), data.draw(mutations(good(name)))):
        with contextlib.suppress(ValueError):
            parser(body)


def test_the_hello_of_openssl() -> None:
    found = hello.client_hello(real_hello())
    assert found.versions == (0x0304, 0x0303)
    assert found.alpn == ("h2", "http/1.1")
    assert found.server_name == "shop.test"
    assert 0x1301 in found.suites
    assert set(found.shares) <= set(found.groups)
    assert hello.client_hello(real_hello("1.2")).versions == (0x0303,)


def test_a_hello_that_asks_for_a_group_says_all_else_again() -> None:
    before = hello.client_hello(real_hello())
    message = hello.asking_for(registry.X25519MLKEM768, real_hello())
    assert (message[0], int.from_bytes(message[1:4], "big")) == (1, len(message) - 4)
    after = hello.client_hello(message[4:])
    assert after.groups == (registry.X25519MLKEM768, *before.groups)
    assert after.shares == ()
    assert (after.versions, after.suites, after.alpn, after.server_name) == (
        before.versions, before.suites, before.alpn, before.server_name,
    )  # fmt: skip
    assert after.extensions == before.extensions


@pytest.mark.parametrize("tls13", [False, True])
def test_whom_a_server_takes_is_read(tls13: bool) -> None:
    found = parts.certificate_request(_request(tls13=tls13), tls13=tls13)
    assert found == parts.CertificateRequest(("CN=a root,O=Shop",), (0x0403, 0x0804))


def test_a_hybrid_group_is_said_to_be_one() -> None:
    found = hello.server_hello(good("server_hello"))
    assert (found.version, found.group, found.retry) == (0x0304, 0x11EC, False)
    assert registry.is_hybrid(0x11EC)
    assert not registry.is_hybrid(0x001D)
    assert "hybrid" in registry.group_in_words(0x11EC)


def test_a_retry_is_told_by_its_random() -> None:
    random = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")  # RFC 8446, 4.1.3
    body = b"\x03\x03" + random + b"\0\x13\x01\0" + _vector(2, b"\0\x2b\0\x02\x03\x04\0\x33\0\x02\x11\xec")
    found = hello.server_hello(body)
    assert (found.retry, found.group) == (True, 0x11EC)


def test_limits_hold() -> None:
    with pytest.raises(ValueError, match="more than"):
        Octets(bytes(4000)).numbers(2)
    many = b"\0" + _vector(3, (_vector(3, b"x") + b"\0\0") * 40)
    with pytest.raises(ValueError, match="a chain of 40"):
        parts.certificate(many, tls13=True)
    with pytest.raises(ValueError, match="twice"):
        hello.encrypted_extensions(_vector(2, b"\0\x05\0\0" * 2))


@pytest.mark.parametrize(
    ("first", "what"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "plain HTTP"), (b"SSH-2.0-x\r\n", "SSH"), (b"220 (vsFTPd 3.0)\r\n", "FTP"),
        (b"220 mail ESMTP\r\n", "SMTP"), (b"* OK ready", "IMAP"), (b"+OK ready", "POP3"),
        (b"\x4a\0\0\0\x0a8.0.36\0", "MySQL"), (b"\0\0\x12\x04\0\0\0\0\0", "plain HTTP/2"), (b"\xde\xad", "no protocol"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_else_a_server_speaks(first: bytes, what: str) -> None:
    assert not speech.is_tls(first)
    assert speech.spoken(first)[0].startswith(what)


@given(st.binary(max_size=300))
def test_any_first_bytes_can_be_shown(first: bytes) -> None:
    speech.spoken(first)
    assert speech.shown(first).isprintable()
